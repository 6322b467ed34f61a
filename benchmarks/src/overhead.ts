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

/** The row counts one subscriber against bare actors without one. */
const figures: readonly Figure[] = bodies.flatMap((body) => [
  ...subscriberCounts.map((subscribers) => {
    const figure = ratio(troupe(body, subscribers), bare)
    return subscribers === 1 ? { ...figure, target: { atLeast: 0.5 } } : figure
  }),
  ratio(troupe(body, 1), bareSubscribed),
])

const group = (shape: Shape, options: Options): Group => ({
  title: `${shape.shape} of ${shape.n}`,
  cases: cases(shape, options),
  shown: ['runs/s'],
  figures,
})

/** design.md, section 9: task runs/s in process. */
export const overhead: Benchmark = {
  name: 'overhead',
  about: 'task runs per second in one process, beside bare actors with as many alive at once',
  groups: (options) => shapes.map((shape) => group(shape, options)),
}
