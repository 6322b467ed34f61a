import type { Benchmark, Case, Figure, Group } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const measured =
  ({ warmupMs, windowMs }: Options) =>
  (label: string, measure: MeasureName, n: number): Case => ({
    label,
    measure,
    params: { n, subscribers: measure.startsWith('bare/') ? 0 : 1, warmupMs, windowMs },
  })

/** A flow run and its task runs are an actor each: what is divided is the number of actors. */
const over = (label: string, floor: string, reading: string): Figure => ({
  label: `${label} / ${floor}, an actor each`,
  formula: (read) => read(label, reading) / read(floor, 'runs/s'),
})

const byCpu = (label: string, floor: string, reading: string): Figure => ({
  label: `${label} / ${floor}, an actor each, by CPU time`,
  formula: (read) => read(floor, 'cpu µs/run') / read(label, reading),
})

const figures = (floor: string, labels: readonly string[]): readonly Figure[] =>
  labels.flatMap((label) => [over(label, floor, 'all runs/s'), byCpu(label, floor, 'cpu µs/any run')])

const shown = ['runs/s', 'all runs/s', 'cpu µs/run', 'cpu µs/any run']

/** Flow runs per second, and flow runs that start others. */
export const flows: Benchmark = {
  name: 'flows',
  about:
    'flow runs per second in one process with one subscriber: empty, of one task, nested; beside bare actors',
  durability: 'memory',
  groups: (options): readonly Group[] => {
    const one = measured(options)
    return [
      {
        title: 'flow runs one after the other',
        cases: [
          one('bare', 'bare/chain', 1_000),
          one('empty flow', 'flow-runs/empty-in-turn', 1_000),
          one('flow of one task', 'flow-runs/one-task-in-turn', 1_000),
          one('subflows of one task', 'flow-runs/subflows-in-turn', 1_000),
          one('ten flows deep, then a task', 'flow-runs/nested', 200),
        ],
        shown,
        figures: figures('bare', [
          'empty flow',
          'flow of one task',
          'subflows of one task',
          'ten flows deep, then a task',
        ]),
      },
      {
        title: 'flow runs, 1000 at once',
        cases: [
          one('bare', 'bare/fan-out', 1_000),
          one('empty flow', 'flow-runs/empty-at-once', 1_000),
          one('flow of one task', 'flow-runs/one-task-at-once', 1_000),
          one('subflows of one task', 'flow-runs/subflows-at-once', 1_000),
        ],
        shown,
        figures: figures('bare', ['empty flow', 'flow of one task', 'subflows of one task']),
      },
    ]
  },
}
