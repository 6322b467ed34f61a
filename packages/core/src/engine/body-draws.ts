import type { DrawEntry } from '../journal/entries.ts'
import { diverge, type Replayed } from './divergence.ts'

/** The attempt that draws. */
interface Drawing extends Replayed {
  readonly number: number
}

/** What a body draws of time and chance: recorded, and found again when the body is replayed. */
export class BodyDraws {
  readonly #attempt: Drawing
  /** Position of the newest draw. */
  #drewAt = 0

  constructor(attempt: Drawing) {
    this.#attempt = attempt
  }

  /**
   * Whether what the body drew is safe. A run that it submits begins only then: a body that acts on a draw, as one that
   * sends a key made by `uuid()`, must not act on one that is lost with the process and drawn anew.
   */
  get safe(): boolean {
    return this.#drewAt <= this.#attempt.run.ledger.position
  }

  draw<T extends number | string>(kind: DrawEntry['draw'], make: () => T): T {
    const attempt = this.#attempt
    const recorded = attempt.replay?.takeDraw()
    if (recorded !== undefined) {
      if (recorded.draw === kind) return recorded.value as T
      diverge(attempt, `drew ${kind} where the journal has ${recorded.draw}`)
    }
    const value = make()
    const { run, number } = attempt
    this.#drewAt = run.ledger.newest + 1
    const at = run.host.clock.now()
    run.ledger.record({ kind: 'draw', at, run: run.index, attempt: number, draw: kind, value }, undefined)
    return value
  }
}
