import type { Append } from '@troupe/core'
import type { CarriedSummary } from './wire.ts'

/** Tails that are remembered; one that is forgotten is asked for again. */
const kept = 20_000

/** Where a journal ends, as far as this writer knows. */
export interface Tail {
  /** Newest sequence of its subject, also of what is left of a journal that was forgotten; 0 for none. */
  readonly seq: number
  /** Sequence of its newest record: the same, but where a record came behind it that does not count. */
  readonly record: number
  /** Position of its newest entry; 0 for none. */
  readonly position: number
  readonly epoch: number
  readonly summary: CarriedSummary | undefined
  /** Entries of the newest record, where this writer made it. */
  readonly entries: Append['entries'] | undefined
}

/**
 * The ends of journals that this writer writes. They move by answers to its own appends, and where an end is not known by what the
 * leader says: never by what it hears of others, or it would go on writing behind its successor's back.
 */
export class Tails {
  readonly #tails = new Map<string, Tail>()

  get(flowRunId: string): Tail | undefined {
    return this.#tails.get(flowRunId)
  }

  set(flowRunId: string, tail: Tail): void {
    // To the end: the one that was not written for longest goes first.
    this.#tails.delete(flowRunId)
    this.#tails.set(flowRunId, tail)
    if (this.#tails.size <= kept) return
    for (const oldest of this.#tails.keys()) {
      this.#tails.delete(oldest)
      return
    }
  }

  forget(flowRunId: string): void {
    this.#tails.delete(flowRunId)
  }
}
