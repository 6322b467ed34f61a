import type { Run } from './run.ts'

/**
 * The live runs that one body submitted. A list in which the last one takes the place of one that leaves: unlike a set,
 * it costs a run that waits only one word.
 */
export class LiveRuns {
  readonly #runs: Run[] = []

  get size(): number {
    return this.#runs.length
  }

  add(run: Run): this {
    run.place = this.#runs.length
    this.#runs.push(run)
    return this
  }

  /** Nothing where it is not there. */
  delete(run: Run): void {
    const last = this.#runs.at(-1)
    if (last === undefined || this.#runs[run.place] !== run) return
    this.#runs[run.place] = last
    last.place = run.place
    this.#runs.pop()
  }

  /** A copy, in the order of submission. */
  inOrder(): Run[] {
    return this.#runs.toSorted((a, b) => a.index - b.index)
  }
}
