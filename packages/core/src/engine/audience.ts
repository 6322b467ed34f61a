/** A body that may have lent its slot while it waits. */
export interface Waiter {
  /** Calls `go` when the body may go on. */
  wake(go: () => void): void
}

/** Those who wait for the end of a run, and may all see it at the same moment. */
export class Audience {
  readonly promise: Promise<unknown>
  #resolve: (value: unknown) => void = unset
  #reject: (error: unknown) => void = unset
  #waiters: Waiter[] = []

  constructor() {
    this.promise = new Promise<unknown>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Only what people derive from it can be unhandled.
    this.promise.catch(() => undefined)
  }

  /** The waiter lent its slot, and is to have it back before it sees the end. */
  lent(waiter: Waiter): void {
    this.#waiters.push(waiter)
  }

  /** Shows how the run ended, when all who lent their slot have it back; then calls `then`. */
  show(end: { readonly value: unknown } | { readonly error: unknown }, then: () => void): void {
    const settle = (): void => {
      if ('value' in end) this.#resolve(end.value)
      else this.#reject(end.error)
      then()
    }
    const waiters = this.#waiters
    this.#waiters = []
    let missing = waiters.length
    if (missing === 0) settle()
    for (const waiter of waiters) {
      waiter.wake(() => {
        if (--missing === 0) settle()
      })
    }
  }
}

function unset(): void {
  // Replaced before the constructor returns.
}
