import { EventEmitter, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { createEngine, flow, memoryJournal, task } from '@troupe/core'
import { bytesInUse } from '../lib/heap.ts'
import { expectEqual } from '../lib/measure.ts'
import type { Measure } from '../lib/measure.ts'

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

const finishMany = flow({ name: 'finish-many' }, async (n: number) => {
  for (let left = n; left > 0; left -= wave) {
    await Promise.all(Array.from({ length: Math.min(left, wave) }, (_, i) => quick(i)))
  }
  const measured = once(steps, 'measured')
  steps.emit('submitted')
  await measured
})

const waitMany = flow({ name: 'wait-many' }, async (n: number) => {
  const opened = gate()
  const waiting = Array.from({ length: n }, (_, i) => behindGate(opened, i))
  const measured = once(steps, 'measured')
  steps.emit('submitted')
  await measured
  return (await Promise.all(waiting)).length
})

/** Finished task runs, weighed while their flow run is alive and again after it has finished. */
const finished: Measure = async ({ n }) => {
  const engine = createEngine()
  const start = finishMany.with({ engine })
  const one = async (count: number): Promise<{ live: number; after: number }> => {
    const submitted = once(steps, 'submitted')
    const run = start(count)
    await submitted
    const live = await bytesInUse()
    steps.emit('measured')
    await run
    return { live, after: await bytesInUse() }
  }
  const { after: before } = await one(warmup)
  const { live, after } = await one(n)
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
    return (await Promise.all(futures)).length
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
  subscription.unsubscribe()
  const bytes = await bytesInUse()
  end()
  for (const run of runs) expectEqual('as value', await run, value)
  return bytes
}

/** Flow runs that have ended and are kept, without task runs. */
const finishedFlows: Measure = async ({ n }) => {
  const engine = createEngine({ journal: memoryJournal({ keep: 2 * n + warmup }) })
  const start = short.with({ engine })
  const one = async (count: number): Promise<number> => {
    for (let left = count; left > 0; left -= wave) {
      await Promise.all(Array.from({ length: Math.min(left, wave) }, (_, i) => start(i)))
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
