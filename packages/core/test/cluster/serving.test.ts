import { flow, now, receive, sleep, task, type Transition } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

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

  it('hears signals, pauses and cancels from every node', async () => {
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
