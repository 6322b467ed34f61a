import type { Delivery } from '../ports/queue.ts'

/** How long others have to take what could not be ended here, in milliseconds. */
const brokenMs = 1_000

/** A delivery that this node holds, until all that was in it is settled: reported, or somebody else's again. */
export class Held {
  readonly delivery: Delivery
  #left: number
  #isBroken = false
  /** How many of its bodies have begun here. */
  begun = 0
  isOver = false

  constructor(delivery: Delivery, parts: number) {
    this.delivery = delivery
    this.#left = parts
  }

  /** @param isSafe - False where nobody knows of it but the queue: then it comes again, and is asked for. */
  settle(isSafe = true): void {
    if (!isSafe) this.#isBroken = true
    if (--this.#left > 0 || this.isOver) return
    this.isOver = true
    if (this.#isBroken) this.delivery.handBack(brokenMs)
    else this.delivery.done()
  }

  /** Nobody wants it. */
  forget(): void {
    if (this.isOver) return
    this.isOver = true
    this.delivery.done()
  }

  /** None of it has begun here, and none will. */
  handBack(delayMs?: number): void {
    if (this.isOver) return
    this.isOver = true
    this.delivery.handBack(delayMs)
  }
}
