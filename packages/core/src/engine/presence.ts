import type { Clock } from '../ports/clock.ts'
import type { Append, AppendRefused, Journal } from '../ports/journal.ts'
import type { NodeInfo, Nodes } from '../ports/nodes.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { isPassing } from './patient-journal.ts'

/** How often an engine that counts as gone looks whether it is there again, in milliseconds: doubling. */
const firstPauseMs = 100
const longestPauseMs = 5_000

/**
 * Makes an engine known to the others that share its journal, and writes nothing before it is: two engines of one name could
 * not tell whose runs are whose.
 */
export class Presence {
  readonly #journal: Journal
  readonly #nodes: Nodes | undefined
  readonly #node: string
  #announced: Promise<void> | undefined

  constructor(journal: Journal, nodes: Nodes | undefined, node: string) {
    this.#journal = journal
    this.#nodes = nodes
    this.#node = node
  }

  /** Each is called in a later turn. @param refused - Told why the engine can't be there. */
  announce(info: NodeInfo | undefined, known: () => void, refused: (error: unknown) => void): void {
    const announced = this.#nodes?.announce(this.#node, info)
    this.#announced = announced
    announced?.then(
      () => {
        this.#announced = undefined
        known()
      },
      (error: unknown) => refused(error),
    )
  }

  /** Resolves when the engine is known; at once where nobody needs to know. @throws JournalError `NODE_IN_USE` and what opening the journal gives */
  async there(): Promise<void> {
    await this.#announced
  }

  /** Resolves when the engine does not count as gone, or is closed. */
  async again(engine: { readonly clock: Clock; readonly closed: boolean }): Promise<void> {
    for (let pauseMs = firstPauseMs; !engine.closed; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (await this.#isThere()) return
      await deadlineAfter(engine.clock, pauseMs).done
    }
  }

  async #isThere(): Promise<boolean> {
    try {
      const gone = await this.#nodes?.gone([this.#node])
      return gone === undefined || gone.length === 0
    } catch (error) {
      if (isPassing(error)) return false
      throw error
    }
  }

  append(append: Append): Promise<AppendRefused | undefined> | AppendRefused | undefined {
    const journal = this.#journal
    return this.#announced === undefined
      ? journal.append(append)
      : this.#announced.then(() => journal.append(append))
  }

  async withdraw(): Promise<void> {
    if (this.#announced === undefined) await this.#nodes?.withdraw(this.#node)
  }
}
