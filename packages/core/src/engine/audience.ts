/** A body that may have lent its slot while it waits. */
export interface Waiter {
  /** Calls `go` when the body may go on. */
  wake(go: () => void): void
}

/**
 * Those who wait for the end of a run, and may all see it at the same moment. Made only for somebody who takes the promise
 * in the same breath, so that a rejection has somebody to go to.
 */
export class Audience {
  readonly promise: Promise<unknown>
  #resolve: (value: unknown) => void = unset
  #reject: (error: unknown) => void = unset
  #waiters: Waiter[] | undefined

  constructor() {
    this.promise = new Promise<unknown>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** The waiter lent its slot, and is to have it back before it sees the end. */
  lent(waiter: Waiter): void {
    ;(this.#waiters ??= []).push(waiter)
  }

  /** Shows how the run ended, when all who lent their slot have it back; then calls `then`. */
  show(end: { readonly value: unknown } | { readonly error: unknown }, then: () => void): void {
    const waiters = this.#waiters
    if (waiters === undefined) {
      this.#settle(end, then)
      return
    }
    this.#waiters = undefined
    let missing = waiters.length
    for (const waiter of waiters) {
      waiter.wake(() => {
        if (--missing === 0) this.#settle(end, then)
      })
    }
  }

  #settle(end: { readonly value: unknown } | { readonly error: unknown }, then: () => void): void {
    if ('value' in end) this.#resolve(end.value)
    else this.#reject(end.error)
    then()
  }
}

function unset(): void {
  // Replaced before the constructor returns.
}
