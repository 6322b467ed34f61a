import { createEngine, flow, memoryJournal, task } from '@troupe/core'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { throughput, type Subject } from '../lib/throughput.ts'
import { subscribeMany } from './subscribers.ts'

const step = task('step', (i: number) => i)

const empty = flow('empty', (i: number) => i)
const ofOneTask = flow('of-one-task', async (i: number) => step(i))

const call = async (i: number): Promise<number> => ofOneTask(i)

/** Subflows of one flow run, each with a task run. */
const subflows = flow('subflows', async (n: number) => {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => call(i)))
  return values.filter((value, i) => value === i).length
})

/** The same one after the other. */
const subflowsInTurn = flow('subflows-in-turn', async (n: number) => {
  let same = 0
  for (let i = 0; i < n; i++) same += (await call(i)) === i ? 1 : 0
  return same
})

/** How deep `nest` goes: each flow run is a subflow of the one before. */
const depth = 10

const nest = flow('nest', async (level: number, i: number): Promise<number> => {
  return level > 1 ? nest(level - 1, i) : step(i)
})

type Engine = ReturnType<typeof createEngine>

interface Shape {
  /** Starts so many and gives how many gave the right value. */
  readonly start: (engine: Engine, n: number) => Promise<number>
  /** Runs, of flows and of tasks, of `n`. */
  readonly runs: (n: number) => number
}

const inTurn = (one: (engine: Engine, i: number) => PromiseLike<number>): Shape['start'] => {
  return async (engine, n) => {
    let same = 0
    for (let i = 0; i < n; i++) same += (await one(engine, i)) === i ? 1 : 0
    return same
  }
}

const atOnce = (one: (engine: Engine, i: number) => PromiseLike<number>): Shape['start'] => {
  return async (engine, n) => {
    const values = await Promise.all(Array.from({ length: n }, (_, i) => one(engine, i)))
    return values.filter((value, i) => value === i).length
  }
}

const startEmpty = (engine: Engine, i: number): PromiseLike<number> => empty.with({ engine })(i)
const startOfOneTask = (engine: Engine, i: number): PromiseLike<number> => ofOneTask.with({ engine })(i)

const shapes = {
  'empty-in-turn': { start: inTurn(startEmpty), runs: (n) => n },
  'empty-at-once': { start: atOnce(startEmpty), runs: (n) => n },
  'one-task-in-turn': { start: inTurn(startOfOneTask), runs: (n) => 2 * n },
  'one-task-at-once': { start: atOnce(startOfOneTask), runs: (n) => 2 * n },
  'subflows-in-turn': {
    start: async (engine, n) => subflowsInTurn.with({ engine })(n),
    runs: (n) => 2 * n + 1,
  },
  'subflows-at-once': { start: async (engine, n) => subflows.with({ engine })(n), runs: (n) => 2 * n + 1 },
  nested: { start: inTurn((engine, i) => nest.with({ engine })(depth, i)), runs: (n) => (depth + 1) * n },
} satisfies Readonly<Record<string, Shape>>

/** Each repetition starts `n`, with the history that an engine keeps by default. */
function createSubject({ start, runs }: Shape, subscriberCount: number): Subject {
  const engine = createEngine({ journal: memoryJournal() })
  const subscribers = subscribeMany(engine, subscriberCount)
  return {
    work: async (n) => {
      expectEqual('values', await start(engine, n), n)
      // What is delivered is delivered before the next turn of the event loop that finds nothing to do.
      await new Promise((resolve) => setImmediate(resolve))
      subscribers.check(runs(n) - 1)
    },
    close: () => engine.close(),
  }
}

/** Runs of flows and tasks per second, whatever a flow run is made of. */
const measureShape =
  (shape: Shape): Measure =>
  async (params) => {
    const readings = await throughput(() => createSubject(shape, params.subscribers), params)
    const runs = shape.runs(params.n) / params.n
    const { 'runs/s': perSecond = NaN, 'cpu µs/run': cpu = NaN } = readings
    return { ...readings, 'all runs/s': perSecond * runs, 'cpu µs/any run': cpu / runs }
  }

export const measures: Readonly<Record<string, Measure>> = Object.fromEntries(
  Object.entries(shapes).map(([name, shape]) => [name, measureShape(shape)]),
)
