import { flow, sleep, task, type Station, type TransportHost } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

const add = task('add', (a: number, b: number) => a + b)
const slow = flow('slow', async (ms: number) => {
  await add(1, 2)
  await sleep(ms)
  return add(3, 4)
})
const keyed = slow.with({ idempotencyKey: 'k' })

/** Lets time pass. */
function pass({ clock }: ClusterOfTest, ms: number): Promise<void> {
  return clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
}

/** From when it is said, what a node appends takes so long to get to the store. */
function delayedAppends({ transport, clock }: ClusterOfTest, node: string): (ms: number) => void {
  let lateMs = 0
  const open = transport.open.bind(transport)
  Object.assign(transport, {
    open(host: TransportHost): Station {
      const station = open(host)
      if (host.node !== node) return station
      const append = station.journal.append.bind(station.journal)
      Object.assign(station.journal, {
        append: async (...args: Parameters<typeof append>) => {
          const until = clock.now() + lateMs
          if (lateMs > 0) await new Promise<void>((go) => void clock.at(until, go))
          return append(...args)
        },
      })
      return station
    },
  })
  return (ms) => void (lateMs = ms)
}

describe('a flow run that is started with one key at two nodes at once', () => {
  it.each([20, 500])(
    'is gone on with by the one whose start was refused, in %d ms: it serves the flow',
    async (ms) => {
      await using cluster = new ClusterOfTest()
      const delay = delayedAppends(cluster, 'server')
      const server = cluster.start('server', { serve: { flows: [slow] } })
      const client = cluster.start('client')
      await pass(cluster, 1_000)
      const from = cluster.clock.now()
      delay(ms)
      const own = server.run(keyed, 1_000)
      await pass(cluster, 1)
      // Its offer arrives while the start of the server is on its way.
      const handle = await cluster.settle(client.run({ flow: 'slow', idempotencyKey: 'k' }, 1_000))
      await pass(cluster, ms)
      delay(0)
      expect(await cluster.settle(handle.result())).toBe(7)
      expect(await cluster.settle(own)).toBe(7)
      expect(cluster.clock.now() - from).toBeLessThan(5_000)
    },
  )
})

describe('a flow run whose node is killed, comes back under its name and starts it once more with its key', () => {
  it.each([0, 1, 20, 100, 500])('goes on at another node, where that start takes %d ms', async (ms) => {
    await using cluster = new ClusterOfTest()
    const delay = delayedAppends(cluster, 'starter')
    const server = cluster.start('server', { serve: { flows: [slow] } })
    const run = cluster.start('starter').run(keyed, 10_000)
    run.ignore()
    await pass(cluster, 1_000)
    const from = cluster.clock.now()
    delay(ms)
    cluster.kill('starter')
    const again = cluster.start('starter').run(keyed, 10_000)
    again.ignore()
    await pass(cluster, 60_000)
    const handle = await cluster.settle(server.get(run.id))
    expect(handle!.state).toMatchObject({ name: 'Completed' })
    expect(handle!.state.at - from).toBeLessThan(15_000)
    expect(await cluster.settle(again)).toBe(7)
  })
})
