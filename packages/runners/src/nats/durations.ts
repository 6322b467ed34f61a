/** How long bodies take on average, by their task, as far as that was seen: to the millisecond, and none above a bound. */
export class Durations {
  readonly #means = new Map<string, number>()

  took(task: string, ms: number): void {
    const mean = this.#means.get(task)
    this.#means.set(task, mean === undefined ? ms : mean * 0.9 + ms * 0.1)
    for (const oldest of this.#means.keys()) {
      if (this.#means.size <= most) break
      this.#means.delete(oldest)
    }
  }

  /** 0 where it is not known. */
  of(task: string): number {
    return this.#means.get(task) ?? 0
  }
}

const most = 1_000
