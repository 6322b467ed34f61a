import type { Append, AppendRefused, Journal } from '../ports/journal.ts'

/**
 * Makes an engine known to the others that share its journal, and writes nothing before it is: two engines of one name could
 * not tell whose runs are whose.
 */
export class Presence {
  readonly #journal: Journal
  readonly #node: string
  #announced: Promise<void> | undefined

  /** @param onRefused - Told why the engine can't be there, in a later turn. */
  constructor(journal: Journal, node: string, onRefused: (error: unknown) => void) {
    this.#journal = journal
    this.#node = node
    const announced = journal.nodes?.announce(node)
    this.#announced = announced
    announced?.then(
      () => (this.#announced = undefined),
      (error: unknown) => onRefused(error),
    )
  }

  /** Resolves when the engine is known; at once where nobody needs to know. @throws JournalError `NODE_IN_USE` and what opening the journal gives */
  async there(): Promise<void> {
    await this.#announced
  }

  append(append: Append): Promise<AppendRefused | undefined> | AppendRefused | undefined {
    const journal = this.#journal
    return this.#announced === undefined
      ? journal.append(append)
      : this.#announced.then(() => journal.append(append))
  }

  async withdraw(): Promise<void> {
    if (this.#announced === undefined) await this.#journal.nodes?.withdraw(this.#node)
  }
}
