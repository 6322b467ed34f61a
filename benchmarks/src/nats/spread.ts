import { flow, task } from '@troupe/core'
import { NatsTaskRunner } from '@troupe/runners'
import { work } from '../threads/work.ts'

/** What bodies do: next to nothing, or compute for about 5 ms. */
export const loads = {
  small: { body: task('small', work.small), atOnce: 100 },
  // Bodies that compute share an event loop badly: one at a time in each process.
  compute: { body: task('compute', work.compute), atOnce: 1 },
} as const

/** Names one. */
export type Load = keyof typeof loads

/** The queue that all nodes take from. */
export const queue = 'tasks'

const taskRunner = new NatsTaskRunner({ queue })

/** Flow runs that hand so many task runs to the queue at once, and give how many values came. */
export const spreads = {
  small: flow({ name: 'spread-small', taskRunner }, (n: number) => fanOut('small', n)),
  compute: flow({ name: 'spread-compute', taskRunner }, (n: number) => fanOut('compute', n)),
} as const

async function fanOut(load: Load, n: number): Promise<number> {
  const { body } = loads[load]
  return (await Promise.all(Array.from({ length: n }, (_, i) => body(i)))).length
}
