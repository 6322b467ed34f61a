import { expectEqual, type Measure } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { measurePrefect, type PrefectPlace, type PrefectTasks } from '../peers/prefect.ts'
import { shapeReadings } from './shapes.ts'

/**
 * Prefect's own trivial tasks (its folder `benches`): bodies that do nothing, awaited or gathered in a flow. Flows and
 * tasks are asynchronous: at its end, a synchronous flow waits up to a second for the thread of its heartbeat. Such tasks are
 * awaited where their flow runs, and no task runner has a part in it. To Dask tasks are submitted, from an asynchronous flow too.
 *
 * To the task runner on threads, which a flow has by default, they are submitted from a synchronous flow, whose client they share:
 * of an asynchronous one each task makes a client of its own, which takes many times as long as the task. The wait for the
 * heartbeat is in what is measured, and weighs little beside a hundred task runs.
 *
 * The server hears of each transition of a flow run before it goes on. Those of task runs are sent to it as events, which
 * nothing waits for: what was not sent when a process dies is lost. The server is busy with them when the flow run has
 * long ended; the clock starts again only when it has recorded all of them.
 */
export const prefect =
  (place: PrefectPlace, tasks: PrefectTasks): Measure =>
  async (params) => {
    const { alone, ...perSecond } = await measurePrefect(place, tasks, params)
    const readings = Object.entries(perSecond).map(([shape, value]) => {
      const name = Object.hasOwn(shapeReadings, shape)
        ? shapeReadings[shape as keyof typeof shapeReadings]
        : undefined
      expectEqual(`reading ${shape}`, name === undefined ? 0 : 1, 1)
      return [name, value] as const
    })
    return { ...Object.fromEntries(readings), ...(alone && percentiles(shapeReadings.alone, alone)) }
  }
