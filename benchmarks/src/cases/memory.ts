import { EventEmitter, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { createEngine, flow, task } from '@troupe/core'
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

export const measures: Readonly<Record<string, Measure>> = { finished, waiting }
