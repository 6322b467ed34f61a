import type { VirtualClock } from '@troupe/core/testing'

/** The clock of one process: counts what waits there, and stands still for it when it is dead. */
export interface MortalClock extends VirtualClock {
  /** Deadlines of this process that wait. */
  readonly armed: number
  /** Nothing that waits or is about to turn happens any more. */
  die(): void
}

/** A share in a clock that outlives its processes. */
export function mortalClock(clock: VirtualClock): MortalClock {
  let dead = false
  let armed = 0
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    at(deadline, fn) {
      armed++
      let waits = true
      const leave = (): void => {
        if (waits) armed--
        waits = false
      }
      const takeBack = clock.at(deadline, () => {
        leave()
        if (!dead) fn()
      })
      return () => {
        leave()
        takeBack()
      }
    },
    turn: (fn) => clock.turn(() => (dead ? undefined : fn())),
    get waiting() {
      return clock.waiting
    },
    advance: (ms) => clock.advance(ms),
    advanceToNext: () => clock.advanceToNext(),
    run: (promise) => clock.run(promise),
    get armed() {
      return armed
    },
    die() {
      dead = true
    },
  }
}
