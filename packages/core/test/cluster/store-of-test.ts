import type { Clock, Random, Register, Registered } from '@troupe/core'
import type { VirtualClock } from '@troupe/core/testing'

/** What goes wrong, each a probability. */
export interface StoreFaults {
  /** A write was stored, and its caller gets an error. */
  readonly stored: number
  /** A write was stored, and its caller hears that another one came first. */
  readonly denied: number
  /** A call gets an error, and was not done. */
  readonly failed: number
  /** A write gets an error, and is done later; what the same node writes after it comes after it. */
  readonly late: number
  /** Nobody is told of a write. */
  readonly unheard: number
}

interface Listener {
  readonly prefix: string
  tell(key: string): void
}

/** A register as a server is: each node has one line to it, on which calls take their time. */
export class StoreOfTest {
  readonly clock: VirtualClock
  readonly #random: Random
  readonly #faults: StoreFaults
  readonly #values = new Map<string, Registered>()
  readonly #listeners = new Set<Listener>()
  #revision = 0
  /** How far its clock is from all others. */
  #skewMs = 123_456_789
  calls = 0
  writes = 0

  constructor(clock: VirtualClock, random: Random, faults: StoreFaults) {
    this.clock = clock
    this.#random = random
    this.#faults = faults
  }

  now(): number {
    return this.clock.now() + this.#skewMs
  }

  /** Its clock, and that alone. */
  setBack(ms: number): void {
    this.#skewMs -= ms
  }

  /** What all nodes see. */
  read(): ReadonlyMap<string, unknown> {
    const texts = [...this.#values].map(
      ([key, { value }]) => [key, JSON.parse(new TextDecoder().decode(value)) as unknown] as const,
    )
    return new Map(texts)
  }

  /** The line of one node. @param clock - That of the node, which may die. */
  line(clock: Clock): Register {
    let last = 0
    const read = <T>(ask: () => T): Promise<T> => call(ask, { ms: this.#random.number() * 3, isLate: false })
    // A write comes after those that were sent before it, and a read may come before them.
    const write = <T>(ask: () => T, denial: T): Promise<T> => {
      const isLate = this.#happens(this.#faults.late)
      last = Math.max(last, this.clock.now() + this.#random.number() * 3 + (isLate ? 200 : 0))
      return call(ask, { ms: last - this.clock.now(), isLate }, denial)
    }
    const call = <T>(ask: () => T, way: { ms: number; isLate: boolean }, denial?: T): Promise<T> => {
      this.calls++
      return new Promise((resolve, reject) => {
        const fail = (): void => reject(new RangeError('the store did not answer'))
        const answer = (fn: () => void): void => void clock.at(clock.now() + this.#random.number() * 3, fn)
        if (way.isLate) answer(fail)
        // What was sent comes also from a node that has died meanwhile.
        this.clock.at(this.clock.now() + way.ms, () => {
          if (this.#happens(this.#faults.failed)) {
            answer(fail)
            return
          }
          const before = this.#revision
          const result = ask()
          const isWrite = this.#revision !== before
          if (isWrite && this.#happens(this.#faults.stored)) answer(fail)
          else if (isWrite && this.#happens(this.#faults.denied)) answer(() => resolve(denial as T))
          else answer(() => resolve(result))
        })
      })
    }
    return {
      get: (key) => read(() => this.#values.get(key)),
      put: (key, value, expected) =>
        write(() => {
          if ((this.#values.get(key)?.revision ?? 0) !== expected) return undefined
          this.#values.set(key, { value, revision: ++this.#revision, writtenAt: this.now() })
          this.#told(key)
          return this.#revision
        }, undefined),
      delete: (key, expected) =>
        write(() => {
          if ((this.#values.get(key)?.revision ?? 0) !== expected) return false
          this.#values.delete(key)
          this.#revision++
          this.#told(key)
          return true
        }, false),
      keys: (prefix) => read(() => [...this.#values.keys()].filter((key) => key.startsWith(prefix))),
      subscribe: (prefix, listener) => {
        const own: Listener = {
          prefix,
          tell: (key) => void clock.at(clock.now() + this.#random.number() * 3, () => listener(key)),
        }
        this.#listeners.add(own)
        return () => void this.#listeners.delete(own)
      },
    }
  }

  #told(key: string): void {
    this.writes++
    for (const listener of this.#listeners)
      if (key.startsWith(listener.prefix) && !this.#happens(this.#faults.unheard)) listener.tell(key)
  }

  #happens(probability: number): boolean {
    return this.#random.number() < probability
  }
}
