import type { Benchmark, Case, Figure, Group } from './lib/benchmark.ts'
import { builtCheckout } from './lib/checkout.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const shapes: readonly (readonly [string, MeasureName, number])[] = [
  ['chain, sync body', 'task-runs/chain-sync', 10_000],
  ['chain, async body', 'task-runs/chain-async', 10_000],
  ['fan-out, sync body', 'task-runs/fan-out-sync', 10_000],
  ['fan-out, async body', 'task-runs/fan-out-async', 10_000],
]

const here = 'this checkout'

function group([title, measure, n]: (typeof shapes)[number], checkout: string, options: Options): Group {
  const { warmupMs, windowMs, against } = options
  const params = { n, subscribers: 1, warmupMs, windowMs }
  const cases: readonly Case[] = [
    { label: against, measure, params, checkout },
    { label: here, measure, params },
  ]
  const figure = (reading: string, words: string): Figure => ({
    label: `time per run, ${here} / ${against}, ${words}`,
    formula: (read) => read(here, reading) / read(against, reading),
  })
  const figures = [figure('µs/run', 'by the clock'), figure('cpu µs/run', 'by CPU time')]
  return { title, cases, shown: ['µs/run', 'cpu µs/run'], figures }
}

/** Whether a change made the plain path slower. */
export const commits: Benchmark = {
  name: 'commits',
  durability: 'memory',
  byNameOnly: true,
  rounds: 10,
  about: 'time per task run of this checkout beside that of another commit',
  groups: (options) => {
    if (options.against === '') return []
    const checkout = builtCheckout(options.against)
    return shapes.map((shape) => group(shape, checkout, options))
  },
}
