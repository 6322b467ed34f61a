/** For how long after the event loop was free again its deliveries may be old ones, in milliseconds. */
const drainMs = 1_000

/** A watch on the event loop: when it was last late by much. */
export class LoopWatch {
  readonly #monotonic: () => number
  readonly #lateMs: number
  readonly #timer: NodeJS.Timeout
  #seenAt: number
  #wokeAt = -Infinity

  /** @param lateMs - By how much it is late by much. */
  constructor(monotonic: () => number, lateMs: number, everyMs: number) {
    this.#monotonic = monotonic
    this.#lateMs = lateMs
    this.#seenAt = monotonic()
    this.#timer = setInterval(() => this.#look(), everyMs).unref()
  }

  /** Whether what comes now may have lain in a buffer for long. */
  isLate(): boolean {
    // Timers may be yet to come.
    this.#look()
    return this.#seenAt - this.#wokeAt < drainMs
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = this.#monotonic()
    if (now - this.#seenAt >= this.#lateMs) this.#wokeAt = now
    this.#seenAt = now
  }
}
