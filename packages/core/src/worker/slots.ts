import { Fifo } from '../base/fifo.ts'
import type { Clock } from '../ports/clock.ts'

/** How long bodies may be begun one after the other before the event loop gets its turn, in milliseconds. */
const longestTurnMs = 5

/** What waits for a slot. */
export interface Startable {
  /** Whether it is still wanted. */
  readonly isWaiting: boolean
  /** It has a slot, which it gives back by `free`. */
  start(): void
}

/** The slots of a queue on this node: how many bodies run at once. One that only waits for other runs counts not. */
export class Slots {
  readonly #clock: Clock
  readonly #limit: number
  readonly #changed: () => void
  readonly #waiting = new Fifo<Startable>()
  readonly #resuming = new Fifo<() => void>()
  #taken = 0
  #starts = 0
  #isPumping = false
  #willPump = false

  /** @param changed - Called when there may be room for more. */
  constructor(clock: Clock, limit: number, changed: () => void) {
    this.#clock = clock
    this.#limit = limit
    this.#changed = changed
  }

  get free(): number {
    return Math.max(0, this.#limit - this.#taken)
  }

  get limit(): number {
    return this.#limit
  }

  /** How many wait, those that are not wanted any more included. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** How many have begun or gone on so far. */
  get starts(): number {
    return this.#starts
  }

  add(item: Startable): void {
    this.#waiting.push(item)
    this.#pumpSoon()
  }

  /** Calls `go` when there is a slot for it, before all that has not begun. */
  reclaim(go: () => void): void {
    this.#resuming.push(go)
    this.#pumpSoon()
  }

  give(): void {
    this.#taken--
    this.#pumpSoon()
  }

  /** Not at once: the caller is in the middle of something. */
  #pumpSoon(): void {
    if (this.#willPump || this.#isPumping) return
    this.#willPump = true
    queueMicrotask(() => this.#pump())
  }

  #pump(): void {
    this.#willPump = false
    this.#isPumping = true
    const from = this.#clock.monotonic()
    while (this.#taken < this.#limit) {
      if (this.#clock.monotonic() - from > longestTurnMs) {
        this.#willPump = true
        this.#clock.turn(() => this.#pump())
        break
      }
      if (!this.#startOne()) break
    }
    this.#isPumping = false
    this.#changed()
  }

  #startOne(): boolean {
    const resume = this.#resuming.shift()
    if (resume !== undefined) {
      this.#taken++
      this.#starts++
      resume()
      return true
    }
    for (;;) {
      const next = this.#waiting.shift()
      if (next === undefined) return false
      if (!next.isWaiting) continue
      this.#taken++
      this.#starts++
      next.start()
      return true
    }
  }
}
