/** What is in the way of whom, in words. */
export class Troubles {
  readonly #words = new Map<object, string>()
  /** How many have each. */
  readonly #counts = new Map<string, number>()

  /** That which came last of those that are there; undefined where none is. */
  get newest(): string | undefined {
    return [...this.#counts.keys()].at(-1)
  }

  /** @returns Whether nobody had this trouble before */
  begin(holder: object, words: string): boolean {
    if (this.#words.get(holder) === words) return false
    this.end(holder)
    this.#words.set(holder, words)
    const count = this.#counts.get(words) ?? 0
    this.#counts.set(words, count + 1)
    return count === 0
  }

  /** @returns Whether there was one */
  end(holder: object): boolean {
    const words = this.#words.get(holder)
    if (words === undefined) return false
    this.#words.delete(holder)
    const count = this.#counts.get(words) ?? 0
    if (count > 1) this.#counts.set(words, count - 1)
    else this.#counts.delete(words)
    return true
  }

  clear(): void {
    this.#words.clear()
    this.#counts.clear()
  }
}
