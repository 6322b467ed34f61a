import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'

/** The node whose process is executing. */
export const executing = new AsyncLocalStorage<string>()

/** Time of a whole cluster: goes on as soon as no turn is waited for, and, as real time does, now and then before that. */
export class ClusterClock implements Clock {
  readonly #time = virtualClock(Date.UTC(2001, 0, 1))
  readonly #slips: () => boolean
  #waiting = 0

  /** @param slips - Asked in each turn whether time goes on though there is more to do. */
  constructor(slips: () => boolean) {
    this.#slips = slips
  }

  now(): number {
    return this.#time.now()
  }

  monotonic(): number {
    return this.#time.monotonic()
  }

  at(deadline: number, fn: () => void): () => void {
    return this.#time.at(deadline, fn)
  }

  turn(fn: () => void): void {
    this.#waiting++
    setImmediate(() => {
      this.#waiting--
      fn()
    })
  }

  /** Resolves when so much time has passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.at(this.now() + ms, resolve))
  }

  /**
   * Lets the cluster live until a promise settles.
   *
   * @param most - Milliseconds that may pass until then.
   * @returns Whether it has.
   */
  async run(promise: Promise<unknown>, most: number): Promise<boolean> {
    const until = this.now() + most
    let settled = false
    const end = (): void => void (settled = true)
    promise.then(end, end)
    while (this.now() < until) {
      await new Promise<void>((resolve) => void setImmediate(resolve))
      if (settled) return true
      if (this.#waiting > 0) {
        if (this.#slips()) this.#time.advanceToNext()
      } else if (!this.#time.advanceToNext()) return false
    }
    return false
  }
}

/** The clock of one process: its wall time is off by something, and it stands still when the process is dead. */
export class NodeClock implements Clock {
  readonly #cluster: ClusterClock
  readonly #node: string
  readonly #skewMs: number
  isDead = false

  constructor(cluster: ClusterClock, node: string, skewMs: number) {
    this.#cluster = cluster
    this.#node = node
    this.#skewMs = skewMs
  }

  now(): number {
    return this.#cluster.now() + this.#skewMs
  }

  monotonic(): number {
    return this.#cluster.monotonic()
  }

  at(deadline: number, fn: () => void): () => void {
    return this.#cluster.at(deadline - this.#skewMs, () => this.#execute(fn))
  }

  turn(fn: () => void): void {
    this.#cluster.turn(() => this.#execute(fn))
  }

  #execute(fn: () => void): void {
    if (!this.isDead) executing.run(this.#node, fn)
  }
}
