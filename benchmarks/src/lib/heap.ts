import { setImmediate } from 'node:timers/promises'
import { GCProfiler } from 'node:v8'
import type { Readings } from './measure.ts'

/**
 * Bytes in use after garbage collection.
 *
 * Several collections with turns of the event loop between: what a WeakRef or a finalizer held goes only after
 * its turn. `external` contains `arrayBuffers` already; the sum counts them twice, as the target does.
 */
export async function bytesInUse(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('start node with --expose-gc')
  for (let i = 0; i < 4; i++) {
    globalThis.gc()
    await setImmediate()
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

/** Does the work and adds the greatest heap that a collection found before it began, in megabytes. */
export async function withPeakHeap(work: () => Promise<Readings>): Promise<Readings> {
  const profiler = new GCProfiler()
  profiler.start()
  const readings = await work()
  const { statistics } = profiler.stop()
  const used = statistics.map((gc) => gc.beforeGC.heapStatistics.usedHeapSize)
  return {
    ...readings,
    'peak heap MB': Math.max(process.memoryUsage().heapUsed, ...used) / 1e6,
    'peak rss MB': process.resourceUsage().maxRSS / 1024,
  }
}
