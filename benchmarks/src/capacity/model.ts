import { shapeLabel, titles, valueLabel, wideAt } from '../counts.ts'
import { fit, type CpuPoint } from './fit.ts'
import type { Load, Service } from './path.ts'
import type { Results } from './results.ts'

/** Stored results that the model is made of. */
export interface Stored {
  readonly nats: Results
  readonly counts: Results
}

/** Task runs that the simulation measures: several times as many as are in flight. One at a time, each is like the other. */
const measuredAlone = 50
const fewest = 2_000
const generations = 5

/** So many in flight of one flow run, as the benchmark `nats` does. */
export const wideLoad = (inFlight: number, cores: number): Load => ({
  lanes: inFlight,
  measured: inFlight === 1 ? measuredAlone : Math.max(fewest, generations * inFlight),
  cores,
})

/** So many flow runs, each with one in flight. */
export const narrowLoad = (flowRuns: number, cores: number): Load => ({
  lanes: 1,
  flowRuns,
  measured: Math.max(fewest, generations * flowRuns),
  cores,
})

/** Which reading of several rounds is taken. */
export type Rounds = 'median' | 'min' | 'max'

const loopTitle = (inFlight: number): string => `loop: ${inFlight} in flight`

/** What the benchmark `nats` measured at a load. */
const measuredWide = ({ nats }: Stored, inFlight: number, reading: string, pick: Rounds = 'median'): number =>
  nats.summary(loopTitle(inFlight), 'troupe', reading)[pick]

const [alone, saturated] = [1, 1_000] as const
/** Fitted to CPU time at two loads of one flow run, and one of many flow runs; and to the time at the first two. */
const fittedAt = { wide: [alone, saturated], narrow: 200 } as const

/** Loads at which nothing was fitted: there the simulation is checked. */
export const checkedAt: readonly number[] = wideAt.filter(
  (inFlight) => inFlight !== alone && inFlight !== saturated,
)

/** The costs of the path, of what was measured. */
export function fitted(stored: Stored, pick: Rounds = 'median'): Service {
  const { nats, counts } = stored
  const cpuOf = (read: (reading: string) => number, owner: string): CpuPoint['cpu'] => ({
    owner: read(owner),
    worker: read('worker cpu µs/run'),
    server: read('server cpu µs/run'),
  })
  const { cores } = nats
  const wide = fittedAt.wide.map((inFlight): CpuPoint => ({
    load: wideLoad(inFlight, cores),
    cpu: cpuOf((reading) => measuredWide(stored, inFlight, reading, pick), 'cpu µs/run'),
  }))
  const narrow: CpuPoint = {
    load: narrowLoad(fittedAt.narrow, cores),
    cpu: cpuOf(
      (reading) => counts.summary(titles.shapes, shapeLabel.narrow(fittedAt.narrow), reading)[pick],
      'owner cpu µs/run',
    ),
  }
  const wall = (inFlight: number): number => measuredWide(stored, inFlight, 'µs/run', pick)
  const worker = (reading: string): number =>
    counts.median(titles.shapes, shapeLabel.wide(plannedAt), `worker ${reading}`)
  return fit({
    cpu: [...wide, narrow],
    alone: { load: wideLoad(alone, cores), wall: wall(alone) },
    saturated: { point: fittedAt.wide.indexOf(saturated), wall: wall(saturated) },
    workerShare: Math.min(1, worker('loop µs/run') / worker('cpu µs/run')),
  })
}

/** What task runs of one kind of load cost, each. */
export interface Costs {
  /** Microseconds of CPU time. */
  readonly owner: number
  readonly worker: number
  readonly server: number
  readonly messages: number
  readonly bytes: number
  /** Stored messages, by stream. */
  readonly journalMessages: number
  readonly queueMessages: number
  readonly mailboxMessages: number
  readonly journalBytes: number
}

/** How the task runs of a flow run come: many at the same time, or one after the other. */
export type Shape = 'wide' | 'narrow'

const plannedAt = 200

/** @param read - A reading of `counts`, by its name without the unit. */
export const readCosts = (read: (name: string) => number): Costs => ({
  owner: read('owner cpu µs'),
  worker: read('worker cpu µs'),
  server: read('server cpu µs'),
  messages: read('messages'),
  bytes: read('B'),
  journalMessages: read('journal messages'),
  queueMessages: read('task queue messages'),
  mailboxMessages: read('mailbox messages'),
  journalBytes: read('journal B'),
})

const costsIn =
  (counts: Results, title: string, label: string) =>
  (unit: string): Costs =>
    readCosts((name) => counts.median(title, label, `${name}/${unit}`))

/** Of one task run. */
export const costsOf = ({ counts }: Stored, shape: Shape): Costs =>
  costsIn(counts, titles.shapes, shapeLabel[shape](plannedAt))('run')

/** Of one task run with values of a size, one flow run with 200 in flight. */
export const costsOfSize = ({ counts }: Stored, bytes: number): Costs =>
  costsIn(counts, titles.values, valueLabel(bytes))('run')

/** Of a flow run by itself: its start at another node, its offer, its claim and its end. */
export const costsOfFlowRun = ({ counts }: Stored): Costs =>
  costsIn(counts, titles.flowRuns, 'no task run')('flow run')

/** How much more a cluster of three that keeps everything three times takes of CPU time, all of it together. */
export function threeServers({ nats }: Stored): number {
  const three = nats.median('three servers, three replicas: 200 in flight', 'troupe', 'server cpu µs/run')
  return three / nats.median(loopTitle(200), 'troupe', 'server cpu µs/run')
}
