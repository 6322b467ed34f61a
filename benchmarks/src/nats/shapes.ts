import { flow, task } from '@troupe/core'
import { NatsTaskRunner } from '@troupe/runners'
import { queue } from './troupe.ts'

const taskRunner = new NatsTaskRunner({ queue })

/** Gives back what it gets: the arguments of a task run are as large as its result. */
const echo = task('echo', async (value: string) => value)

/** No two are equal: equal ones of a flow run are stored once. */
const value = (i: number, bytes: number): string => `${i}`.padEnd(bytes, '.')

/** What a flow of these is asked: how many task runs, how many of them at the same time, and how large their values are. */
export interface Shape {
  readonly n: number
  readonly inFlight: number
  readonly bytes: number
}

/** Many task runs at the same time. With one in flight each awaits the one before it. */
export const shaped = flow({ name: 'shaped', taskRunner }, async ({ n, inFlight, bytes }: Shape) => {
  let next = 0
  let same = 0
  const lane = async (): Promise<void> => {
    while (next < n) {
      const sent = value(next++, bytes)
      if ((await echo(sent)) === sent) same++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return same
})
