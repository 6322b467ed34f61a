import { setTimeout } from 'node:timers/promises'
import { createEngine, flow, task } from '@troupe/core'
import type { Measure, Readings } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'

/** Moments of one flow run, in milliseconds, by number of the task run. */
class Stopwatch {
  readonly called: number[] = []
  readonly returned: number[] = []
  readonly numbers = new Map<string, number>()
  readonly delivered: { readonly id: string; readonly name: string; readonly at: number }[] = []

  /** From the call or the body's return that causes a transition to its delivery. */
  readings(): Readings {
    const since = (name: string, causes: readonly number[]): readonly number[] =>
      this.delivered
        .filter((delivery) => delivery.name === name && this.numbers.has(delivery.id))
        .map(({ id, at }) => at - (causes[this.numbers.get(id) ?? NaN] ?? NaN))
    return {
      ...percentiles('call → Pending', since('Pending', this.called)),
      ...percentiles('call → Running', since('Running', this.called)),
      ...percentiles('return → Completed', since('Completed', this.returned)),
    }
  }
}

let watch = new Stopwatch()

const body = task({ name: 'timed' }, (i: number) => {
  watch.returned[i] = performance.now()
  return i
})

const call = (i: number): ReturnType<typeof body> => {
  watch.called[i] = performance.now()
  const future = body(i)
  watch.numbers.set(future.id, i)
  return future
}

const shapes = {
  chain: async (n: number) => {
    for (let i = 0; i < n; i++) await call(i)
  },
  /** One at a time in an idle process. */
  paced: async (n: number) => {
    for (let i = 0; i < n; i++) {
      await call(i)
      await setTimeout(1)
    }
  },
  /** A hundred at once: the loop is taken by the calls after the one that is timed. */
  hundreds: async (n: number) => {
    for (let i = 0; i < n; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, k) => call(i + k)))
    }
  },
} satisfies Record<string, (n: number) => Promise<void>>

function measureShape(shape: keyof typeof shapes): Measure {
  const shaped = flow({ name: shape }, (n: number) => shapes[shape](n))
  return async ({ n }) => {
    const engine = createEngine()
    engine.transitions.subscribe((transition) => {
      watch.delivered.push({ id: transition.runId, name: transition.to.name, at: performance.now() })
    })
    const start = shaped.with({ engine })
    await start(n)
    watch = new Stopwatch()
    globalThis.gc?.()
    await start(n)
    await engine.close()
    return watch.readings()
  }
}

export const measures: Readonly<Record<string, Measure>> = {
  chain: measureShape('chain'),
  paced: measureShape('paced'),
  hundreds: measureShape('hundreds'),
}
