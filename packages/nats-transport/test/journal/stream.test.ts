import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterEach, describe, expect, it } from 'vitest'
import { createEngine, flow, type Clock, type EngineError } from '@troupe/core'
import { natsTransport } from '../../src/index.ts'
import { until } from '../faults/harness/until.ts'
import { queueNodeAt } from '../queue/support.ts'
import { startServer, useServer, versions } from '../servers/index.ts'
import { cpSync, rmSync } from 'node:fs'
import {
  all,
  append,
  claimed,
  create,
  freshNamespace,
  machineClock,
  nodeAt,
  note,
  wordsOf,
  type TestNode,
} from '../support.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

function node(options: Parameters<typeof nodeAt>[0]): TestNode {
  const made = nodeAt(options)
  closing.push(() => made.close())
  return made
}

describe.each(versions)('the stream of journals on the %s server', (version) => {
  const server = useServer({ version })
  const manager = async (): Promise<JetStreamManager> => {
    const nc = await connect({ servers: server().url })
    closing.push(() => nc.close())
    return jetstreamManager(nc)
  }

  it('is not updated by nodes that start with the same options', async () => {
    const first = node({ servers: server().url })
    await create(first.journal, 'run')
    const jsm = await manager()
    const nc = await connect({ servers: server().url })
    closing.push(() => nc.close())
    const updates: string[] = []
    nc.subscribe('$JS.API.STREAM.UPDATE.>', { callback: (_, message) => void updates.push(message.subject) })
    await nc.flush()
    const second = node({ servers: server().url, namespace: first.namespace })
    expect(await all(second.journal, 'run')).toHaveLength(2)
    expect(updates).toEqual([])
    if (version === 'oldest') return
    const third = node({ servers: server().url, namespace: first.namespace, maxBytes: 50_000_000 })
    expect(await all(third.journal, 'run')).toHaveLength(2)
    await nc.flush()
    expect(updates).toHaveLength(1)
    expect((await jsm.streams.info(`${first.namespace}_EV`)).config.max_bytes).toBe(50_000_000)
  })

  it('is taken as it is where another node is making it: then its subjects are in use before it is there', async () => {
    const namespace = freshNamespace()
    const jsm = await manager()
    const subjects = [`${namespace}.ev.>`]
    await jsm.streams.add({ name: `${namespace}_about_to_be`, subjects })
    const nc = await connect({ servers: server().url })
    closing.push(() => nc.close())
    // The server tells of a request when it has answered it: what is asked for behind it may be done before.
    const refused = new Promise<void>((resolve) => {
      nc.subscribe('$JS.EVENT.ADVISORY.API', {
        callback: (_, message) => {
          if (message.string().includes(`STREAM.CREATE.${namespace}_EV`)) resolve()
        },
      })
    })
    await nc.flush()
    const { journal, reports } = node({ servers: server().url, namespace })
    const summary = journal.summary('run')
    await refused
    await jsm.streams.delete(`${namespace}_about_to_be`)
    await jsm.streams.add({ name: `${namespace}_EV`, subjects })
    expect(await summary).toBeUndefined()
    expect(reports).toEqual([])
  })

  it('is refused where its subjects are somebody else’s', async () => {
    const namespace = freshNamespace()
    const jsm = await manager()
    await jsm.streams.add({ name: `${namespace}_other`, subjects: [`${namespace}.>`] })
    const { journal } = node({ servers: server().url, namespace })
    await expect(journal.summary('run')).rejects.toMatchObject({
      message: expect.stringContaining('overlap'),
    })
  })

  it('is refused where it is somebody else’s', async () => {
    const jsm = await manager()
    await jsm.streams.add({ name: 'foreign_EV', subjects: ['something.>'] })
    const { journal } = node({ servers: server().url, namespace: 'foreign' })
    await expect(create(journal, 'run')).rejects.toMatchObject({
      code: 'TRANSPORT_UNSUPPORTED',
      message: expect.stringContaining('foreign_EV'),
    })
  })

  it.each([
    ['max_age', 3_600e9],
    ['max_msgs', 1_000_000],
    ['max_msgs_per_subject', 10_000],
  ])('is refused where the server would delete from it by its %s', async (setting, value) => {
    const namespace = freshNamespace()
    const jsm = await manager()
    const stream = `${namespace}_EV`
    const [own, live] = [`${namespace}.ev.>`, `${namespace}.live.ev.>`]
    // That of Troupe but for this.
    const republish = { src: own, dest: live }
    await jsm.streams.add({ name: stream, subjects: [own], republish, [setting]: value })
    const { journal } = node({ servers: server().url, namespace })
    await expect(create(journal, 'run')).rejects.toMatchObject({
      code: 'TRANSPORT_UNSUPPORTED',
      message: expect.stringMatching(new RegExp(`${stream} has ${setting}: ${value},.*\`keep\``)),
      details: { stream, reason: 'limits', setting, value },
    })
    const { config } = await jsm.streams.info(stream)
    expect(config).toMatchObject({ [setting]: value })
    await jsm.streams.update(stream, { [setting]: setting === 'max_age' ? 0 : -1 })
    await create(journal, 'run')
  })

  it('is refused with those of mailboxes, limits and large values, and not with that of cached results', async () => {
    const namespace = freshNamespace()
    const jsm = await manager()
    const options = { servers: server().url, namespace }
    const day = 86_400e9
    const made: [name: string, subjects: string[]][] = [
      [`${namespace}_MB`, [`${namespace}.mb.>`]],
      [`KV_${namespace}_reg`, [`$KV.${namespace}_reg.>`]],
      [`OBJ_${namespace}_blob`, [`$O.${namespace}_blob.C.>`, `$O.${namespace}_blob.M.>`]],
    ]
    for (const [name, subjects] of made) await jsm.streams.add({ name, subjects, max_age: day })
    const { mailbox, close } = queueNodeAt(options)
    closing.push(close)
    const { register, blobs, cache } = node(options)
    const refused = { code: 'TRANSPORT_UNSUPPORTED', details: { setting: 'max_age', value: day } }
    await expect(mailbox.pending('run')).rejects.toMatchObject(refused)
    await expect(register.get('key')).rejects.toMatchObject(refused)
    await expect(blobs.put('run', 'value', Uint8Array.of(1))).rejects.toMatchObject(refused)

    expect(await cache.get('key')).toBeUndefined()
    await jsm.streams.update(`KV_${namespace}_cache`, { max_age: day })
    expect(await node(options).cache.get('key')).toBeUndefined()
    const { config } = await jsm.streams.info(`KV_${namespace}_cache`)
    expect(config.max_age).toBe(day)
  })

  it('that is deleted at run time is told, and appends are refused until nodes start again', async () => {
    const { journal, namespace } = node({ servers: server().url })
    await create(journal, 'run')
    const jsm = await manager()
    await jsm.streams.delete(`${namespace}_EV`)
    await expect(append(journal, 'run', 2, [note('lost')])).rejects.toMatchObject({
      code: 'JOURNAL_UNAVAILABLE',
      details: { reason: 'stream-gone' },
    })
    await expect(journal.read('run', 1, 10)).rejects.toMatchObject({ code: 'JOURNAL_UNAVAILABLE' })
    // Made again by a node that starts: what this one knows is not in it, and it must not go on as if nothing had been.
    const another = node({ servers: server().url, namespace })
    await create(another.journal, 'new')
    await expect(append(journal, 'run', 2, [note('lost')])).rejects.toMatchObject({
      code: 'JOURNAL_DAMAGED',
      details: { reason: 'backwards' },
    })
    expect(await another.journal.summary('run')).toBeUndefined()
    const again = node({ servers: server().url, namespace })
    expect(await append(again.journal, 'new', 2, [note('x')])).toBeUndefined()
  }, 60_000)

  it('that is deleted while nobody asks anything of it is told all the same, once, until it is there again', async () => {
    const looks: (() => void)[] = []
    const patient: Clock = {
      ...machineClock,
      at(deadline, fn) {
        const ms = deadline - Date.now()
        // Looks at the stream happen when the test says so; sweeps come later.
        if (ms < 10_000 || ms > 20_000) return machineClock.at(deadline, fn)
        looks.push(fn)
        return () => undefined
      },
    }
    const made = nodeAt({ servers: server().url }, { clock: patient })
    closing.push(() => made.close())
    const { journal, namespace, reports } = made
    await create(journal, 'run')
    const jsm = await manager()
    const { config } = await jsm.streams.info(`${namespace}_EV`)
    const look = async (): Promise<void> => {
      const count = looks.length
      looks.at(-1)?.()
      await until('it has looked', () => looks.length > count || journal.stream.obstacles.length > 0)
    }
    await look()
    expect([reports, journal.stream.obstacles]).toEqual([[], []])
    await jsm.streams.delete(`${namespace}_EV`)
    await look()
    const gone = { code: 'JOURNAL_UNAVAILABLE', details: { reason: 'stream-gone' } }
    await until('it is told', () => reports.length > 0)
    expect(reports).toMatchObject([gone])
    expect(journal.stream.obstacles).toEqual([expect.stringContaining(`${namespace}_EV`) as string])
    // Not made anew by a node that runs: somebody else's stream of that name is another one.
    await jsm.streams.add(config)
    await until('it has looked again', () => looks.length > 2)
    looks.at(-1)?.()
    await until('it is told that it is another one', () => reports.length > 1)
    expect(reports).toMatchObject([gone, { code: 'JOURNAL_DAMAGED', details: { reason: 'backwards' } }])
    expect(journal.stream.obstacles).toEqual([expect.stringContaining('made again') as string])
  }, 60_000)

  it('that is deleted stands in the errors and the health of engines, and nothing hangs without a word', async () => {
    const namespace = freshNamespace()
    await using engine = createEngine({ transport: natsTransport({ servers: server().url, namespace }) })
    const errors: EngineError[] = []
    engine.errors.subscribe((error) => errors.push(error))
    const one = flow('stream/one', () => 1)
    expect(await engine.run(one)).toBe(1)
    const jsm = await manager()
    await jsm.streams.delete(`${namespace}_EV`)
    const run = engine.run(one)
    run.handle.ignore()
    const codes = (): unknown[] => errors.map(({ error }) => (error as { code?: unknown }).code)
    // That the append was not answered, and why; that a server did not answer may come before.
    await until('it is told', () =>
      ['JOURNAL_CONFLICT', 'JOURNAL_UNAVAILABLE'].every((code) => codes().includes(code)),
    )
    expect(engine.health()).toMatchObject({
      stalled: [run.id],
      obstacles: [expect.stringContaining(`the stream ${namespace}_EV`)],
    })
  }, 60_000)

  it.skipIf(version === 'oldest')(
    'that is full takes nothing, says so, and takes it when there is room',
    async () => {
      const { journal } = node({ servers: server().url, maxBytes: 1_048_576 })
      await create(journal, 'run')
      await create(journal, 'other')
      let position = 2
      let refused: unknown
      const filler = 'x'.repeat(50_000)
      let entries = [note(`${position} ${filler}`)]
      for (; refused === undefined; position++) {
        entries = [note(`${position} ${filler}`)]
        refused = await append(journal, 'run', position, entries).then(
          () => undefined,
          (error: unknown) => error,
        )
      }
      position--
      expect(refused).toMatchObject({ code: 'JOURNAL_UNAVAILABLE', details: { reason: 'full' } })
      await expect(append(journal, 'run', position, entries)).rejects.toMatchObject({
        code: 'JOURNAL_UNAVAILABLE',
      })
      const jsm = await manager()
      await jsm.streams.update(journal.stream.name, { max_bytes: 10_485_760 })
      expect(await append(journal, 'run', position, entries)).toBeUndefined()
      expect(await append(journal, 'run', position + 1, [note('on')])).toBeUndefined()
      const words = wordsOf(await all(journal, 'run'))
      expect(words.map((word) => word.split(' ')[0])).toEqual([
        ...Array.from({ length: position - 1 }, (_, index) => `${index + 2}`),
        'on',
      ])
    },
  )
})

