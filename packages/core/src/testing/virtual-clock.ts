import type { Clock } from '../ports/clock.ts'
import { systemClock } from '../ports/system-clock.ts'
import { Deadlines } from '../ports/deadlines.ts'

/** A clock that stands still until it is told otherwise. @public */
export interface VirtualClock extends Clock {
  /** How many deadlines wait. */
  readonly waiting: number
  /** Moves on by `ms`, and fires what becomes due on the way, each at its moment. */
  advance(ms: number): void
  /** Moves to the next deadline and fires it. @returns False where none waits. */
  advanceToNext(): boolean
  /**
   * Waits for a promise, and moves to the next deadline whenever the event loop has come to rest before it settles. Real
   * I/O does not count as work: a body that reads a file lets virtual time pass.
   */
  run<T>(promise: PromiseLike<T>): Promise<T>
}

/** Turns of the event loop without a deadline's firing after which the program is at rest. */
const quietTurns = 12

/**
 * Makes a clock on virtual time. Its turns are real turns of the event loop; only waiting is virtual.
 *
 * @param start - Wall time to begin with, in milliseconds since 1970; default 2001-01-01T00:00:00Z.
 * @public
 */
export function virtualClock(start = Date.UTC(2001, 0, 1)): VirtualClock {
  const deadlines = new Deadlines()
  // Only waiting is virtual.
  const loop = systemClock()
  let now = start
  let turns = 0

  const advanceToNext = (): boolean => {
    const next = deadlines.next()
    if (next === Number.POSITIVE_INFINITY) return false
    now = Math.max(now, next)
    // Whoever else waits for the program to come to rest begins anew.
    turns++
    deadlines.fire(now)
    return true
  }
  const turn = (fn: () => void): void => {
    turns++
    loop.turn(fn)
  }

  return {
    now: () => now,
    monotonic: () => now - start,
    at: (deadline, fn) => deadlines.add(deadline, fn),
    turn,
    get waiting() {
      return deadlines.size
    },
    advance(ms) {
      const until = now + ms
      while (deadlines.next() <= until) advanceToNext()
      now = until
    },
    advanceToNext,
    async run<T>(promise: PromiseLike<T>): Promise<T> {
      let settled = false
      const end = (): void => {
        settled = true
      }
      void Promise.resolve(promise).then(end, end)
      let quiet = 0
      while (!settled) {
        const before = turns
        await new Promise<void>((resolve) => loop.turn(resolve))
        quiet = turns === before ? quiet + 1 : 0
        if (quiet > quietTurns) {
          advanceToNext()
          quiet = 0
        }
      }
      return promise
    },
  }
}
