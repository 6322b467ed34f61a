import { createEngine, flow, task } from '@troupe/core'
import { setTimeout } from 'node:timers/promises'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { startBeside } from '../nats/beside.ts'
import { startNats } from '../nats/server.ts'
import { failOnErrors, timedFlow, transportTo, wallTime, type Seen } from '../nats/troupe.ts'

/** Moments of one flow run, by number of the task run. */
let called: number[] = []
let returned: number[] = []
const numbers = new Map<string, number>()

const body = task('timed-body', (i: number) => {
  returned[i] = wallTime()
  return i
})

/** One at a time, in a cluster where nothing else happens. */
const paced = flow({ name: timedFlow }, async (n: number) => {
  for (let i = 0; i < n; i++) {
    called[i] = wallTime()
    const future = body(i)
    numbers.set(future.id, i)
    await future
    await setTimeout(1)
  }
})

/** From the call, or the body's return, that causes a transition to its delivery in another process. */
const transitions: Measure = async ({ n }) => {
  const server = await startNats({})
  try {
    const engine = createEngine(transportTo(server))
    failOnErrors(engine)
    const start = paced.with({ engine })
    const watcher = await startBeside('watcher', server)
    const collected = async (): Promise<readonly Seen[]> => {
      const seen: Seen[] = []
      for (;;) {
        seen.push(...((await watcher.ask()) as Seen[]))
        if (seen.filter(([id, state]) => state === 'Completed' && numbers.has(id)).length >= n) return seen
        await setTimeout(50)
      }
    }
    await start(n)
    await collected()
    called = []
    returned = []
    numbers.clear()
    await start(n)
    const seen = await collected()
    await watcher.stop()
    await engine.close()
    const since = (name: string, causes: readonly number[]): readonly number[] =>
      seen.flatMap(([id, state, at]) => {
        const cause = state === name ? causes[numbers.get(id) ?? NaN] : undefined
        return cause === undefined ? [] : [at - cause]
      })
    expectEqual('transitions', since('Pending', called).length, n)
    return {
      ...percentiles('call → Pending', since('Pending', called)),
      ...percentiles('return → Completed', since('Completed', returned)),
    }
  } finally {
    await server.stop()
  }
}

export const measures: Readonly<Record<string, Measure>> = { paced: transitions }
