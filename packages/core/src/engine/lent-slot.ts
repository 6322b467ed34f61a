import type { Clock } from '../ports/clock.ts'
import type { Assignment, TaskPool } from '../ports/task-runner.ts'

/** A body that lends its slot while it waits for other runs. */
interface Lender extends Assignment {
  readonly host: { readonly clock: Clock }
  readonly pool: TaskPool | undefined
  readonly isOver: boolean
}

/** The slot of a body that may wait for several runs at once: it is lent while there is one that it waits for. */
export class LentSlot {
  readonly #lender: Lender
  #waits = 0

  constructor(lender: Lender) {
    this.#lender = lender
  }

  /** The body waits for one more run. */
  lend(): void {
    const isFirst = this.#waits++ === 0
    // Of one in another thread it is known later whether it rests.
    if (isFirst && this.#lender.pool?.encodes !== true) this.#lender.pool?.lend(this.#lender)
  }

  /** It waits for one less: calls `go` when it has its slot again. */
  reclaim(go: () => void): void {
    const lender = this.#lender
    this.#waits--
    lender.pool?.reclaim(lender, () => {
      go()
      if (this.#waits === 0) return
      // It still waits for others: it lends its slot again when it has come to rest.
      if (lender.pool?.encodes === true) return
      lender.host.clock.turn(() => this.rested())
    })
  }

  /** The body does nothing but wait. */
  rested(): void {
    const lender = this.#lender
    if (this.#waits > 0 && !lender.isOver) lender.pool?.lend(lender)
  }
}
