import { hash } from 'node:crypto'
import { deflateSync, inflateSync } from 'node:zlib'
import { connect } from '@nats-io/transport-node'
import { jetstream } from '@nats-io/jetstream'
import { Objm } from '@nats-io/obj'
import { createEngine, flow, type PayloadCodec } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { useServer, versions } from '../servers/index.ts'
import {
  all,
  append,
  claimed,
  create,
  freshNamespace,
  moved,
  nodeAt,
  note,
  type Entry,
  type TestNode,
} from '../support.ts'

const nodes: TestNode[] = []
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.close()
})

describe.each(versions)('what is large, on the %s server', (version) => {
  const server = useServer({ version, config: 'max_payload: 262144' })
  const node = (options: Parameters<typeof nodeAt>[0] = {}): TestNode => {
    const made = nodeAt({ servers: server().url, ...options })
    nodes.push(made)
    return made
  }
  const bytes = (length: number, seed = 1): Uint8Array =>
    new Uint8Array(length).map((_, index) => (index * 31 + seed * 97 + (index >> 8)) % 256)
  /** By their length and hash: long lists of numbers take long to compare. */
  const hashOf = (value: Uint8Array): string => `${value.length} ${hash('sha256', value)}`
  const valuesOf = (entries: readonly Entry[]): string[] =>
    entries.flatMap((entry) =>
      entry.kind === 'transition' && entry.outcome !== undefined && 'value' in entry.outcome
        ? [hashOf(entry.outcome.value as Uint8Array)]
        : [],
    )
  /** Objects of a namespace, as the client's own tools see them. */
  const objects = async (namespace: string): Promise<string[]> => {
    const nc = await connect({ servers: server().url })
    try {
      const store = await new Objm(jetstream(nc)).open(`${namespace}_blob`, false)
      return (await store.list()).map(({ name }) => name)
    } finally {
      await nc.close()
    }
  }

  it('goes to the object store beyond the limit, and stays in its message up to it', async () => {
    const { journal, namespace } = node({ largeValue: 10_000 })
    await create(journal, 'at-limit')
    await append(journal, 'at-limit', 2, [moved('Completed', { value: bytes(10_000) })])
    await create(journal, 'over')
    await append(journal, 'over', 2, [moved('Completed', { value: bytes(10_001) })])
    expect((await objects(namespace)).map((name) => name.split('/')[0])).toEqual(['over'])
    const other = node({ namespace })
    expect(valuesOf(await all(other.journal, 'at-limit'))).toEqual([hashOf(bytes(10_000))])
    expect(valuesOf(await all(other.journal, 'over'))).toEqual([hashOf(bytes(10_001))])
  })

  it('is a value of many messages, which the tools of NATS read, too', async () => {
    const { journal, namespace } = node({ largeValue: 10_000 })
    await create(journal, 'run')
    await append(journal, 'run', 2, [moved('Completed', { value: bytes(3_000_000) })])
    expect(valuesOf(await all(node({ namespace }).journal, 'run'))).toEqual([hashOf(bytes(3_000_000))])
    const nc = await connect({ servers: server().url })
    const store = await new Objm(jetstream(nc)).open(`${namespace}_blob`, false)
    const [object] = await store.list()
    const read = await store.getBlob(object?.name ?? '')
    await nc.close()
    // The value, in its envelope.
    expect(Buffer.from(read ?? []).includes(Buffer.from(bytes(3_000_000)))).toBe(true)
  })

  it('is a record of many values none of which is large', async () => {
    const { journal, namespace } = node({ largeValue: 100_000 })
    const told: number[] = []
    const other = node({ namespace })
    const reached = new Promise<void>((resolve) => {
      other.journal.subscribe((_, first, entries) => {
        told.push(first)
        if (entries.length === 30) resolve()
      }, 'run')
    })
    await other.journal.summary('run')
    await create(journal, 'run')
    const entries = Array.from({ length: 30 }, (_, index) =>
      moved('Completed', { value: bytes(90_000, index) }),
    )
    expect(await append(journal, 'run', 2, entries)).toBeUndefined()
    expect(await append(journal, 'run', 32, [note('after')])).toBeUndefined()
    expect(valuesOf(await all(other.journal, 'run'))).toEqual(
      Array.from({ length: 30 }, (_, index) => hashOf(bytes(90_000, index))),
    )
    await reached
    expect(told.slice(0, 2)).toEqual([1, 3])
  })

  it('is refused where not even the names of a flow run fit into a message', async () => {
    const { journal } = node()
    await expect(
      create(journal, 'run', { tags: [Array.from({ length: 300_000 }, () => 'x').join('')] }),
    ).rejects.toMatchObject({ name: 'CodecError', code: 'PAYLOAD_TOO_LARGE' })
    expect(await journal.summary('run')).toBeUndefined()
  })

  it('may be so many values that their names do not fit into a message', async () => {
    const { journal, namespace } = node({ largeValue: 100 })
    await create(journal, 'run')
    const entries = Array.from({ length: 2_200 }, (_, index) =>
      moved('Completed', { value: bytes(200, index) }),
    )
    expect(await append(journal, 'run', 2, entries)).toBeUndefined()
    expect(await append(journal, 'run', 2_202, [note('after')])).toBeUndefined()
    expect(valuesOf(await all(node({ namespace }).journal, 'run'))).toEqual(
      Array.from({ length: 2_200 }, (_, index) => hashOf(bytes(200, index))),
    )
    await journal.delete('run')
    expect(await objects(namespace)).toEqual([])
  }, 60_000)

  it('is refused where the names of a flow run do not fit into headers, though they do into a message', async () => {
    const { journal } = node()
    const tags = Array.from({ length: 700 }, (_, index) => `${index} ${'x'.repeat(95)}`)
    await expect(create(journal, 'run', { tags })).rejects.toMatchObject({
      name: 'CodecError',
      code: 'PAYLOAD_TOO_LARGE',
    })
    expect(await journal.summary('run')).toBeUndefined()
    // What just fits at first does later, too.
    const fits = tags.slice(0, 600)
    await create(journal, 'fits', { tags: fits })
    const entries = [claimed(2, 'n'.repeat(64)), note('later')]
    expect(await journal.append({ flowRunId: 'fits', expected: 2, epoch: 2, entries })).toBeUndefined()
    expect((await journal.summary('fits'))?.tags).toEqual(fits)
  })

  it('fails a flow run whose tags do not fit, and it is not tried for ever', async () => {
    const transport = natsTransport({ servers: server().url, namespace: freshNamespace() })
    await using engine = createEngine({ transport })
    const tagged = flow('large/tagged', () => 1)
    const run = engine.run(tagged.with({ tags: ['x'.repeat(70_000)] }))
    await expect(run).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      details: { limit: expect.any(Number) },
    })
    expect(engine.health()).toMatchObject({ liveRuns: 0, stalled: [] })
    await expect(engine.run(tagged)).resolves.toBe(1)
  })

  it('is told to be missing where somebody deleted it, by the run that needs it and no other', async () => {
    const { journal, namespace, blobs } = node({ largeValue: 1_000 })
    for (const run of ['damaged', 'whole']) {
      await create(journal, run)
      await append(journal, run, 2, [moved('Completed', { value: bytes(5_000) })])
    }
    for (const [scope, name] of await blobs.list()) if (scope === 'damaged') await blobs.delete(scope, name)
    const other = node({ namespace })
    await expect(other.journal.read('damaged', 1, 10)).rejects.toMatchObject({
      code: 'JOURNAL_DAMAGED',
      details: { flowRunId: 'damaged', position: 3 },
    })
    expect(await other.journal.summary('damaged')).toMatchObject({ state: 'Completed' })
    expect(valuesOf(await all(other.journal, 'whole'))).toEqual([hashOf(bytes(5_000))])
  })

  it('goes with its flow run and those below it', async () => {
    const { journal, namespace, blobs } = node({ largeValue: 1_000 })
    for (const [run, parent] of [
      ['root', undefined],
      ['child', 'root.task'],
      ['other', undefined],
    ] as const) {
      await create(journal, run, parent === undefined ? {} : { parentRunId: parent })
      await append(journal, run, 2, [moved('Completed', { value: bytes(5_000) })])
    }
    expect(await objects(namespace)).toHaveLength(3)
    await journal.delete('root')
    expect((await objects(namespace)).map((name) => name.split('/')[0])).toEqual(['other'])
    expect((await blobs.list()).map(([scope]) => scope)).toEqual(['other'])
    expect((await journal.list({ limit: 10 })).map(({ flowRunId }) => flowRunId)).toEqual(['other'])
    await append(journal, 'other', 3, [note('goes on')])
  })

  it('is changed by the codecs, in its messages and in the object store', async () => {
    const deflate: PayloadCodec = {
      name: 'deflate',
      encode: (plain) => new Uint8Array(deflateSync(plain)),
      decode: (encoded) => new Uint8Array(inflateSync(encoded)),
    }
    const { journal, namespace } = node({ largeValue: 1_000, codecs: [deflate] })
    await create(journal, 'run')
    await append(journal, 'run', 2, [moved('Completed', { value: new Uint8Array(5_000) })])
    expect(valuesOf(await all(node({ namespace, codecs: [deflate] }).journal, 'run'))).toEqual([
      hashOf(new Uint8Array(5_000)),
    ])
    await expect(node({ namespace }).journal.read('run', 1, 10)).rejects.toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
    })
  })
})
