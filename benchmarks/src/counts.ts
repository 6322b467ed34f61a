import type { Benchmark, Case, Group } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Params } from './lib/measure.ts'
import type { Options } from './lib/options.ts'
import { natsServerVersion } from './nats/server.ts'

/** Titles and labels, by which the capacity model finds what it needs. */
export const titles = {
  shapes: 'shapes of load',
  values: 'sizes of values',
  flowRuns: 'whole flow runs',
  kept: 'flow runs that have ended',
  waiting: 'flow runs that wait',
  idle: 'clusters that do nothing',
} as const

/** One flow run with so many task runs at the same time, and so many flow runs with one each. */
export const shapeLabel = {
  wide: (inFlight: number): string => `one flow run, ${inFlight} in flight`,
  narrow: (flowRuns: number): string => `${flowRuns} flow runs, 1 in flight each`,
} as const

/** Bytes of arguments and of results; the last ones are too large to stand in records. */
export const valueSizes = [8, 1_000, 10_000, 100_000, 300_000] as const
export const valueLabel = (bytes: number): string => `${bytes.toLocaleString('en')} bytes`

export const wideAt = [1, 20, 200, 1_000] as const
export const narrowAt = [20, 200] as const

const perRun = [
  'owner cpu µs/run',
  'worker cpu µs/run',
  'server cpu µs/run',
  'owner loop µs/run',
  'worker loop µs/run',
  'messages/run',
  'B/run',
  'journal messages/run',
  'task queue messages/run',
  'mailbox messages/run',
  'object messages/run',
  'journal B/run',
  'object B/run',
  'disk B/run',
]

const measured =
  ({ warmupMs }: Options) =>
  (label: string, measure: MeasureName, n: number, more: Partial<Params> = {}): Case => ({
    label,
    measure,
    params: { n, subscribers: 0, warmupMs, windowMs: 0, ...more },
  })

function taskRuns(options: Options): readonly Group[] {
  const one = measured(options)
  return [
    {
      title: titles.shapes,
      cases: [
        ...wideAt.map((inFlight) =>
          one(shapeLabel.wide(inFlight), 'nats-counts/wide', inFlight === 1 ? 2_000 : 10_000, { inFlight }),
        ),
        ...narrowAt.map((inFlight) =>
          one(shapeLabel.narrow(inFlight), 'nats-counts/narrow', 8_000, { inFlight }),
        ),
      ],
      shown: perRun,
      figures: [],
    },
    {
      title: titles.values,
      cases: valueSizes.map((valueBytes) =>
        one(valueLabel(valueBytes), 'nats-counts/wide', valueBytes < 20_000 ? 6_000 : 400, {
          inFlight: 200,
          valueBytes,
        }),
      ),
      shown: perRun,
      figures: [],
    },
  ]
}

function flowRuns(options: Options): readonly Group[] {
  const one = measured(options)
  const shown = perRun.slice(0, -1).map((name) => name.replace('/run', '/flow run'))
  return [
    {
      title: titles.flowRuns,
      cases: [
        one('no task run', 'nats-counts/flow-runs', 1_000, { inFlight: 100 }),
        one('ten task runs, one after the other', 'nats-counts/flow-runs-of-ten', 500, { inFlight: 100 }),
      ],
      shown: [...shown, 'flow queue messages/flow run'],
      figures: [],
    },
    {
      title: titles.kept,
      cases: [
        one('one task run each', 'nats-counts/kept', 10_000),
        one('the server started anew', 'nats-counts/index', 30_000),
      ],
      shown: [
        'server B/flow run',
        'node B/flow run',
        'node cpu µs/flow run listed',
        'server cpu µs/flow run listed',
        'B/flow run listed',
        'journal B/flow run',
        'disk B/flow run',
        'messages/flow run forgotten',
        'node cpu µs/flow run forgotten',
        'server cpu µs/flow run forgotten',
        'ms/flow run forgotten',
      ],
      figures: [],
    },
    {
      title: titles.waiting,
      cases: [1_000, 10_000].map((n) =>
        one(`${n.toLocaleString('en')} suspended`, 'nats-waiting/suspended', n, { windowMs: 10_000 }),
      ),
      shown: ['messages/s', 'server cpu %', 'owner cpu %', 'owner B/run', 'server B/run'],
      figures: [],
    },
  ]
}

/** Clusters that do nothing, by what the measurement calls them. */
const clusters = [
  '1 nodes',
  '2 nodes',
  '4 nodes',
  '8 nodes',
  '4 nodes, 2 namespaces',
  '4 nodes, 4 namespaces',
  '1 owners',
  '4 owners',
  '1 workers',
  '4 workers',
]

/** Pulls are seldom half a minute after the last work. */
function idle(): Group {
  const params = { n: 1, subscribers: 0, warmupMs: 33_000, windowMs: 15_000 }
  return {
    title: titles.idle,
    cases: [{ label: 'all', measure: 'nats-idle/clusters', params }],
    shown: clusters.flatMap((title) => [`messages/s, ${title}`, `bytes/s, ${title}`, `cpu %, ${title}`]),
    figures: [],
  }
}

/** What the capacity model of docs/scale.md is made of. */
export const counts: Benchmark = {
  name: 'counts',
  durability: 'process',
  rounds: 3,
  about: 'messages, bytes and CPU time of task runs and flow runs over NATS, and of nodes that do nothing',
  prepare: async () => ({ natsServer: (await natsServerVersion()) ?? 'none' }),
  groups: (options) => [...taskRuns(options), ...flowRuns(options), idle()],
}
