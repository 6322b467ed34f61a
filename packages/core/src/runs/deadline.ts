import type { Clock } from '../ports/clock.ts'

/** A wait that can be given up. */
export interface Deadline {
  readonly done: Promise<void>
  readonly stop: () => void
}

/** Waits on a clock, outside any run. */
export function deadlineAfter(clock: Clock, ms: number): Deadline {
  let stop = (): void => undefined
  const done = new Promise<void>((resolve) => {
    stop = clock.at(clock.now() + ms, resolve)
  })
  return { done, stop }
}

/** Waits for something as long as `ms` allow. */
export async function within(clock: Clock, ms: number, done: Promise<unknown>): Promise<void> {
  const deadline = deadlineAfter(clock, ms)
  await Promise.race([done, deadline.done])
  deadline.stop()
}
