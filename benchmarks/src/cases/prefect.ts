import { expectEqual, type Measure } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { measurePrefect, type PrefectPlace } from '../peers/prefect.ts'
import { shapeReadings } from './shapes.ts'

/**
 * Prefect's own trivial tasks (its folder `benches`): bodies that do nothing, called or submitted in a flow. Sequences are
 * direct calls from a synchronous flow, fan-outs are submitted to the task runner, flow runs at once are those of
 * asynchronous flows that are gathered: each the fastest that was tried. A fan-out of asynchronous tasks that are
 * gathered, and pools of 2, 10 and 50 threads, are no faster than the default pool.
 *
 * The server hears of each transition of a flow run before it goes on. Those of task runs are sent to it as events, which
 * nothing waits for: what was not sent when a process dies is lost.
 */
export const prefect =
  (place: PrefectPlace, runner: 'threads' | 'dask'): Measure =>
  async (params) => {
    const { alone, ...perSecond } = await measurePrefect(place, runner, params)
    const readings = Object.entries(perSecond).map(([shape, value]) => {
      const name = Object.hasOwn(shapeReadings, shape)
        ? shapeReadings[shape as keyof typeof shapeReadings]
        : undefined
      expectEqual(`reading ${shape}`, name === undefined ? 0 : 1, 1)
      return [name, value] as const
    })
    return { ...Object.fromEntries(readings), ...(alone && percentiles(shapeReadings.alone, alone)) }
  }
