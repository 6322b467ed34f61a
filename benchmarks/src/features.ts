import type { Benchmark, Case, Figure } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const none = 'none'
const limitOf2 = 'limit of 2'

const measured = (label: string, measure: MeasureName, { warmupMs, windowMs }: Options): Case => ({
  label,
  measure,
  params: { n: 10_000, subscribers: 0, warmupMs, windowMs },
})

const features: readonly (readonly [string, MeasureName])[] = [
  [limitOf2, 'limits/limit-of-2'],
  ['limit that nobody waits for', 'limits/limit-of-n'],
  ['rate that nobody waits for', 'limits/rate'],
  ['retries and time limit', 'limits/retries-and-timeout'],
  ['hook', 'limits/hooks'],
  ['tags', 'limits/tags'],
  ['schema of parameters that takes all', 'limits/parameters'],
  ['key of each call', 'limits/keys'],
  ['cache, refreshed', 'limits/cache-miss'],
  ['cache, found', 'limits/cache-hit'],
  ['strict values', 'limits/strict-values'],
  ["XState's inspector, which does nothing", 'limits/inspector'],
  ['instrumentation that does nothing', 'telemetry/port'],
  ['OpenTelemetry, not sampled', 'telemetry/unsampled'],
  ['OpenTelemetry, all spans', 'telemetry/sampled'],
]

const figures: readonly Figure[] = features.map(([label]) => ({
  label: `${label} / ${none}`,
  formula: (read) => read(label, 'runs/s') / read(none, 'runs/s'),
  ...(label === limitOf2 ? { target: { atLeast: 0.5 } } : undefined),
}))

/** What options cost where they are used: a fan-out of 10,000, whose bodies take a turn of the event loop each. */
export const featureCosts: Benchmark = {
  name: 'features',
  durability: 'memory',
  about: 'task runs per second with an option, beside the same without it',
  groups: (options) => [
    {
      title: 'fan-out of 10000',
      cases: [
        measured(none, 'limits/none', options),
        ...features.map(([label, measure]) => measured(label, measure, options)),
      ],
      shown: ['runs/s', 'cpu µs/run'],
      figures,
    },
  ],
}
