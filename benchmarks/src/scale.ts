import type { Benchmark, Case, Figure, Group, Read } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const few = 1_000
const many = 1_000_000

const groups = [
  { title: 'chain', bare: 'chain', shapes: ['chain'] },
  { title: 'at most 10,000 alive, and map', bare: 'fan-out-capped', shapes: ['fan-out-capped', 'map'] },
] as const

/**
 * The same work at both numbers; the long one is warmed up with short ones and then done once.
 *
 * The short one is measured for four windows: its noise counts twice, as denominator of both growths.
 */
function pair(name: string, measure: MeasureName, options: Options): readonly Case[] {
  const { warmupMs, windowMs } = options
  const params = { subscribers: 0, warmupMs, warmupN: few }
  return [
    { label: `${name}, few`, measure, params: { ...params, n: few, windowMs: 4 * windowMs } },
    { label: `${name}, many`, measure, params: { ...params, n: many, windowMs: 0 } },
  ]
}

const growth = (read: Read, name: string, reading: string): number =>
  read(`${name}, many`, reading) / read(`${name}, few`, reading)

const quotient = (shape: string, reading: string): Figure => ({
  label: `${shape}: growth of ${reading}, over the bare loop's`,
  formula: (read) => growth(read, shape, reading) / growth(read, 'bare', reading),
})

const group = ({ title, bare, shapes }: (typeof groups)[number], options: Options): Group => ({
  title,
  cases: [
    ...pair('bare', `bare/${bare}`, options),
    ...shapes.flatMap((shape) => pair(shape, `task-runs/${shape}-sync`, options)),
  ],
  shown: ['µs/run', 'cpu µs/run', 'peak heap MB', 'peak rss MB'],
  figures: [
    { label: 'bare: growth of µs/run', formula: (read) => growth(read, 'bare', 'µs/run') },
    ...shapes.flatMap((shape) => [
      { ...quotient(shape, 'µs/run'), target: { atMost: 1.2 } },
      quotient(shape, 'cpu µs/run'),
    ]),
  ],
})

/** The aim: time per run at 10^6 over time per run at 10^3, within the default heap. */
export const scale: Benchmark = {
  name: 'scale',
  durability: 'memory',
  about: 'whether a run costs the same among a million (many) as among a thousand (few)',
  groups: (options) => groups.map((one) => group(one, options)),
}
