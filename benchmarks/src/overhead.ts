import type { Benchmark, Case, Figure, Group } from './lib/benchmark.ts'
import type { Options } from './lib/options.ts'

const shapes = [
  { shape: 'chain', n: 10_000 },
  { shape: 'fan-out', n: 1_000 },
  { shape: 'fan-out', n: 10_000 },
  { shape: 'fan-out', n: 20_000 },
] as const

const bodies = ['sync', 'async'] as const
const subscriberCounts = [0, 1, 100] as const

type Shape = (typeof shapes)[number]

const bare = 'bare'
const bareSubscribed = 'bare, subscribed'
const troupe = (body: string, subscribers: number): string =>
  `troupe, ${body} body, subscribers: ${subscribers}`

function cases({ shape, n }: Shape, { warmupMs, windowMs }: Options): readonly Case[] {
  const params = { n, warmupMs, windowMs }
  const measure = `bare/${shape}` as const
  return [
    { label: bare, measure, params: { ...params, subscribers: 0 } },
    { label: bareSubscribed, measure, params: { ...params, subscribers: 1 } },
    ...bodies.flatMap((body) =>
      subscriberCounts.map((subscribers): Case => {
        const label = troupe(body, subscribers)
        return { label, measure: `task-runs/${shape}-${body}`, params: { ...params, subscribers } }
      }),
    ),
  ]
}

const ratio = (label: string, floor: string): Figure => ({
  label: `${label} / ${floor}`,
  formula: (read) => read(label, 'runs/s') / read(floor, 'runs/s'),
})

/** The same by CPU time of the process, helper threads included: other load on the machine shows less. */
const cpuRatio = (label: string, floor: string): Figure => ({
  label: `${label} / ${floor}, by CPU time`,
  formula: (read) => read(floor, 'cpu µs/run') / read(label, 'cpu µs/run'),
})

/** The row counts one subscriber against bare actors without one. */
const figures: readonly Figure[] = bodies.flatMap((body) => [
  ratio(troupe(body, 0), bare),
  { ...ratio(troupe(body, 1), bare), target: { atLeast: 0.5 } },
  cpuRatio(troupe(body, 1), bare),
  ratio(troupe(body, 1), bareSubscribed),
  ratio(troupe(body, 100), bare),
])

const group = (shape: Shape, options: Options): Group => ({
  title: `${shape.shape} of ${shape.n}`,
  cases: cases(shape, options),
  shown: ['runs/s', 'cpu µs/run'],
  figures,
})

/** The aim: task runs/s in process. */
export const overhead: Benchmark = {
  name: 'overhead',
  durability: 'memory',
  about: 'task runs per second in one process, beside bare actors with as many alive at once',
  groups: (options) => shapes.map((shape) => group(shape, options)),
}
