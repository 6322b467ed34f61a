import { describe, expect, it } from 'vitest'
import { VirtualCluster, remoteFlow } from './support.ts'
import { held, open, slow, traceOf } from './tasks.ts'

/** Lets time pass until a body has left so many lines. */
async function traced(cluster: VirtualCluster, name: string, lines: number): Promise<void> {
  while (traceOf(name).length < lines) await cluster.pass(50)
}

describe('a worker that is closed', () => {
  it('lets bodies end within its grace, and what has not begun is for others at once', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    const w1 = cluster.worker('w1', { default: 1 })
    const run = owner.run(
      remoteFlow('draining/grace', () => [
        held('within grace'),
        ...[1, 2, 3].map((n) => slow('handed on', n, 10)),
      ]),
    )
    await traced(cluster, 'within grace', 1)
    cluster.worker('w2', { default: 1 })
    const closed = w1.close({ grace: '1m' })
    await cluster.pass(1_000)
    expect(traceOf('handed on').length).toBe(6)
    open('within grace')
    const before = cluster.clock.now()
    await cluster.settle(closed)
    expect(cluster.clock.now() - before).toBeLessThan(10_000)
    expect(await cluster.settle(run)).toEqual([1, 1, 2, 3])
    expect(traceOf('within grace')).toEqual(['+1', '-1 done'])
  })

  it('hands on what has not ended within its grace: another attempt runs elsewhere, and nothing fails', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    const w1 = cluster.worker('w1', { default: 2 })
    const run = owner.run(remoteFlow('draining/late', () => [held('late'), slow('in time', 1, 500)]))
    await traced(cluster, 'late', 1)
    await traced(cluster, 'in time', 1)
    cluster.worker('w2', { default: 2 })
    await cluster.settle(w1.close({ grace: '2s' }))
    await traced(cluster, 'late', 3)
    expect(traceOf('late')).toEqual(['+1', '-1 ENGINE_CLOSED', '+2'])
    open('late')
    expect(await cluster.settle(run)).toEqual([2, 1])
    expect(traceOf('in time')).toEqual(['+1', '-1'])
  })

  it('one after the other: a rolling restart fails no run, and runs none twice that had time to end', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    for (const name of ['w1', 'w2']) cluster.worker(name, { default: 3 })
    const values = Array.from({ length: 200 }, (_, n) => n)
    const run = owner.run(remoteFlow('draining/rolling', () => values.map((n) => slow('rolling', n, 40))))
    for (const name of ['w1', 'w2']) {
      await cluster.pass(200)
      cluster.worker(`${name}, new`, { default: 3 })
      await cluster.settle(cluster.engines.get(name)?.close({ grace: '10s' }) ?? Promise.resolve())
      cluster.engines.delete(name)
    }
    expect(await cluster.settle(run)).toEqual(values)
    expect(traceOf('rolling').filter((line) => line.startsWith('+')).length).toBe(200)
  })
})