describe.each(versions)('a %s server that comes back with older data', (version) => {
  it('is told, and nothing is written on from what it lost', async () => {
    const server = await startServer({ version })
    closing.push(() => server.stop())
    const { journal, reports } = node({ servers: server.url })
    const backup = `${server.folder}-backup`
    closing.push(async () => rmSync(backup, { recursive: true, force: true }))
    await create(journal, 'run')
    await create(journal, 'untouched')
    await server.kill('SIGTERM')
    cpSync(server.storeDir, backup, { recursive: true })
    await server.restart()
    for (let n = 0; n < 5; n++) await append(journal, 'run', 2 + n, [note(`${n}`)])
    await server.kill('SIGTERM')
    rmSync(server.storeDir, { recursive: true })
    cpSync(backup, server.storeDir, { recursive: true })
    await server.restart()
    const damage = { code: 'JOURNAL_DAMAGED', details: { reason: 'backwards' } }
    await expect(append(journal, 'run', 7, [note('5')])).rejects.toMatchObject(damage)
    await expect(append(journal, 'untouched', 2, [note('x')])).rejects.toMatchObject(damage)
    expect(reports.at(-1)).toMatchObject(damage)
  }, 60_000)
})

describe.each(versions)('two owners of a flow run on the %s server', (version) => {
  const server = useServer({ version })

  it('are one after the other: the one before is refused, and does not go on behind its successor’s entries', async () => {
    const one = node({ servers: server().url })
    const other = node({ servers: server().url, namespace: one.namespace })
    await create(one.journal, 'run')
    // The owner before follows the run, so that it hears of all its successor writes.
    const told: number[] = []
    one.journal.subscribe((_, first) => told.push(first), 'run')
    await one.journal.summary('run')
    const claim = { flowRunId: 'run', expected: 2, epoch: 2, entries: [claimed(2, 'node-b')] }
    expect(await other.journal.append(claim)).toBeUndefined()
    for (let n = 0; n < 3; n++)
      expect(
        await other.journal.append({ flowRunId: 'run', expected: 3 + n, epoch: 2, entries: [note(`${n}`)] }),
      ).toBeUndefined()
    expect(await append(one.journal, 'run', 2, [note('zombie')])).toEqual({ refused: true, position: 6 })
    // Also where it knows the position by now.
    expect(await append(one.journal, 'run', 6, [note('zombie')])).toEqual({ refused: true, position: 6 })
    expect(wordsOf(await all(other.journal, 'run'))).toEqual(['0', '1', '2'])
    expect(told).toEqual([3, 4, 5, 6])
  })

  it('may be the same one again, of a later epoch', async () => {
    const one = node({ servers: server().url })
    const other = node({ servers: server().url, namespace: one.namespace })
    await create(one.journal, 'run')
    await other.journal.append({ flowRunId: 'run', expected: 2, epoch: 2, entries: [claimed(2, 'b')] })
    const back = { flowRunId: 'run', expected: 3, epoch: 3, entries: [claimed(3, 'a')] }
    expect(await one.journal.append(back)).toBeUndefined()
    expect(await append(other.journal, 'run', 4, [note('x')])).toEqual({ refused: true, position: 4 })
    expect((await other.journal.summary('run'))?.epoch).toBe(3)
  })

  it('race for a run: one claims it', async () => {
    const first = node({ servers: server().url })
    const { namespace } = first
    const nodes = [first, ...Array.from({ length: 3 }, () => node({ servers: server().url, namespace }))]
    await create(first.journal, 'run')
    const answers = await Promise.all(
      nodes.map(({ journal }, index) =>
        journal.append({ flowRunId: 'run', expected: 2, epoch: 2, entries: [claimed(2, `${index}`)] }),
      ),
    )
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(1)
  })
})
