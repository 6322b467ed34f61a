/**
 * What is known of one lane of a queue: how much of it was asked for, and how much seems to wait. Messages of a pull come under
 * the subject of the stream, so nobody can tell which pull one answers; only sums hold.
 */
export class Lane {
  /** Deliveries that were asked for and have not come. */
  asked = 0
  /** Messages that wait besides those that were asked for, as far as is known. */
  waiting = 0
  /** When it was last heard whether messages wait. */
  lookedAt = -Infinity
  deliveredAt = -Infinity
  /** Whether its consumer is there, as far as is known. */
  usable = false
  /** Pulls that may not have been answered in full, in the order of their deadlines. */
  #pulls: { readonly until: number; readonly batch: number }[] = []

  /** @param until - When its news must have come. */
  sent(batch: number, until: number): void {
    this.asked += batch
    this.waiting = Math.max(0, this.waiting - batch)
    const at = this.#pulls.findLastIndex((pull) => pull.until <= until)
    this.#pulls.splice(at + 1, 0, { until, batch })
  }

  /** @param pending - What the server says is left. */
  delivered(pending: number, now: number): void {
    this.asked = Math.max(0, this.asked - 1)
    this.waiting = Math.max(0, pending - this.asked)
    this.deliveredAt = this.lookedAt = now
    if (this.asked === 0) this.#pulls = []
  }

  /** A pull has ended with so many messages undelivered: nothing waits. */
  ended(undelivered: number, now: number): void {
    this.asked = Math.max(0, this.asked - undelivered)
    this.waiting = 0
    this.lookedAt = now
    if (this.asked === 0) this.#pulls = []
  }

  /** Takes back what was asked for by pulls that should have ended. @returns How much that is: the server forgot it */
  overdue(now: number): number {
    this.#pulls = this.#pulls.filter(({ until }) => until > now)
    const possible = this.#pulls.reduce((sum, { batch }) => sum + batch, 0)
    const lost = Math.max(0, this.asked - possible)
    this.asked -= lost
    return lost
  }

  /** No pull of before is answered any more. */
  forget(): void {
    this.asked = 0
    this.waiting = 0
    this.#pulls = []
  }
}
