import {
  flow,
  now,
  receive,
  sleep,
  task,
  type Engine,
  type FlowRunHandle,
  type Station,
  type TransportHost,
  type Transition,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'
import { hostOf } from './support.ts'

const add = task('add', (a: number, b: number) => a + b)
const sum = flow('sum', async (...numbers: number[]) => {
  let total = 0
  for (const number of numbers) total = await add(total, number)
  return total
})
const waits = flow('waits', async () => {
  const word = await receive('word')
  return `heard ${String(word)}`
})
const slow = flow('slow', async (ms: number) => {
  await add(1, 2)
  await sleep(ms)
  return add(3, 4)
})

function pass({ clock }: ClusterOfTest, ms: number): Promise<void> {
  return clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
}

/** A flow of two halves with ten seconds between them, and which of them have been done. */
function inHalves() {
  const done: string[] = []
  const half = task('half', (which: string) => void done.push(which))
  const halves = flow('halves', async () => {
    await half('first')
    await sleep(10_000)
    await half('second')
    return 'whole'
  })
  return { done, halves }
}

/** The handle of a flow run, as some node has it. */
async function seenBy(cluster: ClusterOfTest, engine: Engine, id: string): Promise<FlowRunHandle<unknown>> {
  const seen = await cluster.settle(engine.get(id))
  if (seen?.kind !== 'flow') throw new TypeError(`${id} is no flow run`)
  return seen
}

describe('a flow run for any node', () => {
  it('runs on the node that serves its flow, and its value comes back', async () => {
    await using cluster = new ClusterOfTest()
    cluster.start('server', { serve: { flows: [sum] } })
    const client = cluster.start('client')
    const run = client.run(sum.with({ on: 'any' }), 1, 2, 3)
    expect(await cluster.settle(run)).toBe(6)
    const seen: Transition[] = []
    await cluster.settle(
      (async () => {
        for await (const transition of client.watch({ flowRunId: run.id })) seen.push(transition)
      })(),
    )
    expect(new Set(seen.slice(1).map(({ node }) => node))).toEqual(new Set(['server']))
    expect(seen.map(({ position }) => position)).toEqual(
      seen.map(({ position }) => position).toSorted((a, b) => a - b),
    )
  })

  it('can be started by a process that knows only the name of the flow', async () => {
    await using cluster = new ClusterOfTest()
    cluster.start('server', { serve: { flows: [sum] } })
    const client = cluster.start('client')
    const handle = await cluster.settle(client.run('sum', 4, 5))
    expect(handle.state.type).toBe('PENDING')
    expect(await cluster.settle(handle.result())).toBe(9)
  })

  it('waits for a node that serves it', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    const handle = await cluster.settle(client.run('sum', 4, 5))
    cluster.clock.advance(60_000)
    expect(handle.state.type).toBe('PENDING')
    cluster.start('server', { serve: { flows: [sum] } })
    expect(await cluster.settle(handle.result())).toBe(9)
  })

  it('is left to those who serve it by an engine that recovers and only has it defined', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    const run = client.run(sum.with({ on: 'any' }), 4, 5)
    await pass(cluster, 1_000)
    const other = cluster.start('other')
    expect(await cluster.settle(other.recover())).toEqual([])
    expect(await cluster.settle(client.recover())).toEqual([])
    await pass(cluster, 60_000)
    expect(run.state.name).toBe('Pending')
    cluster.start('server', { serve: { flows: [sum] } })
    expect(await cluster.settle(run)).toBe(9)
  })

  it('is gone on with by whoever recovers it, where its node gave it up and nobody serves it', async () => {
    await using cluster = new ClusterOfTest()
    const run = cluster.start('client').run(slow, 60_000)
    run.ignore()
    await pass(cluster, 1_000)
    cluster.kill('client')
    await pass(cluster, 60_000)
    const again = cluster.start('client')
    await pass(cluster, 1_000)
    await cluster.settle(again.recover())
    const handle = await cluster.settle(again.get(run.id))
    expect(await cluster.settle(handle!.result())).toBe(7)
  })

  it('is not offered again and again while nobody serves its flow, and is when somebody does', async () => {
    await using cluster = new ClusterOfTest()
    const offers: string[] = []
    const open = cluster.transport.open.bind(cluster.transport)
    const stations = new Map<string, Station>()
    Object.assign(cluster.transport, {
      open(host: TransportHost): Station {
        const station = open(host)
        stations.set(host.node, station)
        const offer: Station['queue']['offer'] = (one) => {
          offers.push(host.node)
          return queue.offer(one)
        }
        const { queue } = station
        return {
          ...station,
          queue: {
            take: queue.take.bind(queue),
            pending: queue.pending.bind(queue),
            withdraw: queue.withdraw.bind(queue),
            offer,
          },
        }
      },
    })
    cluster.start('server', { serve: { flows: [waits] } })
    const client = cluster.start('client')
    const runs = await cluster.settle(Promise.all(Array.from({ length: 20 }, (_, n) => client.run('sum', n))))
    await pass(cluster, 120_000)
    expect(offers.filter((node) => node === 'server')).toEqual([])
    // Though all of these were lost.
    const queue = { of: 'flow', name: 'sum' } as const
    const { ids } = await cluster.settle(stations.get('client')!.queue.pending(queue, 100))
    for (const id of ids) await cluster.settle(stations.get('client')!.queue.withdraw(queue, id))
    expect(ids).toHaveLength(20)
    cluster.start('adds', { serve: { flows: [sum] } })
    expect(await cluster.settle(Promise.all(runs.map((run) => run.result())))).toEqual(runs.map((_, n) => n))
  })

  it('is one, whoever starts it with the same key', async () => {
    await using cluster = new ClusterOfTest()
    cluster.start('server', { serve: { flows: [sum] } })
    const clients = ['a', 'b', 'c'].map((name) => cluster.start(name))
    const handles = await cluster.settle(
      Promise.all(clients.map((client) => client.run({ flow: 'sum', idempotencyKey: 'k' }, 1, 1))),
    )
    expect(new Set(handles.map(({ id }) => id)).size).toBe(1)
    expect(await cluster.settle(Promise.all(handles.map((handle) => handle.result())))).toEqual([2, 2, 2])
    const [first] = clients
    await expect(
      cluster.settle(first!.run({ flow: 'sum', idempotencyKey: 'k' }, 1, 2)),
    ).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
  })

  it('hears signals and cancels from every node', async () => {
    await using cluster = new ClusterOfTest()
    cluster.start('server', { serve: { flows: [waits] } })
    const client = cluster.start('client')
    const other = cluster.start('other')
    const told = await cluster.settle(client.run('waits'))
    const seen = await cluster.settle(other.get(told.id))
    await cluster.settle(
      seen!.kind === 'flow' ? seen!.signal('word', 'hello') : Promise.reject(new TypeError()),
    )
    expect(await cluster.settle(told.result())).toBe('heard hello')
    const stopped = await cluster.settle(client.run('waits'))
    expect(await cluster.settle(stopped.cancel('enough'))).toMatchObject({ name: 'Cancelled' })
  })

  it('is paused and resumed from every node, and goes no further in between', async () => {
    await using cluster = new ClusterOfTest()
    const { done, halves } = inHalves()
    cluster.start('server', { serve: { flows: [halves] } })
    const [client, other] = [cluster.start('client'), cluster.start('other')]
    const told = await cluster.settle(client.run('halves'))
    await pass(cluster, 1_000)
    const seen = await seenBy(cluster, other, told.id)
    expect(await cluster.settle(seen.pause())).toMatchObject({ type: 'PAUSED', name: 'Paused' })
    // Far beyond the end of its sleep.
    await pass(cluster, 40_000)
    expect((await seenBy(cluster, client, told.id)).state.name).toBe('Paused')
    expect(done).toEqual(['first'])
    expect((await cluster.settle(told.resume())).type).not.toBe('PAUSED')
    expect(await cluster.settle(seen.result())).toBe('whole')
    const states: string[] = []
    await cluster.settle(
      (async () => {
        for await (const { kind, node, to } of client.watch({ flowRunId: told.id }))
          if (kind === 'flow') states.push(`${to.name} ${node}`)
      })(),
    )
    expect(states.slice(1)).toEqual(['Running server', 'Paused server', 'Running server', 'Completed server'])
    expect(done).toEqual(['first', 'second'])
  })

  it('that is paused stays so over a takeover, and goes on there when another node resumes it', async () => {
    await using cluster = new ClusterOfTest()
    const { done, halves } = inHalves()
    cluster.start('first', { serve: { flows: [halves] } })
    const client = cluster.start('client')
    const told = await cluster.settle(client.run('halves'))
    await pass(cluster, 1_000)
    expect(await cluster.settle(told.pause())).toMatchObject({ name: 'Paused' })
    cluster.start('second', { serve: { flows: [halves] } })
    cluster.kill('first')
    await pass(cluster, 60_000)
    const observer = cluster.transport.open(hostOf('observer', cluster.clock))
    expect(await cluster.settle(observer.journal.summary(told.id))).toMatchObject({
      node: 'second',
      state: 'Paused',
    })
    await cluster.settle(observer.close())
    expect((await seenBy(cluster, client, told.id)).state.name).toBe('Paused')
    expect(done).toEqual(['first'])
    expect((await cluster.settle(told.resume())).type).not.toBe('PAUSED')
    expect(await cluster.settle(told.result())).toBe('whole')
    // What was finished before the takeover was not done again.
    expect(done).toEqual(['first', 'second'])
  })
})

