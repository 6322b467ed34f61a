import type { Summary } from '../lib/stats.ts'
import { narrowAt, shapeLabel, titles, wideAt } from '../counts.ts'
import { checkedAt, narrowLoad, wideLoad, type Stored } from './model.ts'
import { simulate, type Service } from './path.ts'

/** A figure of the simulation beside the one that was measured. */
export interface Validation {
  readonly load: string
  readonly reading: string
  readonly measured: Summary
  readonly simulated: number
  /** Of what was measured. */
  readonly error: number
  /** It is what the simulation was made of, so it says nothing. */
  readonly fittedTo: boolean
}

/** Simulates the loads that were measured. */
export function validate(stored: Stored, service: Service): readonly Validation[] {
  const { nats, counts } = stored
  const { cores } = nats
  const compare = (
    load: string,
    reading: string,
    { measured, simulated, fittedTo = false }: { measured: Summary; simulated: number; fittedTo?: boolean },
  ): Validation => ({ load, reading, measured, simulated, error: simulated / measured.median - 1, fittedTo })
  const wide = wideAt.flatMap((inFlight) => {
    const outcome = simulate(service, wideLoad(inFlight, cores))
    const of = (reading: string): Summary => nats.summary(`loop: ${inFlight} in flight`, 'troupe', reading)
    const label = shapeLabel.wide(inFlight)
    const isFitted = !checkedAt.includes(inFlight)
    return [
      compare(label, 'task runs/s', {
        measured: of('runs/s'),
        simulated: outcome.perSecond,
        fittedTo: isFitted,
      }),
      compare(label, 'CPU µs', {
        measured: sumOf(['cpu µs/run', 'worker cpu µs/run', 'server cpu µs/run'].map(of)),
        simulated: outcome.owner.cpu + outcome.worker.cpu + outcome.server.cpu,
        fittedTo: isFitted,
      }),
      compare(label, 'messages per task run', {
        measured: of('messages/run'),
        simulated: outcome.server.messages,
      }),
      compare(label, 'p50 ms', { measured: inMs(of('submit → value p50 µs')), simulated: outcome.p50 / 1e3 }),
      compare(label, 'p99 ms', { measured: inMs(of('submit → value p99 µs')), simulated: outcome.p99 / 1e3 }),
    ]
  })
  const narrow = narrowAt.map((flowRuns) => {
    const { server } = simulate(service, narrowLoad(flowRuns, cores))
    const label = shapeLabel.narrow(flowRuns)
    const measured = counts.summary(titles.shapes, label, 'messages/run')
    return compare(label, 'messages per task run', { measured, simulated: server.messages })
  })
  return [...wide, ...narrow]
}

/** Of all three processes; at least and at most, where they agree. */
const sumOf = (summaries: readonly Summary[]): Summary => {
  const sum = (name: keyof Summary): number => summaries.reduce((all, one) => all + one[name], 0)
  return { median: sum('median'), mad: sum('mad'), min: sum('min'), max: sum('max') }
}

const inMs = ({ median, mad, min, max }: Summary): Summary => ({
  median: median / 1e3,
  mad: mad / 1e3,
  min: min / 1e3,
  max: max / 1e3,
})
