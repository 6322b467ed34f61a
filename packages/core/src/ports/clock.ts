/**
 * Time, as the engine sees it. Everything in core that waits or reads the time does so here.
 *
 * @public
 */
export interface Clock {
  /** Wall time in milliseconds since 1970; for what people read and for recorded deadlines. */
  now(): number
  /** Milliseconds from an arbitrary start that never go back; for measuring how long to wait. */
  monotonic(): number
  /**
   * Calls `fn` once when wall time `deadline` is reached, as measured from now by monotonic time, so that a
   * wall clock set back or forward later changes nothing. A deadline in the past fires in a later turn.
   *
   * @returns A function that takes the call back; calling it twice, or after `fn` ran, does nothing.
   */
  at(deadline: number, fn: () => void): () => void
  /**
   * Calls `fn` in a later turn of the event loop, after everything that was ready has come to rest: microtasks run
   * to the end between two turns. Turns run in the order in which they were asked for.
   */
  turn(fn: () => void): void
}
