import { setTimeout } from 'node:timers/promises'
import { createEngine, flow, task } from '@troupe/core'
import { expectEqual, type Measure, type Readings } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { expectTransitions } from './history.ts'

/** Moments of one flow run, in milliseconds, by number of the task run. */
export class Stopwatch {
  readonly called: number[] = []
  readonly returned: number[] = []
  readonly numbers = new Map<string, number>()
  readonly delivered: { readonly id: string; readonly name: string; readonly at: number }[] = []

  /** From the call or the body's return that causes a transition to its delivery. Throws where one of `n` task runs lacks one. */
  readings(n: number): Readings {
    const ofTaskRuns = this.delivered.filter(({ id }) => this.numbers.has(id))
    expectTransitions(
      ofTaskRuns.map(({ name }) => name),
      n,
    )
    const since = (name: string, causes: readonly number[]): readonly number[] =>
      ofTaskRuns
        .filter((delivery) => delivery.name === name)
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

/** Each gives how many values were those that were asked for. */
const shapes = {
  chain: async (n: number) => {
    let right = 0
    for (let i = 0; i < n; i++) right += (await call(i)) === i ? 1 : 0
    return right
  },
  /** One at a time in an idle process. */
  paced: async (n: number) => {
    let right = 0
    for (let i = 0; i < n; i++) {
      right += (await call(i)) === i ? 1 : 0
      await setTimeout(1)
    }
    return right
  },
  /** A hundred at once: the loop is taken by the calls after the one that is timed. */
  hundreds: async (n: number) => {
    let right = 0
    for (let i = 0; i < n; i += 100) {
      const values = await Promise.all(Array.from({ length: Math.min(100, n - i) }, (_, k) => call(i + k)))
      right += values.filter((value, k) => value === i + k).length
    }
    return right
  },
} satisfies Record<string, (n: number) => Promise<number>>

function measureShape(shape: keyof typeof shapes): Measure {
  const shaped = flow({ name: shape }, (n: number) => shapes[shape](n))
  return async ({ n }) => {
    const engine = createEngine()
    engine.transitions.subscribe((transition) => {
      watch.delivered.push({ id: transition.runId, name: transition.to.name, at: performance.now() })
    })
    const start = shaped.with({ engine })
    expectEqual('values', await start(n), n)
    watch = new Stopwatch()
    globalThis.gc?.()
    expectEqual('values', await start(n), n)
    await engine.close()
    return watch.readings(n)
  }
}

export const measures: Readonly<Record<string, Measure>> = {
  chain: measureShape('chain'),
  paced: measureShape('paced'),
  hundreds: measureShape('hundreds'),
}
