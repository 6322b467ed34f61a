import { errorOf } from './failures.ts'
import type { PoolThread } from './pool-thread.ts'
import type { Refusal, TaskAddress } from './wires.ts'

/** Somebody who waits for a thread to be ready for tasks of these modules. */
interface Warming {
  readonly modules: readonly string[]
  readonly end: (error: Error | undefined) => void
}

/** Threads that were asked to load modules ahead. */
export class Warmings {
  readonly #byThread = new Map<PoolThread, Map<number, Warming>>()
  #last = 0

  /** Resolves when the thread can execute these tasks; rejects with what a run of them would fail with. */
  warm(thread: PoolThread, tasks: readonly TaskAddress[]): Promise<void> {
    const id = ++this.#last
    const modules = tasks.flatMap((task) => task.modules)
    return new Promise((resolve, reject) => {
      const end = (error: Error | undefined): void => (error === undefined ? resolve() : reject(error))
      const others = this.#byThread.get(thread) ?? new Map<number, Warming>()
      this.#byThread.set(thread, others.set(id, { modules, end }))
      thread.warm(id, tasks)
    })
  }

  warmed(thread: PoolThread, id: number, refusal: Refusal | undefined): void {
    const warmings = this.#byThread.get(thread)
    warmings?.get(id)?.end(refusal === undefined ? undefined : errorOf(refusal))
    warmings?.delete(id)
  }

  /** @param why - Why the thread ended before it had loaded these modules. */
  exited(thread: PoolThread, why: (modules: readonly string[]) => Error | undefined): void {
    for (const { end, modules } of this.#byThread.get(thread)?.values() ?? []) end(why(modules))
    this.#byThread.delete(thread)
  }
}
