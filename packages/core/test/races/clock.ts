import type { Clock } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'

/** More turns than any scene takes. */
const mostTurns = 20_000

/** Virtual time that goes on as soon as no turn is waited for, and, as real time does, now and then before that. */
export class SceneClock implements Clock {
  readonly #time = virtualClock(0)
  readonly #slips: () => boolean
  #waiting = 0
  /** Waits of the scene itself. */
  #own = 0

  /** @param slips - Asked in each turn whether time goes on to the next deadline though there is more to do. */
  constructor(slips: () => boolean) {
    this.#slips = slips
  }

  now(): number {
    return this.#time.now()
  }

  monotonic(): number {
    return this.#time.monotonic()
  }

  at(deadline: number, fn: () => void): () => void {
    return this.#time.at(deadline, fn)
  }

  turn(fn: () => void): void {
    this.#waiting++
    setImmediate(() => {
      this.#waiting--
      fn()
    })
  }

  /** How many deadlines of the engine wait. */
  get deadlines(): number {
    return this.#time.waiting - this.#own
  }

  /** Calls `fn` so many turns on. */
  afterTurns(turns: number, fn: () => void): void {
    this.turn(() => (turns > 1 ? this.afterTurns(turns - 1, fn) : fn()))
  }

  /** Calls `fn` when the time has passed. @returns A function that calls it at once where it has not been called. */
  after(ms: number, fn: () => void): () => void {
    let called = false
    const call = (): void => {
      if (called) return
      called = true
      this.#own--
      fn()
    }
    this.#own++
    const takeBack = this.at(this.now() + ms, call)
    return () => {
      takeBack()
      call()
    }
  }

  /**
   * Lets the program run until nothing is left to do.
   *
   * @param atRest - Called whenever only time can make it go on.
   * @returns Whether it came to an end.
   */
  async rest(atRest: () => void): Promise<boolean> {
    for (let left = mostTurns; left > 0; left--) {
      await new Promise<void>((resolve) => void setImmediate(resolve))
      if (this.#waiting > 0) {
        if (this.#slips()) this.#time.advanceToNext()
        continue
      }
      atRest()
      if (!this.#time.advanceToNext()) return true
    }
    return false
  }
}
