import { expectEqual, type Params, type Readings } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { throughput } from '../lib/throughput.ts'
import { flowsAtOnce } from './durable-work.ts'

/** The same trivial work, done by each that is measured. What one can't do, it leaves out. */
export interface Shapes {
  /** One flow run with `n` task runs, each awaited before the next. @returns How many gave their value */
  readonly sequence?: (n: number) => Promise<number>
  /** One flow run with `n` task runs, submitted at once. @returns How many gave their value */
  readonly fanOut?: (n: number) => Promise<number>
  /** A flow run that does nothing. @returns 1 */
  readonly empty?: () => Promise<number>
  /** A flow run of one task run. @returns 1 */
  readonly single?: () => Promise<number>
  /** One flow run with `n` empty flow runs inside, started at once. @returns How many ended */
  readonly subflows?: (n: number) => Promise<number>
}

/** What the readings are called, the same for each that is measured. */
export const shapeReadings = {
  sequence: 'sequence: task runs/s',
  fanOut: 'fan-out: task runs/s',
  empty: 'empty flows: runs/s',
  single: 'flows of one task: runs/s',
  subflows: 'subflows: runs/s',
  alone: 'a flow of one task, alone',
} as const

/** Does each shape in turn, warmed up anew. */
export async function measureShapes(shapes: Shapes, params: Params): Promise<Readings> {
  const { sequence, fanOut, empty, single, subflows } = shapes
  const { n, flows = n } = params
  const inTurn: Record<string, number> = {}
  const one = async (
    name: keyof Shapes,
    count: number,
    work: (n: number) => Promise<void>,
  ): Promise<void> => {
    const readings = await throughput(() => ({ work }), { ...params, n: count })
    inTurn[shapeReadings[name]] = readings['runs/s'] ?? NaN
    inTurn[`${name}: cpu µs`] = readings['cpu µs/run'] ?? NaN
    inTurn[`${name}: repetitions`] = readings['repetitions'] ?? NaN
  }
  if (sequence) await one('sequence', n, async (k) => expectEqual('values', await sequence(k), k))
  if (fanOut) await one('fanOut', n, async (k) => expectEqual('values', await fanOut(k), k))
  if (empty) await one('empty', flows, (k) => inLanes(k, empty))
  if (single) await one('single', flows, (k) => inLanes(k, single))
  if (subflows) await one('subflows', flows, async (k) => expectEqual('flow runs', await subflows(k), k))
  return { ...inTurn, ...(single && (await alone(single, flows))) }
}

/** Calls `n` times, at most a hundred at once: each lane calls again when it has its value. */
async function inLanes(n: number, call: () => Promise<number>): Promise<void> {
  let left = n
  const lane = async (): Promise<void> => {
    while (left-- > 0) expectEqual('value', await call(), 1)
  }
  await Promise.all(Array.from({ length: Math.min(n, flowsAtOnce) }, lane))
}

/** Nothing else runs: from the call to the value. Warm by then. */
async function alone(single: () => Promise<number>, n: number): Promise<Readings> {
  const times: number[] = []
  for (let i = 0; i < n; i++) {
    const calledAt = performance.now()
    expectEqual('value', await single(), 1)
    times.push(performance.now() - calledAt)
  }
  return percentiles(shapeReadings.alone, times)
}
