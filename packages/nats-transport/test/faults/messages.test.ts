/** Messages that come late, twice, after long, out of order, or make no sense; and values that are too large, or strange. */
import { headers as natsHeaders } from '@nats-io/transport-node'
import { createEngine } from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import type { Child } from './harness/child.ts'
import { shortTimes } from './harness/times.ts'
import { transportOf } from './harness/transport.ts'
import { until } from './harness/until.ts'
import { usePlace, useWorlds } from './harness/worlds.ts'

const { world: open, proxy: way } = useWorlds(usePlace())
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const owner = { flows: ['plan', 'even', 'local'] }

describe.concurrent('messages', { timeout: 120_000 }, () => {
  it('may come late and in any order', async () => {
    // Nobody dies of it: on a busy machine what is late as well must not be too late.
    const world = await open({ settings: { times: { ...shortTimes, keyLifeMs: 15_000 } } })
    const [toOwner, toWorker] = [await way(), await way()]
    const random = seededRandom(7)
    for (const proxy of [toOwner, toWorker]) {
      proxy.intercept = ({ frame }) => {
        const ours = frame.subject.includes(world.namespace) || frame.reply.includes('_INBOX')
        return ours && random.number() < 0.2 ? { afterMs: Math.floor(random.number() * 150) } : 'pass'
      }
    }
    const boss = await world.node('owner', { ...owner, via: toOwner.url })
    await world.node('worker', { work: 4, via: toWorker.url })
    const steps = [0, 1, 2, 3].map((list) => items(`late.${list}`, 12, { failures: list % 2 }))
    await Promise.all(
      [0, 1].map((n) =>
        world.run(boss, { flow: n === 0 ? 'plan' : 'even', id: `late-${n}`, steps: renamed(steps, `${n}`) }),
      ),
    )
    await world.audit()
    expect(toOwner.disturbed).toBeGreaterThan(20)
    expect(toWorker.disturbed).toBeGreaterThan(20)
  })

  it('that are sent again long after they were done change nothing', async () => {
    const world = await open()
    const queue = `${world.namespace}_TQ`
    const { nc } = world.streams
    const heard: { subject: string; data: Uint8Array }[] = []
    const keep = {
      callback: (_: unknown, { subject, data }: { subject: string; data: Uint8Array }) =>
        void heard.push({ subject, data: data.slice() }),
    }
    for (const kind of ['task', 'mb', 'flow']) nc.subscribe(`${world.namespace}.${kind}.>`, keep)
    await nc.flush()
    await world.start({ owner, worker: { work: 2 } })
    const id = await world.run('any', {
      flow: 'even',
      steps: [[{ key: 'first' }], [{ key: 'second', gate: 'second' }]],
    })
    await world.deed('began', 'second')
    const kindOf = (subject: string): string => subject.split('.')[1] ?? ''
    await until(
      'there is one of each kind',
      () => new Set(heard.map(({ subject }) => kindOf(subject))).size === 3,
    )
    const inQueues = async (): Promise<number> => (await world.streams.jsm.streams.info(queue)).state.messages
    /** @returns The kinds of those that servers took once more; others are in their queue, or a journal, still. */
    const sendAgain = async (): Promise<string[]> => {
      const taken: string[] = []
      for (const [n, { subject, data }] of heard.slice().entries()) {
        const headers = natsHeaders()
        headers.set('Nats-Msg-Id', `again-${Date.now()}-${n}`)
        const answer = await nc.request(subject, data, { headers, timeout: 5_000 })
        if (answer.json<{ readonly error?: unknown }>().error === undefined) taken.push(kindOf(subject))
      }
      return taken
    }
    await until('only the second is not done', async () => (await inQueues()) === 1)
    expect((await sendAgain()).filter((kind) => kind === 'task')).toHaveLength(1)
    world.ledger.open('second')
    await world.end(id)
    await until('both are done', async () => (await inQueues()) === 0)
    expect((await sendAgain()).filter((kind) => kind === 'task').length).toBeGreaterThanOrEqual(2)
    await world.audit()
    // Nobody began what had been done, neither while the flow run went on nor after its end.
    expect(world.deeds('began').map(({ key }) => key)).toEqual(['first', 'second'])
  })

  it('that make no sense are set aside, with the reason, and keep nobody from work', async () => {
    const world = await open()
    const [boss] = (await world.start({ owner, worker: { work: 2 } })) as [Child]
    await world.run(boss, { flow: 'plan', id: 'before', steps: [[{ key: 'before' }]] })
    await world.end('before')
    await world.run(boss, { flow: 'plan', id: 'beside', steps: [[{ key: 'a' }, { key: 'b', gate: 'b' }]] })
    await world.deed('began', 'b')
    const { nc } = world.streams
    const garbage = [
      Uint8Array.of(0xc1, 1, 2, 3),
      new Uint8Array(0),
      new TextEncoder().encode('{"not":"ours"}'),
    ]
    for (const [n, bytes] of garbage.entries()) {
      for (const subject of [`task.work.n.garbage-${n}`, `flow.plan.n.garbage-${n}`, 'mb.owner.beside'])
        await nc.request(`${world.namespace}.${subject}`, bytes, { timeout: 5_000 })
    }
    world.ledger.open('b')
    await world.run(boss, { flow: 'plan', id: 'after', steps: [items('after', 10)] })
    await world.audit()
    const told = [...boss.errors, ...world.child('worker').errors]
    const setAside = told.filter((text) => text.includes('was taken from its queue for good'))
    expect(setAside).toHaveLength(6)
  })

  it('may be as large as the server takes, and larger', async () => {
    const world = await open()
    const proxy = await way()
    const boss = await world.node('owner', { ...owner, via: proxy.url })
    await world.node('worker', { work: 2 })
    const most = world.streams.nc.info?.max_payload ?? 0
    const inline = 262_144
    const sizes = [inline - 100, inline, inline + 1, most - 1_000, most - 1, most, most + 1, 3 * most]
    await world.run(boss, { flow: 'even', id: 'first', steps: [[{ key: 'small' }]] })
    await world.end('first')
    const { connections } = proxy
    await world.run(boss, {
      flow: 'even',
      id: 'values',
      steps: [sizes.map((bytes) => ({ key: `value.${bytes}`, bytes }))],
    })
    await world.run(boss, {
      flow: 'even',
      id: 'arguments',
      steps: [sizes.map((bytes) => ({ key: `argument.${bytes}`, ballast: new Uint8Array(bytes) }))],
    })
    expect((await world.result('values')).map(({ bytes }) => bytes)).toEqual(sizes)
    await world.audit()
    // No server ended a connection because something was too large.
    expect(proxy.connections).toBe(connections)
  })

  it('that can not be encoded are refused where they are made', async () => {
    const world = await open()
    const [boss] = (await world.start({ owner, worker: { work: 1 } })) as [Child]
    const ballast = (): void => undefined
    const started = world.engine.run({ flow: 'plan' }, [[{ key: 'a', ballast }]])
    await expect(started).rejects.toMatchObject({ code: 'NOT_ENCODABLE' })
    await world.run(
      boss,
      { flow: 'plan', id: 'strange', steps: [[{ key: 'strange', isStrange: true }]] },
      { state: 'Failed' },
    )
    await expect(boss.result('strange')).rejects.toMatchObject({ code: 'NOT_ENCODABLE' })
    await world.run(boss, { flow: 'plan', id: 'after', steps: [[{ key: 'after' }]] })
    await world.audit()
  })

  it('that cancel reach every run below, whatever it is doing', async () => {
    const world = await open()
    const boss = await world.node('owner', owner)
    const grace = '500ms' as const
    const steps = [
      [
        { key: 'done', priority: 1 },
        { key: 'retries', failures: 1, retryDelay: '1h' as const, priority: 1 },
        ...items('held', 8, { gate: 'never', grace }),
      ],
    ]
    await world.run(boss, { flow: 'even', id: 'tree', steps }, { state: 'Cancelled', keys: ['done'] })
    // The stream is made with the first offer: until then no list has it.
    const queues = () => world.streams.jsm.streams.list(`${world.namespace}.task.>`).next()
    await until('all are in the queue', async () => (await queues())[0]?.state.messages === 10)
    await world.node('worker', { work: 2 })
    // Which two of them run is left to the servers: an offer that is repeated, during an election say, comes behind others.
    const held = () =>
      world
        .deeds('began')
        .map(({ key }) => key)
        .filter((key) => key.startsWith('held'))
    await until('two run', () => held().length === 2)
    await world.seen('tree', ({ to }) => to.name === 'AwaitingRetry', 'one waits for its retry')
    await world.seen(
      'tree',
      ({ to, kind }) => kind === 'task' && to.name === 'Completed',
      'one has completed',
    )
    const handle = await world.engine.get('tree')
    expect((await handle?.cancel('enough'))?.name).toBe('Cancelled')
    for (const key of held()) await world.deed('told', key)
    const last = new Map(world.witness.of('tree').map(({ runId, to }) => [runId, to.name]))
    expect([...last.values()].toSorted()).toEqual([...Array<string>(10).fill('Cancelled'), 'Completed'])
    // The slots of the worker are free again.
    world.ledger.open('never')
    await world.run(boss, { flow: 'even', id: 'after', steps: [items('after', 4)] })
    await world.audit()
    expect(held()).toHaveLength(2)
  })

  it('to runs that wait, are let go, have no owner yet, or are over are kept, or refused', async () => {
    const world = await open()
    const steps = [{ receive: 'word' }]
    // Nobody serves the flow yet.
    const early = await world.run('any', { flow: 'plan', steps })
    await (
      (await world.engine.get(early)) as { signal(name: string, payload: unknown): Promise<void> }
    ).signal('word', 'early')
    const first = await world.node('first', { ...owner, suspendAfter: '200ms' })
    expect((await world.result(early)).map(({ key }) => key)).toEqual(['early'])

    const late = await world.run(first, { flow: 'plan', steps })
    await world.seen(late, ({ to }) => to.name === 'Suspended', 'its body is let go')
    await first.kill()
    await (
      (await world.engine.get(late)) as { signal(name: string, payload: unknown): Promise<void> }
    ).signal('word', 'late')
    await world.node('second', { ...owner, suspendAfter: '200ms' })
    expect((await world.result(late)).map(({ key }) => key)).toEqual(['late'])

    const over = await world.engine.get(late)
    const refused = (over as { signal(name: string, payload: unknown): Promise<void> }).signal(
      'word',
      'too late',
    )
    await expect(refused).rejects.toMatchObject({ code: 'RUN_ENDED' })
    expect(await world.engine.get('never-started')).toBeUndefined()
    await world.audit()
  })

  it('of a whole run reach a reader however slow, and one whose connection is cut', async () => {
    const world = await open()
    const proxy = await way()
    await world.start({ owner, worker: { work: 8 } })
    const engine = createEngine({
      transport: transportOf([proxy.url], world.namespace, {}),
      node: 'reader',
      logger: silent,
    })
    try {
      const id = 'long'
      await world.run('any', {
        flow: 'plan',
        id,
        steps: [0, 1, 2, 3, 4, 5].map((n) => items(`part.${n}`, 100)),
      })
      await until('it is there', () => world.engine.get(id))
      const slow: string[] = []
      const pulls = (async () => {
        for await (const { position, to } of engine.watch({ flowRunId: id })) {
          slow.push(`${position} ${to.name}`)
          if (slow.length % 150 === 0) {
            proxy.drop()
            await new Promise((resolve) => setTimeout(resolve, 20))
          }
        }
      })()
      const pushed: string[] = []
      const pushes = new Promise<void>((resolve, reject) => {
        engine.watch({ flowRunId: id }).subscribe({
          next: ({ position, to }) => {
            pushed.push(`${position} ${to.name}`)
            if (pushed.length % 200 === 0) proxy.drop()
          },
          complete: resolve,
          error: reject,
        })
      })
      await Promise.all([pulls, pushes])
      const seen = world.witness.of(id).map(({ position, to }) => `${position} ${to.name}`)
      expect(seen.length).toBeGreaterThan(1_800)
      expect(slow).toEqual(seen)
      expect(pushed).toEqual(seen)
      expect(proxy.connections).toBeGreaterThan(4)
      await world.audit()
    } finally {
      await engine.close()
    }
  })
})

function items(name: string, count: number, more: object = {}) {
  return Array.from({ length: count }, (_, n) => ({ key: `${name}.${n}`, ...more }))
}

function renamed<T extends { readonly key: string }>(steps: readonly (readonly T[])[], name: string) {
  return steps.map((list) => list.map((item) => ({ ...item, key: `${name}.${item.key}` })))
}
