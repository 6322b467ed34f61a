import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import type { Readings } from './measure.ts'

/** How often it is looked, in milliseconds: by a timer, which is what is late where the loop stands still. */
const everyMs = 1

/** How much later than asked for timers came while something was measured, at the 99th percentile. */
export const loopDelay = 'loop delay p99 ms'

/** Does the work and adds how long the event loop let timers wait meanwhile. */
export async function withLoopDelay(work: () => Promise<Readings>): Promise<Readings> {
  const histogram = monitorEventLoopDelay({ resolution: everyMs })
  histogram.enable()
  // Told are times from one to the next: the first has to be there before, the last comes after.
  await setTimeout(2 * everyMs)
  const readings = await work()
  await setTimeout(2 * everyMs)
  histogram.disable()
  return { ...readings, [loopDelay]: Math.max(0, histogram.percentile(99) / 1e6 - everyMs) }
}
