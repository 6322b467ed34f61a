import type { Benchmark, Case, Figure } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'

const transitions = ['call → Pending', 'call → Running', 'return → Completed'] as const
const percentiles = ['p50 µs', 'p99 µs'] as const

const measured = (label: string, measure: MeasureName, n: number): Case => ({
  label,
  measure,
  params: { n, subscribers: 1, warmupMs: 0, windowMs: 0 },
})

const cases: readonly Case[] = [
  measured('bare', 'bare/delivery', 20_000),
  measured('chain', 'latency/chain', 20_000),
  measured('paced', 'latency/paced', 1_000),
  measured('hundreds', 'latency/hundreds', 20_000),
]

/** The target holds where the loop is free: with a hundred calls in one turn the calls themselves take it. */
const figures: readonly Figure[] = ['chain', 'paced'].flatMap((shape) =>
  transitions.map((transition) => ({
    label: `${shape}: ${transition}, p99 µs`,
    formula: (read) => read(shape, `${transition} p99 µs`),
    target: { atMost: 1_000 },
  })),
)

/** The aim: a transition to a subscriber in the same process. */
export const latency: Benchmark = {
  name: 'latency',
  durability: 'memory',
  about: 'time from the call that causes a transition to its delivery in the same process',
  groups: () => [
    {
      title: 'latency',
      cases,
      shown: ['delivery', ...transitions].flatMap((name) => percentiles.map((p) => `${name} ${p}`)),
      figures,
    },
  ],
}
