import type { Entry } from '../journal/entries.ts'
import { rootOf } from '../journal/summary.ts'

/** What was committed to a journal since it was read, in order and without a gap, as long as there is room for it. */
export class Pushed {
  #entries: Entry[] = []
  /** Position of the first of them. */
  #from = 0
  #startedAt: number | undefined

  /** When the flow run was started; undefined where its beginning is not among what came. */
  get startedAt(): number | undefined {
    return this.#startedAt
  }

  get size(): number {
    return this.#entries.length
  }

  /** Whether it holds the entry of a position. */
  has(position: number): boolean {
    const index = position - this.#from
    return index >= 0 && index < this.#entries.length
  }

  /**
   * Adds a commit. News without entries, of a journal that was forgotten say, leave it as it is.
   *
   * @param first - Position of its first entry.
   * @param room - How many entries it may hold after that: where there is less, it holds nothing, and the journal is read.
   */
  add(first: number, entries: readonly Entry[], room: number): void {
    if (entries.length === 0) return
    if (first === 1) this.#startedAt = rootOf(entries)?.startedAt
    if (this.#entries.length === 0) this.#from = first
    const isNext = first === this.#from + this.#entries.length
    if (isNext && this.#entries.length + entries.length <= room)
      for (const entry of entries) this.#entries.push(entry)
    else this.#entries = []
  }

  /** What was committed from `position` on; undefined where that is not at hand. */
  take(position: number): readonly Entry[] | undefined {
    const skip = position - this.#from
    if (skip < 0) return undefined
    const entries = this.#entries
    if (skip >= entries.length) {
      this.#entries = []
      return undefined
    }
    this.#entries = []
    return skip === 0 ? entries : entries.slice(skip)
  }
}
