/** Transitions that are kept: each at least once, whoever is killed when, and once in the stream. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import { createEngine, encryption, flow, task, type Transition } from '@troupe/core'
import { TransitionReader } from '@troupe/core/internal'
import { checkTransitions, seededRandom } from '@troupe/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { natsTransport, type NatsTransportOptions } from '../../src/index.ts'
import { settingsOf } from '../../src/options.ts'
import { Shared } from '../../src/shared.ts'
import { useServer, versions } from '../servers/index.ts'
import { until } from '../faults/harness/until.ts'
import { append, create, freshNamespace, hostOf, moved, type Entry } from '../support.ts'
import { Owner } from './owner.ts'

const add = task('add', (a: number, b: number) => a + b)
const sum = flow('sum', (n: number) => add(n, 1))

interface Kept {
  readonly id: string
  readonly transition: Transition
}

describe.each(versions)('on the %s server', { timeout: 60_000 }, (version) => {
  const server = useServer({ version })
  const ends: (() => unknown)[] = []
  let namespace = ''
  let nc: NatsConnection
  beforeEach(async () => {
    namespace = freshNamespace()
    nc = await connect({ servers: server().url })
    ends.push(() => nc.close())
  })
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  function sharedAt(options: NatsTransportOptions): Shared & { readonly reports: unknown[] } {
    const reports: unknown[] = []
    const settings = settingsOf({ servers: server().url, namespace, ...options })
    const node = new Shared(settings, hostOf(reports), { gone: async (names) => names })
    ends.push(() => node.close())
    return Object.assign(node, { reports })
  }

  /** A node that publishes when it is told to, and that takes every other one for gone. */
  const nodeAt = (options: NatsTransportOptions = {}): ReturnType<typeof sharedAt> =>
    sharedAt({ publish: { durable: true }, ...options })

  /** One that commits, and is dead before anything of it is published. */
  const writerAt = (options: NatsTransportOptions = {}): ReturnType<typeof sharedAt> => sharedAt(options)

  /** What is in the stream. */
  async function kept(): Promise<Kept[]> {
    const manager = await jetstreamManager(nc)
    const stream = `${namespace}_PUB`
    const { state } = await manager.streams.info(stream)
    const found: Kept[] = []
    for (let seq = state.first_seq; seq > 0 && seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(stream, { seq })
      if (message === null) continue
      found.push({ id: message.header.get('Nats-Msg-Id'), transition: message.json<Transition>() })
    }
    return found
  }

  /** Resolves when so many are in the stream. */
  async function keptAtLeast(count: number): Promise<Kept[]> {
    const manager = await jetstreamManager(nc)
    await until(`${count} are kept`, async () => {
      const there = await manager.streams.info(`${namespace}_PUB`).catch(() => undefined)
      return (there?.state.messages ?? 0) >= count
    })
    return kept()
  }

  const words = (found: readonly Kept[]): string[] =>
    found.map(({ transition }) => `${transition.flowRunId} ${transition.seq} ${transition.to.name}`)

  it('another node publishes what one had committed that died before it could', async () => {
    const dead = writerAt()
    await create(dead.journal, 'run1')
    await append(dead.journal, 'run1', 2, [moved('Running')])
    await append(dead.journal, 'run1', 3, [{ ...moved('Completed'), seq: 3 } as Entry])
    await create(dead.journal, 'run2')
    await dead.link.close()
    const alive = nodeAt()
    alive.relay?.start()
    const found = await keptAtLeast(4)
    expect(words(found)).toEqual(['run1 1 Pending', 'run1 2 Running', 'run1 3 Completed', 'run2 1 Pending'])
    expect(alive.reports).toEqual([])
    expect(found[0]?.transition).toMatchObject({
      v: 1,
      flow: 'delays',
      from: null,
      position: 2,
      node: 'node-a',
    })
  })

  it('another node publishes what one had read that died before it could send it', async () => {
    const writer = writerAt()
    await create(writer.journal, 'run1')
    const dying = nodeAt()
    const { publisher } = await dying.link.bulk()
    await new Promise<void>((resolve) => {
      publisher.publish = () => {
        resolve()
        return new Promise(() => undefined)
      }
      dying.relay?.start()
    })
    await dying.link.close()
    const alive = nodeAt()
    alive.relay?.start()
    expect(words(await keptAtLeast(1))).toEqual(['run1 1 Pending'])
  })

  it('publishes what is committed while it runs, from every node', async () => {
    const [node, one, other] = [nodeAt(), writerAt(), writerAt()]
    node.relay?.start()
    await create(one.journal, 'run1')
    await keptAtLeast(1)
    await create(other.journal, 'run2')
    await append(one.journal, 'run1', 2, [moved('Running')])
    expect(words(await keptAtLeast(3)).toSorted()).toEqual([
      'run1 1 Pending',
      'run1 2 Running',
      'run2 1 Pending',
    ])
  })

  it('keeps once what was published again, because nobody had marked it', async () => {
    const writer = writerAt()
    for (let n = 0; n < 20; n++) await create(writer.journal, `run${n}`)
    for (let life = 0; life < 5; life++) {
      const node = nodeAt()
      node.relay?.start()
      await keptAtLeast(20 + life)
      // Killed: nothing is marked or released.
      await node.link.close()
      await create(writer.journal, `more${life}`)
    }
    const last = nodeAt()
    last.relay?.start()
    const found = await keptAtLeast(25)
    expect(new Set(words(found)).size).toBe(25)
    expect(found).toHaveLength(25)
  })

  it('misses nothing and keeps nothing twice while those who publish are killed', async () => {
    const random = seededRandom(7)
    const writer = writerAt()
    const runs = Array.from({ length: 15 }, (_, n) => `run${n}`)
    let isWriting = true
    const killing = (async () => {
      while (isWriting) {
        const node = nodeAt()
        node.relay?.start()
        await new Promise((resolve) => setTimeout(resolve, 20 + random.number() * 120))
        await node.link.close()
      }
    })()
    await Promise.all(
      runs.map(async (run) => {
        await create(writer.journal, run)
        for (let seq = 2; seq <= 21; seq++) {
          const to = seq === 21 ? 'Completed' : seq % 2 === 0 ? 'Running' : 'AwaitingRetry'
          await append(writer.journal, run, seq, [{ ...moved(to), seq } as Entry])
        }
      }),
    )
    isWriting = false
    await killing
    const last = nodeAt()
    last.relay?.start()
    const found = await keptAtLeast(runs.length * 21)
    await last.relay?.end()
    const after = await kept()
    expect(after).toHaveLength(runs.length * 21)
    expect(new Set(words(after)).size).toBe(found.length)
    expect(last.reports).toEqual([])
  })

  it('keeps everything once where two nodes take each other for gone, again and again', async () => {
    const writer = writerAt()
    const nodes = [nodeAt(), nodeAt(), nodeAt()]
    for (const node of nodes) node.relay?.start()
    for (let run = 0; run < 30; run++) {
      await create(writer.journal, `run${run}`)
      for (let seq = 2; seq <= 6; seq++) {
        const to = seq === 6 ? 'Completed' : seq % 2 === 0 ? 'Running' : 'AwaitingRetry'
        await append(writer.journal, `run${run}`, seq, [{ ...moved(to), seq } as Entry])
      }
      await keptAtLeast(6 * (run + 1) - 3)
    }
    const found = words(await keptAtLeast(180))
    for (const node of nodes) await node.relay?.end()
    expect(await kept()).toHaveLength(180)
    expect(new Set(found).size).toBe(180)
    expect(nodes.flatMap(({ reports }) => reports)).toEqual([])
  })

  it('is done by one node, and by another when that one is closed', async () => {
    const settings = settingsOf({ servers: server().url, namespace, publish: { durable: true } })
    const [first, second] = [new Shared(settings, hostOf()), new Shared(settings, hostOf())]
    ends.push(
      () => first.close(),
      () => second.close(),
    )
    first.relay?.start()
    await create(first.journal, 'run1')
    await keptAtLeast(1)
    second.relay?.start()
    await create(second.journal, 'run2')
    await keptAtLeast(2)
    await first.close()
    await create(second.journal, 'run3')
    expect(words(await keptAtLeast(3))).toEqual(['run1 1 Pending', 'run2 1 Pending', 'run3 1 Pending'])
    const mark = await second.register.get('publish.v1')
    expect(JSON.parse(Buffer.from(mark?.value ?? []).toString())).toMatchObject({
      node: second.link.host.node,
    })
  })

  it('keeps both lives of an id that was forgotten and used again', async () => {
    const node = nodeAt()
    node.relay?.start()
    await create(node.journal, 'run1')
    await keptAtLeast(1)
    await node.journal.delete('run1')
    await create(node.journal, 'run1')
    const found = await keptAtLeast(2)
    expect(words(found)).toEqual(['run1 1 Pending', 'run1 1 Pending'])
    expect(new Set(found.map(({ id }) => id)).size).toBe(2)
  })

  it('needs no large values, and passes over what is damaged', async () => {
    const writer = writerAt()
    await create(writer.journal, 'large', { inputs: new Uint8Array(300_000).fill(7) })
    await create(writer.journal, 'damaged')
    await append(writer.journal, 'large', 2, [moved('Running')])
    // Somebody deletes the value, and writes what is no record.
    await (
      await writer.blobs.clearing('large')
    )()
    const foreign = headers()
    foreign.set('Some', 'thing')
    await jetstream(nc).publish(`${namespace}.ev.damaged`, 'no record', { headers: foreign })
    await create(writer.journal, 'last')
    const node = nodeAt()
    node.relay?.start()
    expect(words(await keptAtLeast(4))).toEqual([
      'large 1 Pending',
      'damaged 1 Pending',
      'large 2 Running',
      'last 1 Pending',
    ])
    expect(node.reports).toEqual([expect.objectContaining({ code: 'JOURNAL_DAMAGED' })])
  })

  it('leaves what it has no key for to a node that has', async () => {
    const codecs = [encryption({ key: 'ab'.repeat(32) })]
    await create(writerAt({ codecs }).journal, 'run1')
    const [blind, knowing] = [nodeAt(), nodeAt({ codecs })]
    blind.relay?.start()
    await until('it says so', () => blind.reports.length > 0)
    expect(blind.reports[0]).toMatchObject({ code: 'UNSUPPORTED_FORMAT' })
    knowing.relay?.start()
    expect(words(await keptAtLeast(1))).toEqual(['run1 1 Pending'])
  })

  it('makes the stream again that somebody deleted, and goes on', async () => {
    const node = nodeAt()
    node.relay?.start()
    await create(node.journal, 'run1')
    await keptAtLeast(1)
    const manager = await jetstreamManager(nc)
    await manager.streams.delete(`${namespace}_PUB`)
    await create(node.journal, 'run2')
    expect(words(await keptAtLeast(1))).toEqual(['run2 1 Pending'])
  })

  it('publishes what engines do, to consumers and to those who only listen', async () => {
    const transport = natsTransport({
      servers: server().url,
      namespace,
      publish: { durable: true, format: 'json', age: '1h', bytes: 10_000_000 },
    })
    const heard: string[] = []
    nc.subscribe(`${namespace}.live.v1.sum.*._._.*`, {
      callback: (_, message) => void heard.push(message.subject.split('.').at(-1) ?? ''),
    })
    await nc.flush()
    const engine = createEngine({ node: 'n1', transport, serve: { flows: [sum] } })
    const transitions: Transition[] = []
    engine.transitions.subscribe((transition) => transitions.push(transition))
    expect(await engine.run(sum, 1)).toBe(2)
    // It is closed at once: the rest is published before.
    await engine.close()
    const found = await kept()
    expect(found.map(({ transition }) => transition)).toEqual(transitions.map((one) => ({ v: 1, ...one })))
    checkTransitions(found.map(({ transition }) => transition))
    await nc.flush()
    expect(heard).toEqual(['PENDING', 'RUNNING', 'COMPLETED'])
    const consumer = await jetstream(nc).consumers.get(`${namespace}_PUB`, {
      filter_subjects: `${namespace}.live.v1.*.*.add.*.COMPLETED`,
    })
    const message = await consumer.next({ expires: 5_000 })
    expect(message?.json<Transition>()).toMatchObject({ task: 'add', to: { name: 'Completed' } })
    const { config } = await (await jetstreamManager(nc)).streams.info(`${namespace}_PUB`)
    expect(config).toMatchObject({ max_age: 3_600e9, max_bytes: 10_000_000, storage: 'file' })
  })

  it(
    'misses nothing of what owners committed that were killed, whenever that was',
    { timeout: 200_000 },
    async () => {
      const order = { url: server().url, namespace }
      for (let life = 0; life < 4; life++) {
        const owner = await Owner.start({ ...order, node: `owner-${life}` })
        await owner.hasDone(10 + 7 * life)
        await owner.kill()
      }
      const last = await Owner.start({ ...order, node: 'last' })
      await last.hasDone(5)
      last.rest()
      // What was lost is taken over, and goes on.
      const reader = new Shared(settingsOf({ servers: server().url, namespace }), hostOf())
      ends.push(() => reader.close())
      const others = async () =>
        (await reader.journal.list({ limit: 10_000, ended: false })).filter(({ node }) => node !== 'last')
      await until('all others have ended', async () => (await others()).length === 0)
      await last.close()
      const recorded: string[] = []
      for (const { flowRunId } of await reader.journal.list({ limit: 10_000 })) {
        const transitions = new TransitionReader(flowRunId)
        for (const entry of await reader.journal.read(flowRunId, 1, 10_000)) {
          const transition = transitions.read(entry)
          if (transition !== undefined) recorded.push(`${transition.runId} ${transition.seq}`)
        }
      }
      expect(recorded.length).toBeGreaterThan(500)
      const found = (await kept()).map(({ transition }) => `${transition.runId} ${transition.seq}`)
      expect(found.toSorted()).toEqual(recorded.toSorted())
    },
  )
})
