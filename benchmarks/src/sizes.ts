import type { Benchmark, Case, Figure, Group } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

/** Each takes as long to warm up as the others, and a million as long again as many: few, and far apart. */
const counts = [1, 1_000, 1_000_000] as const
const subscriberCounts = [0, 1, 100] as const

/** Bare actors in the shape of ours: `map` has all its runs alive at once, of which the bare loop keeps 10,000. */
const shapes = [
  { title: 'map', measure: 'task-runs/map-sync', bare: 'bare/fan-out-capped' },
  { title: 'chain', measure: 'task-runs/chain-sync', bare: 'bare/chain' },
] as const satisfies readonly { title: string; measure: MeasureName; bare: MeasureName }[]

const label = (subscribers: number): string => `troupe, subscribers: ${subscribers}`

/** What is long is done once, after a warm-up of short ones. */
function group({ title, measure, bare }: (typeof shapes)[number], n: number, options: Options): Group {
  const { warmupMs, windowMs } = options
  const params = { n, warmupMs, windowMs, ...(n > 10_000 && { warmupN: 1_000, windowMs: 0 }) }
  const cases: readonly Case[] = [
    { label: 'bare', measure: bare, params: { ...params, subscribers: 0 } },
    ...subscriberCounts.map((subscribers) => ({
      label: label(subscribers),
      measure,
      params: { ...params, subscribers },
    })),
  ]
  const figures: readonly Figure[] = subscriberCounts.map((subscribers) => ({
    label: `${label(subscribers)} / bare`,
    formula: (read) => read(label(subscribers), 'runs/s') / read('bare', 'runs/s'),
  }))
  return {
    title: `${title} of ${n} task runs`,
    cases,
    shown: ['runs/s', 'cpu µs/run', 'peak heap MB'],
    figures,
  }
}

/** Flow runs of one task run and of a million, watched by none, one and a hundred. */
export const sizes: Benchmark = {
  name: 'sizes',
  about: 'task runs per second in flow runs of 1 to 1,000,000 task runs, with 0, 1 and 100 subscribers',
  durability: 'memory',
  groups: (options) => shapes.flatMap((shape) => counts.map((n) => group(shape, n, options))),
}
