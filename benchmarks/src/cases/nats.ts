import type { Measure } from '../lib/measure.ts'
import { loop, onWorker } from '../nats/loop-measure.ts'
import { startNats } from '../nats/server.ts'

export const measures: Readonly<Record<string, Measure>> = {
  official: loop('official', startNats),
  light: loop('light', startNats),
  troupe: loop('troupe', startNats),
  'troupe-shapes': onWorker('troupe', startNats),
}
