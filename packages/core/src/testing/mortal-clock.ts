import type { VirtualClock } from './virtual-clock.ts'

/** The clock of one process: counts what waits there, and stands still for it when it is dead. */
export interface MortalClock extends VirtualClock {
  /** Nothing that waits now, or is about to turn, happens any more, nor what is asked for until `bury`. */
  die(): void
  /** Engines of the dead process are to be closed, which takes time. */
  bury(): void
}

/** A share in a clock that outlives its processes. `waiting` counts what waits in this one. */
export function mortalClock(clock: VirtualClock): MortalClock {
  let dead = false
  let lives = 1
  let waiting = 0
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    at(deadline, fn) {
      const life = lives
      let waits = true
      waiting++
      const leave = (): void => {
        if (waits) waiting--
        waits = false
      }
      const takeBack = clock.at(deadline, () => {
        leave()
        if (!dead && life === lives) fn()
      })
      return () => {
        leave()
        takeBack()
      }
    },
    turn(fn) {
      const life = lives
      clock.turn(() => (dead || life !== lives ? undefined : fn()))
    },
    get waiting() {
      return waiting
    },
    advance: (ms) => clock.advance(ms),
    advanceToNext: () => clock.advanceToNext(),
    run: (promise) => clock.run(promise),
    die() {
      dead = true
      lives++
    },
    bury() {
      dead = false
    },
  }
}
