import { simulate, type Service } from './path.ts'

/** How long task runs take at a load, where each process has cores of its own. */
export interface Waits {
  readonly title: string
  readonly perSecond: number
  /** Part of its time in which the owner's event loop does something. */
  readonly busy: number
  /** From the call of a task run to its value, in microseconds. */
  readonly p50: number
  readonly p99: number
}

const measured = 10_000
/** Task runs of each flow run, one after the other. */
const length = 10
const busy = [0.2, 0.4, 0.6, 0.8, 0.9] as const

const waitsOf = (title: string, service: Service, load: Parameters<typeof simulate>[1]): Waits => {
  const { perSecond, owner, p50, p99 } = simulate(service, load)
  return { title, perSecond, busy: (perSecond * owner.cpu * service.owner.share) / 1e6, p50, p99 }
}

/** So many in flight at any time, and flow runs that come by chance. */
export function waits(service: Service): readonly Waits[] {
  const closed = [1, 20, 200, 1_000].map((lanes) =>
    waitsOf(`one flow run, ${lanes} in flight`, service, { lanes, measured: lanes === 1 ? 2_000 : measured }),
  )
  // As many as there can be.
  const most = simulate(service, { lanes: 1, flowRuns: 1_000, measured }).perSecond
  const open = busy.map((part) =>
    waitsOf(
      `flow runs of ${length}, one after the other, by chance: ${Math.round(part * 100)} % of what there can be`,
      service,
      {
        lanes: 1,
        length,
        arrivals: (most * part) / length,
        measured,
      },
    ),
  )
  return [...closed, ...open]
}
