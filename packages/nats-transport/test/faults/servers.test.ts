/** What is done to servers behind the backs of nodes: purged, deleted, full, set back, or too old for what is new. */
import { cpSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { startServer, useServer } from '../servers/index.ts'
import type { Child } from './harness/child.ts'
import type { Frame } from './harness/frames.ts'
import { until } from './harness/until.ts'
import { usePlace, useWorlds } from './harness/worlds.ts'
import { World } from './harness/world.ts'
import { shortTimes } from './harness/times.ts'

const owner = { flows: ['plan', 'even', 'local'] }

describe.concurrent('a server', { timeout: 150_000 }, () => {
  const { world: open } = useWorlds(usePlace())

  it('whose queue is purged and whose consumers are deleted is put right', async () => {
    const world = await open()
    const { jsm } = world.streams
    const queue = `${world.namespace}_TQ`
    const [boss] = (await world.start({ owner, worker: { work: 1 } })) as [Child]
    const waits = [{ key: 'holds', gate: 'holds' }, ...items('waits', 5)]
    await world.run(boss, { flow: 'even', id: 'purged', steps: [waits] })
    await world.deed('began', 'holds')
    await until('all wait in the queue', async () => (await jsm.streams.info(queue)).state.messages === 6)
    expect((await jsm.streams.purge(queue)).purged).toBe(6)
    let deleted = 0
    for await (const { name } of jsm.consumers.list(queue)) {
      await jsm.consumers.delete(queue, name)
      deleted++
    }
    expect(deleted).toBeGreaterThan(0)
    world.ledger.open('holds')
    await world.audit()
    expect(world.deeds('began', 'holds').length).toBeLessThanOrEqual(2)
  })

  it('whose queues are deleted altogether gets them again', async () => {
    const world = await open()
    const { jsm } = world.streams
    const [boss] = (await world.start({ owner, worker: { work: 1 } })) as [Child]
    await world.run(boss, {
      flow: 'even',
      id: 'deleted',
      steps: [[{ key: 'holds', gate: 'holds' }, ...items('waits', 5)]],
    })
    await world.deed('began', 'holds')
    for (const kind of ['TQ', 'FQ']) await jsm.streams.delete(`${world.namespace}_${kind}`)
    world.ledger.open('holds')
    await world.run(boss, { flow: 'even', id: 'after', steps: [items('after', 3)] })
    await world.audit()
    expect(world.deeds('began').length).toBeGreaterThanOrEqual(9)
  })

  it('whose queue of flow runs is purged or deleted while nobody serves them gives them to who does later', async () => {
    const world = await open()
    const { jsm } = world.streams
    const queue = `${world.namespace}_FQ`
    const count = 5
    const startedAs = async (name: string): Promise<void> => {
      for (let n = 0; n < count; n++)
        await world.run('any', { flow: 'plan', id: `${name}-${n}`, steps: [[{ key: `${name}.${n}` }]] })
      await until('all wait', async () => (await jsm.streams.info(queue)).state.messages === count)
    }
    // It leaves the consumers of the queue behind.
    const former = await world.node('former', owner)
    await until('it takes', async () => (await consumersOf(world, queue)).length > 0)
    await former.kill('SIGTERM')
    await former.ended()

    await startedAs('purged')
    expect((await jsm.streams.purge(queue)).purged).toBe(count)
    const consumers = await consumersOf(world, queue)
    expect(consumers).not.toEqual([])
    for (const name of consumers) await jsm.consumers.delete(queue, name)
    await startedAs('deleted')
    await jsm.streams.delete(queue)
    expect(world.deeds('began')).toEqual([])

    await world.start({ owner, worker: { work: 2 } })
    await world.audit()
    const keys = ['deleted', 'purged'].flatMap((name) => items(name, count).map(({ key }) => key))
    expect(
      world
        .deeds('began')
        .map(({ key }) => key)
        .toSorted(),
    ).toEqual(keys)
  })

  // Older ones delete what is oldest, and `maxBytes` is refused there.
  it.skipIf(process.env['TROUPE_PLACE']?.startsWith('oldest'))(
    'that is full holds writers back, who say so, and go on when there is room',
    async () => {
      const world = await open({ settings: { maxBytes: 1_048_576 } })
      const { jsm } = world.streams
      const [boss] = (await world.start({ owner, worker: { work: 2 } })) as [Child]
      await world.run(boss, {
        flow: 'even',
        id: 'full',
        steps: [0, 1, 2].map((n) => items(`full.${n}`, 6, { bytes: 100_000 })),
      })
      await until('its owner is held back', async () => (await stalledOn(boss))[0] === 'full')
      await until('it says so', () => boss.errors.length > 0)
      expect(boss.running).toBe(true)
      await jsm.streams.update(`${world.namespace}_EV`, { max_bytes: 64_000_000 })
      await world.audit()
      expect(boss.errors.join('\n')).toMatch(/full|maximum bytes|room/i)
    },
  )

  it('whose journals are gone stops their writers, with the reason', async () => {
    const world = await open()
    const { jsm } = world.streams
    const [boss] = (await world.start({ owner, worker: { work: 1 } })) as [Child]
    await world.run(boss, {
      flow: 'even',
      id: 'gone',
      steps: [[{ key: 'a' }], [{ key: 'b', gate: 'b' }], [{ key: 'c' }]],
    })
    await world.deed('began', 'b')
    const stream = `${world.namespace}_EV`
    await jsm.streams.delete(stream)
    world.ledger.open('b')
    const isGone = (text: string): boolean =>
      text.includes(`JOURNAL_UNAVAILABLE the stream ${stream} at `) && text.includes(' is gone: ')
    await until('its owner says so', () => boss.errors.some(isGone))
    await until('its owner is held back', async () => (await stalledOn(boss))[0] === 'gone')
    await until('its health says so', async () => (await obstaclesOf(boss)).length > 0)
    expect(await obstaclesOf(boss)).toEqual([expect.stringContaining(`the stream ${stream} at `) as string])
    await expect(world.engine.get('gone')).rejects.toMatchObject({
      code: 'JOURNAL_UNAVAILABLE',
      details: { reason: 'stream-gone', stream },
    })
    expect(world.deeds('began', 'c')).toEqual([])
    expect(boss.running).toBe(true)
  })
})

describe.concurrent('a server that lost its newest writes with its power', { timeout: 120_000 }, () => {
  it('is found out: what was set back is not gone on with in silence', async () => {
    const server = await startServer({ version: 'newest' })
    const world = await World.open({ servers: [server.url], settings: { times: shortTimes } })
    try {
      const [boss] = (await world.start({ owner, worker: { work: 1 } })) as [Child]
      await world.run(boss, {
        flow: 'even',
        id: 'back',
        steps: [
          [{ key: 'a' }],
          [{ key: 'b', gate: 'b' }],
          [{ key: 'c' }],
          [{ key: 'd', gate: 'd' }],
          [{ key: 'e' }],
        ],
      })
      await world.deed('began', 'b')
      // What is on the disk at this time is all that a power loss later on leaves.
      await server.kill()
      const copy = `${server.folder}/copy`
      cpSync(server.storeDir, copy, { recursive: true })
      await server.restart()
      world.ledger.open('b')
      await world.deed('began', 'd')
      const before = await world.streams.lastSeq(`${world.namespace}_EV`)
      await server.kill()
      rmSync(server.storeDir, { recursive: true })
      cpSync(copy, server.storeDir, { recursive: true })
      await server.restart()
      const after = await world.streams.lastSeq(`${world.namespace}_EV`)
      expect(after).toBeLessThan(before)
      world.ledger.open('d')
      await until('its owner says so', () => boss.errors.some((text) => text.includes('JOURNAL_DAMAGED')))
      // It goes no further, and is not hidden.
      await until('its owner is held back', async () => (await stalledOn(boss))[0] === 'back')
      expect(world.deeds('began', 'e')).toEqual([])
    } finally {
      await world.close()
      await server.stop()
    }
  })
})

describe.concurrent('a server of the 2.9 line', { timeout: 120_000 }, () => {
  const server = useServer({ version: 'oldest' })
  const { world: open, proxy: way } = useWorlds({
    urls: () => [server().url],
    settings: { times: shortTimes },
  })

  it('is never asked for what came after it', async () => {
    const world = await open()
    const proxies = [await way(), await way()]
    const asked: Frame[] = []
    for (const proxy of proxies) {
      proxy.intercept = ({ to, frame }) => {
        if (to === 'server') asked.push(frame)
        return 'pass'
      }
    }
    const limits = [{ tag: 'few', concurrency: 2, rate: { count: 100, per: '1s' as const } }]
    const boss = await world.node('owner', { ...owner, via: proxies[0]?.url ?? '', limits })
    await world.node('worker', { work: 2, via: proxies[1]?.url ?? '' })
    const steps = [
      items('a', 4, { tags: ['few'] }),
      { sleep: '100ms' as const },
      [
        { key: 'large', bytes: 500_000 },
        { key: 'again', failures: 1, retryDelay: '100ms' as const },
      ],
    ]
    await world.run(boss, { flow: 'plan', id: 'old', steps })
    await world.audit()
    await boss.kill('SIGTERM')
    await boss.ended()
    const later = /Nats-(TTL|Schedule|Batch-|Expected-Last-Subject-Sequence-Subject|Incr|Required-Api-Level)/i
    expect(asked.filter(({ headers }) => later.test(headers)).map(({ headers }) => headers)).toEqual([])
    const made = asked.filter(({ subject }) =>
      /^\$JS\.API\.(STREAM|CONSUMER)\.(CREATE|UPDATE|DURABLE)/.test(subject),
    )
    expect(made.length).toBeGreaterThan(3)
    const options =
      /"(allow_msg_ttl|subject_delete_marker_ttl|allow_atomic|allow_msg_schedules|allow_msg_counter|persist_mode|metadata|compression|first_seq|filter_subjects|consumer_limits|subject_transform|priority_groups|pause_until)":/
    const wrong = made.map(({ payload }) => payload.toString()).filter((text) => options.test(text))
    expect(wrong).toEqual([])
  })
})

/** Names of the consumers of a stream; none where the stream is not there. */
async function consumersOf({ streams }: World, stream: string): Promise<string[]> {
  const there = (await streams.all()).some(({ config }) => config.name === stream)
  const names: string[] = []
  if (there) for await (const { name } of streams.jsm.consumers.list(stream)) names.push(name)
  return names
}

interface Health {
  readonly stalled: readonly string[]
  readonly obstacles: readonly string[]
}

async function stalledOn(node: Child): Promise<readonly string[]> {
  return ((await node.ask({ do: 'health' })) as Health).stalled
}

async function obstaclesOf(node: Child): Promise<readonly string[]> {
  return ((await node.ask({ do: 'health' })) as Health).obstacles
}

function items(name: string, count: number, more: object = {}) {
  return Array.from({ length: count }, (_, n) => ({ key: `${name}.${n}`, ...more }))
}
