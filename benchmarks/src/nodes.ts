import type { Benchmark, Case, Figure, Group } from './lib/benchmark.ts'
import { natsServerVersion } from './nats/server.ts'

const counts = [1, 2, 4] as const
const label = (processes: number): string => `${processes} ${processes === 1 ? 'node' : 'nodes'}`

/** The client, whose CPU time is what warm-up and window are counted in, does little beside its nodes. */
const kinds = [
  { title: 'small bodies', measure: 'nats-nodes/small', n: 5_000, warmupMs: 1_500, windowMs: 500 },
  {
    title: 'bodies that compute for 5 ms',
    measure: 'nats-nodes/compute',
    n: 500,
    warmupMs: 150,
    windowMs: 50,
  },
] as const

function group({ title, measure, ...params }: (typeof kinds)[number]): Group {
  const cases = counts.map((processes): Case => {
    return { label: label(processes), measure, params: { ...params, subscribers: 0, processes } }
  })
  const figures = counts.slice(1).map((processes): Figure => {
    return {
      label: `${label(processes)} / ${label(1)}, runs/s`,
      formula: (read) => read(label(processes), 'runs/s') / read(label(1), 'runs/s'),
    }
  })
  const shown = ['runs/s', 'cpu µs/run', 'nodes cpu µs/run', 'server cpu µs/run', 'share of the busiest node']
  return { title, cases, shown, figures }
}

/** How nodes share flow runs and task runs: speed-up needs a core for each, and one for client and server. */
export const nodes: Benchmark = {
  name: 'nodes',
  about:
    'flow runs of 50 task runs each that 1, 2 and 4 node processes take from a client, over NATS, all on this machine',
  durability: 'process',
  prepare: async () => ({ natsServer: (await natsServerVersion()) ?? 'none' }),
  groups: () => kinds.map(group),
}
