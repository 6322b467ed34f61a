/** Marks of one flow run at most; then every other one is dropped. */
const perRun = 1_024
/** Flow runs with marks; the one that was not used for longest goes first. */
const runs = 2_000

/** Where the record of a position is in the stream. */
export interface Mark {
  /** Position of the record's first entry. */
  readonly position: number
  readonly seq: number
}

/** Which positions are where, as far as it was seen: so that a read in the middle of a long journal need not look for them. */
export class Marks {
  readonly #runs = new Map<string, Mark[]>()

  add(flowRunId: string, position: number, seq: number): void {
    let marks = this.#runs.get(flowRunId)
    if (marks === undefined) {
      this.#runs.set(flowRunId, (marks = []))
      if (this.#runs.size > runs) this.#dropOldest()
    }
    const last = marks.at(-1)
    if (last === undefined || position > last.position) marks.push({ position, seq })
    else {
      const at = after(marks, position)
      if (marks[at - 1]?.position === position) return
      marks.splice(at, 0, { position, seq })
    }
    if (marks.length > perRun)
      this.#runs.set(
        flowRunId,
        marks.filter((_, index) => index % 2 === 0),
      )
  }

  /** The nearest mark at or before a position. */
  before(flowRunId: string, position: number): Mark | undefined {
    const marks = this.#runs.get(flowRunId)
    if (marks === undefined) return undefined
    // Used last.
    this.#runs.delete(flowRunId)
    this.#runs.set(flowRunId, marks)
    return marks[after(marks, position) - 1]
  }

  /** The nearest mark after a position. */
  after(flowRunId: string, position: number): Mark | undefined {
    const marks = this.#runs.get(flowRunId)
    return marks?.[after(marks, position)]
  }

  forget(flowRunId: string): void {
    this.#runs.delete(flowRunId)
  }

  #dropOldest(): void {
    for (const flowRunId of this.#runs.keys()) {
      this.#runs.delete(flowRunId)
      return
    }
  }
}

/** Index of the first mark after a position. */
function after(marks: readonly Mark[], position: number): number {
  let [low, high] = [0, marks.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((marks[middle]?.position ?? 0) > position) high = middle
    else low = middle + 1
  }
  return low
}
