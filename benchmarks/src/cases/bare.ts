import * as loops from '../bare/loops.ts'
import { bytesInUse } from '../lib/heap.ts'
import { expectEqual } from '../lib/measure.ts'
import type { Measure } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { throughput } from '../lib/throughput.ts'

type Loop = (n: number, subscribed: boolean) => void

const loop =
  (run: Loop): Measure =>
  (params) => {
    const subscribed = params.subscribers > 0
    const work = (n: number): void => {
      const before = loops.delivered
      run(n, subscribed)
      expectEqual('states delivered', loops.delivered - before, subscribed ? 3 * n : 0)
    }
    return throughput(() => ({ work }), params)
  }

const pendingBytes: Measure = async ({ n }) => {
  loops.pending(1_000)
  const before = await bytesInUse()
  const actors = loops.pending(n)
  const after = await bytesInUse()
  expectEqual('actors', actors.length, n)
  return { 'B/run': (after - before) / n }
}

const delivery: Measure = ({ n }) => {
  const times: number[] = []
  loops.delivery(n, () => {})
  loops.delivery(n, (ms) => times.push(ms))
  expectEqual('states delivered', times.length, 2 * n)
  return Promise.resolve(percentiles('delivery', times))
}

export const measures: Readonly<Record<string, Measure>> = {
  chain: loop(loops.chain),
  'fan-out': loop(loops.fanOut),
  'fan-out-capped': loop(loops.fanOutCapped),
  'pending-bytes': pendingBytes,
  delivery,
}
