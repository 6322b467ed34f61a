import { createHistogram } from 'node:perf_hooks'
import type { Readings } from './measure.ts'

/** Gives `<name> p50` and `<name> p99` in microseconds. */
export function percentiles(name: string, milliseconds: Iterable<number>): Readings {
  const histogram = createHistogram()
  for (const ms of milliseconds) histogram.record(Math.max(1, Math.round(ms * 1e6)))
  return {
    [`${name} p50 µs`]: histogram.percentile(50) / 1e3,
    [`${name} p99 µs`]: histogram.percentile(99) / 1e3,
  }
}