describe('a flow run whose node is killed', () => {
  it('goes on where its flow is served, and nothing that was finished runs again', async () => {
    await using cluster = new ClusterOfTest()
    const first = cluster.start('first', { serve: { flows: [slow] } })
    const run = first.run(slow, 30_000)
    run.ignore()
    const second = cluster.start('second', { serve: { flows: [slow] } })
    await cluster.settle(
      new Promise<void>((resolve) => {
        run.transitions.subscribe((t) => t.task === 'add' && t.to.name === 'Completed' && resolve())
      }),
    )
    cluster.kill('first')
    const handle = await cluster.settle(second.get(run.id))
    expect(await cluster.settle(handle!.result())).toBe(7)
    const seen: Transition[] = []
    await cluster.settle(
      (async () => {
        for await (const transition of second.watch({ flowRunId: run.id })) seen.push(transition)
      })(),
    )
    expect(seen.filter((t) => t.task === 'add' && t.to.name === 'Running')).toHaveLength(2)
    expect(seen.at(-1)).toMatchObject({ node: 'second', to: { name: 'Completed' } })
  })

  it('is let go by a node that was cut off, whose body stays pending', async () => {
    await using cluster = new ClusterOfTest()
    const stay: string[] = []
    const watched = flow('watched', async () => {
      await sleep(20_000)
      stay.push(String(now()))
      return 'done'
    })
    const first = cluster.start('first', { serve: { flows: [watched] } })
    const run = first.run(watched)
    await cluster.settle(
      run.handle.transitions.subscribe === undefined
        ? Promise.resolve()
        : new Promise((resolve) => cluster.clock.at(cluster.clock.now() + 100, () => resolve(undefined))),
    )
    const second = cluster.start('second', { serve: { flows: [watched] } })
    cluster.transport.partition('first')
    const handle = await cluster.settle(second.get(run.id))
    expect(await cluster.settle(handle!.result())).toBe('done')
    cluster.transport.heal('first')
    // Whoever holds the future of the node that lost it hears of the end all the same.
    expect(await cluster.settle(run)).toBe('done')
    expect(stay).toHaveLength(1)
  })
})

describe('an engine that closes', () => {
  it('hands what has not ended to the others at once', async () => {
    await using cluster = new ClusterOfTest()
    const first = cluster.start('first', { serve: { flows: [slow] } })
    const run = first.run(slow, 30_000)
    await cluster.settle(
      new Promise((resolve) => cluster.clock.at(cluster.clock.now() + 100, () => resolve(undefined))),
    )
    const second = cluster.start('second', { serve: { flows: [slow] } })
    run.ignore()
    await cluster.settle(first.close())
    const before = cluster.clock.now()
    const handle = await cluster.settle(second.get(run.id))
    expect(await cluster.settle(handle!.result())).toBe(7)
    expect(cluster.clock.now() - before).toBeLessThan(31_000)
  })
})
