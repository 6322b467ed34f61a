import { EventEmitter, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { createEngine, flow, memoryJournal, task } from '@troupe/core'
import { bytesInUse } from '../lib/heap.ts'
import { expectEqual } from '../lib/measure.ts'
import type { Measure } from '../lib/measure.ts'
import { expectHistory } from './history.ts'

const wave = 10_000
const warmup = 1_000

/** Lets the measurement and the bodies wait for each other: `submitted`, `measured`, `open`. */
const steps = new EventEmitter()

const quick = task({ name: 'quick' }, (i: number) => i)
const gate = task({ name: 'gate' }, async () => {
  await once(steps, 'open')
  return 1
})
const behindGate = task({ name: 'behind-gate' }, (opened: number, i: number) => opened + i)

/** Gives how many values were right; not the values, which would be weighed with the runs. */
async function finishWave(n: number): Promise<number> {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => quick(i)))
  return values.filter((value, i) => value === i).length
}

const finishMany = flow({ name: 'finish-many' }, async (n: number) => {
  let right = 0
  for (let left = n; left > 0; left -= wave) right += await finishWave(Math.min(left, wave))
  const measured = once(steps, 'measured')
  steps.emit('submitted')
  await measured
  return right
})

const waitMany = flow({ name: 'wait-many' }, async (n: number) => {
  const opened = gate()
  const waiting = Array.from({ length: n }, (_, i) => behindGate(opened, i))
  const measured = once(steps, 'measured')
  steps.emit('submitted')
  await measured
  const values = await Promise.all(waiting)
  return values.filter((value, i) => value === 1 + i).length
})

/** Finished task runs, weighed while their flow run is alive and again after it has finished. */
const finished: Measure = async ({ n }) => {
  const engine = createEngine()
  const start = finishMany.with({ engine })
  const one = async (count: number): Promise<{ id: string; live: number; after: number }> => {
    const submitted = once(steps, 'submitted')
    const run = start(count)
    await submitted
    const live = await bytesInUse()
    steps.emit('measured')
    expectEqual('values', await run, count)
    return { id: run.id, live, after: await bytesInUse() }
  }
  const { after: before } = await one(warmup)
  const { id, live, after } = await one(n)
  // What was weighed is the whole history.
  await expectHistory(engine, id, { task: 'quick', n })
  await engine.close()
  return { 'B/run': (after - before) / n, 'B/run, flow run alive': (live - before) / n }
}

/** Task runs that all depend on one that has not finished; the flow's body holds their futures in an array. */
const waiting: Measure = async ({ n }) => {
  const engine = createEngine()
  const start = waitMany.with({ engine })
  let pending = 0
  const one = async (count: number): Promise<number> => {
    pending = 0
    const subscription = engine.transitions.subscribe((transition) => {
      if (transition.task === 'behind-gate' && transition.to.name === 'Pending') pending += 1
    })
    const submitted = once(steps, 'submitted')
    const run = start(count)
    await submitted
    while (pending < count) await setImmediate()
    expectEqual('Pending transitions', pending, count)
    subscription.unsubscribe()
    const bytes = await bytesInUse()
    steps.emit('measured')
    steps.emit('open')
    expectEqual('values', await run, count)
    return bytes
  }
  await one(warmup)
  const before = await bytesInUse()
  const after = await one(n)
  await engine.close()
  return { 'B/run': (after - before) / n }
}

/** What bodies that have begun wait for: one promise, so that it weighs nothing. */
let opened = Promise.resolve()

const held = task({ name: 'held' }, async () => {
  await opened
  return 1
})
const open = flow({ name: 'open' }, async (i: number) => {
  await opened
  return i
})
const short = flow({ name: 'short' }, (i: number) => i)

/** Task runs whose bodies have begun and wait, of one flow run. */
const running: Measure = async ({ n }) => {
  const engine = createEngine()
  const start = flow({ name: 'run-many' }, async (count: number) => {
    const futures = Array.from({ length: count }, () => held())
    return (await Promise.all(futures)).filter((value) => value === 1).length
  }).with({ engine })
  const one = (count: number): Promise<number> =>
    whileOpen(engine, { name: 'held', count, start: () => [start(count)], value: count })
  await one(warmup)
  const before = await bytesInUse()
  const after = await one(n)
  await engine.close()
  return { 'B/run': (after - before) / n }
}

/** Flow runs without task runs whose bodies have begun and wait. */
const liveFlows: Measure = async ({ n }) => {
  const engine = createEngine()
  const start = open.with({ engine })
  const one = (count: number): Promise<number> =>
    whileOpen(engine, {
      name: 'open',
      count,
      start: () => Array.from({ length: count }, () => start(1)),
      value: 1,
    })
  await one(warmup)
  const before = await bytesInUse()
  const after = await one(n)
  await engine.close()
  return { 'B/run': (after - before) / n }
}

/** Bodies that begin and wait. */
interface Waiting {
  /** Of the task or flow whose bodies they are. */
  readonly name: string
  readonly count: number
  /** Starts the flow runs. */
  readonly start: () => readonly PromiseLike<number>[]
  /** That each of them gives. */
  readonly value: number
}

/** Weighs while so many bodies wait; then they end, and each flow run gives its value. */
async function whileOpen(
  engine: ReturnType<typeof createEngine>,
  { name, count, start, value }: Waiting,
): Promise<number> {
  let begun = 0
  const subscription = engine.transitions.subscribe(({ task: ofTask, flow: ofFlow, to }) => {
    if ((ofTask ?? ofFlow) === name && to.name === 'Running') begun += 1
  })
  let end = (): void => undefined
  opened = new Promise((resolve) => (end = resolve))
  const runs = start()
  while (begun < count) await setImmediate()
  expectEqual('Running transitions', begun, count)
  subscription.unsubscribe()
  const bytes = await bytesInUse()
  end()
  for (const run of runs) expectEqual('as value', await run, value)
  return bytes
}

async function shortWave(start: (i: number) => PromiseLike<number>, n: number): Promise<number> {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => start(i)))
  return values.filter((value, i) => value === i).length
}

/** Flow runs that have ended and are kept, without task runs. */
const finishedFlows: Measure = async ({ n }) => {
  const engine = createEngine({ journal: memoryJournal({ keep: 2 * n + warmup }) })
  const start = short.with({ engine })
  const one = async (count: number): Promise<number> => {
    for (let left = count; left > 0; left -= wave) {
      expectEqual('values', await shortWave(start, Math.min(left, wave)), Math.min(left, wave))
    }
    return bytesInUse()
  }
  const first = start(0)
  await first
  const before = await one(warmup)
  const after = await one(n)
  expectEqual('first flow run kept', (await engine.get(first.id)) === undefined ? 0 : 1, 1)
  await engine.close()
  return { 'B/run': (after - before) / n }
}

export const measures: Readonly<Record<string, Measure>> = {
  finished,
  waiting,
  running,
  'live-flows': liveFlows,
  'finished-flows': finishedFlows,
}
