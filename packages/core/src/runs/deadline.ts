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
