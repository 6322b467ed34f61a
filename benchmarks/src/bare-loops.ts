import type { Benchmark, Case } from './lib/benchmark.ts'
import type { Options } from './lib/options.ts'

const loops = [
  { measure: 'bare/chain', n: 10_000 },
  { measure: 'bare/fan-out', n: 1_000 },
  { measure: 'bare/fan-out', n: 10_000 },
  { measure: 'bare/fan-out', n: 20_000 },
  { measure: 'bare/fan-out-capped', n: 100_000 },
] as const

const cases = ({ warmupMs, windowMs }: Options): readonly Case[] =>
  loops.flatMap(({ measure, n }) =>
    [0, 1].map((subscribers) => ({
      label: `${measure} of ${n}${subscribers ? ', subscribed' : ''}`,
      measure,
      params: { n, subscribers, warmupMs, windowMs },
    })),
  )

/** The bare loops by themselves. */
export const bareLoops: Benchmark = {
  name: 'bare',
  durability: 'none',
  about: 'how many bare XState actors run per second, with no engine around them',
  groups: (options) => [
    { title: 'bare', cases: cases(options), shown: ['runs/s', 'cpu µs/run'], figures: [] },
  ],
}
