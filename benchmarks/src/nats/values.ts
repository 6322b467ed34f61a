interface Waiting {
  readonly resolve: (value: number) => void
  readonly reject: (error: Error) => void
}

/** Values that are on their way, by the id of what was asked for. None gets lost unnoticed, and none comes twice. */
export class Values {
  readonly #waiting = new Map<string, Waiting>()
  /** What has come before it was waited for. */
  readonly #early = new Map<string, Promise<number>>()
  #moved = false

  /** How many have come that nothing has waited for. */
  get surplus(): number {
    return this.#early.size
  }

  /** Waits for a value, which may have come already. */
  expect(id: string): Promise<number> {
    this.#moved = true
    const early = this.#early.get(id)
    this.#early.delete(id)
    return early ?? new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** Hands a value over. */
  came(id: string, value: number): void {
    const waiting = this.#take(id)
    if (waiting) waiting.resolve(value)
    else this.#early.set(id, Promise.resolve(value))
  }

  /** Says that there will be no value. */
  failed(id: string, reason: string): void {
    const error = new Error(`job ${id} has failed: ${reason}`)
    const waiting = this.#take(id)
    if (waiting) return waiting.reject(error)
    const early = Promise.reject<number>(error)
    // Whoever waits for it hears of it.
    early.catch(() => undefined)
    this.#early.set(id, early)
  }

  /** To be called now and then: gives up all that are waited for where none has come and none was asked for since the last call. */
  giveUpWhereNoneMoved(): void {
    if (!this.#moved) {
      for (const [id, { reject }] of this.#waiting) reject(new Error(`the value of job ${id} was lost`))
      this.#waiting.clear()
    }
    this.#moved = false
  }

  #take(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    this.#moved = true
    return waiting
  }
}
