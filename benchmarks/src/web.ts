import type { Benchmark, Case, Figure } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const none = 'nobody watches'
const own = '1,000 watchers, each of a run of its own'
const one = '1,000 watchers of one run'

const measured = (label: string, measure: MeasureName, subscribers: number, options: Options): Case => {
  const { warmupMs, windowMs } = options
  // Long enough for the one run that all watch to move more than once.
  return {
    label,
    measure,
    params: { n: 5_000, subscribers, warmupMs, windowMs: 16 * windowMs },
  }
}

const figures: readonly Figure[] = [own, one].flatMap((label) => [
  {
    label: `throughput, ${label} / ${none}, by the clock`,
    formula: (read) => read(label, 'runs/s') / read(none, 'runs/s'),
    target: { atLeast: 0.8 },
  },
  {
    label: `throughput, ${label} / ${none}, by CPU time`,
    formula: (read) => read(none, 'cpu µs/run') / read(label, 'cpu µs/run'),
    target: { atLeast: 0.8 },
  },
])

/** What watchers over Server-Sent Events cost the engine that they watch. */
export const web: Benchmark = {
  name: 'web',
  durability: 'memory',
  about: 'task runs per second beside 1,000 flow runs that do one to a hundred of them, watched or not',
  groups: (options) => [
    {
      title: 'chain',
      cases: [
        measured(none, 'web/own-runs', 0, options),
        measured(own, 'web/own-runs', 1_000, options),
        measured(one, 'web/one-run', 1_000, options),
      ],
      shown: ['runs/s', 'cpu µs/run', 'events'],
      figures,
    },
  ],
}
