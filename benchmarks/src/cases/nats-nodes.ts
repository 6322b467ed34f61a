import { createEngine } from '@troupe/core'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { throughput } from '../lib/throughput.ts'
import { startBeside, type Beside } from '../nats/beside.ts'
import { startNats, type NatsServers } from '../nats/server.ts'
import { spreads, type Load } from '../nats/spread.ts'
import { failOnErrors, transportTo } from '../nats/troupe.ts'

/** Task runs of one flow run. */
const perFlowRun = 50

interface Spent {
  readonly server: number
  readonly nodes: readonly number[]
}

/**
 * Task runs of flow runs that any of so many nodes takes: each owns flow runs, and executes task runs of its own and of the
 * others. This process is a client that starts them and gets their values.
 */
const spread =
  (load: Load): Measure =>
  async (params) => {
    const { processes = 1 } = params
    const server = await startNats({})
    try {
      const client = createEngine(transportTo(server))
      failOnErrors(client)
      const nodes: Beside[] = []
      for (let i = 0; i < processes; i++) nodes.push(await startBeside('node', server, load))
      const start = spreads[load].with({ on: 'any' })
      let taskRuns = 0
      let before: Spent | undefined
      let after: Spent | undefined
      const work = async (n: number): Promise<void> => {
        const counts = Array.from({ length: Math.ceil(n / perFlowRun) }, (_, i) =>
          Math.min(perFlowRun, n - i * perFlowRun),
        )
        const values = await Promise.all(counts.map((count) => client.run(start, count)))
        expectEqual(
          'values',
          values.reduce((sum, value) => sum + value, 0),
          n,
        )
        taskRuns += n
      }
      const readings = await throughput(
        () => ({
          work,
          ready: async () => {
            taskRuns = 0
            before = await spentBy(server, nodes)
          },
          close: async () => {
            after = await spentBy(server, nodes)
          },
        }),
        params,
      )
      const used = nodes.map((_, i) => (after?.nodes[i] ?? NaN) - (before?.nodes[i] ?? NaN))
      const all = used.reduce((sum, some) => sum + some, 0)
      await client.close()
      for (const node of nodes) await node.stop()
      return {
        ...readings,
        'nodes cpu µs/run': (all / taskRuns) * 1e3,
        'server cpu µs/run': (((after?.server ?? NaN) - (before?.server ?? NaN)) / taskRuns) * 1e3,
        'share of the busiest node': Math.max(...used) / all,
      }
    } finally {
      await server.stop()
    }
  }

async function spentBy(server: NatsServers, nodes: readonly Beside[]): Promise<Spent> {
  const used: number[] = []
  for (const node of nodes) used.push(Number(await node.ask()))
  return { server: server.cpuMs(), nodes: used }
}

export const measures: Readonly<Record<string, Measure>> = {
  small: spread('small'),
  compute: spread('compute'),
}
