import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'

/** How long to wait before a write that another one came before is tried again, and how long at the most. */
const refusedMs = [2, 250] as const
/** The same where the store did not answer. */
const failedMs = [50, 2_000] as const

/** A wait that can be ended before its time. */
export interface Pause {
  readonly done: Promise<void>
  readonly wake: () => void
}

/** Waits that end together when what they are for is closed. */
class Waiting {
  readonly waking = new Set<() => void>()
  isStopped = false
}

/**
 * Waits between two tries, longer each time, and never as long as others do. Knows when to speak of an error: once, until
 * something works again.
 */
export class Pauses {
  readonly #clock: Clock
  readonly #random: Random
  readonly #waiting: Waiting
  #refusals = 0
  #failures = 0

  constructor(clock: Clock, random: Random, waiting = new Waiting()) {
    this.#clock = clock
    this.#random = random
    this.#waiting = waiting
  }

  /** For a series of tries of its own. */
  another(): Pauses {
    return new Pauses(this.#clock, this.#random, this.#waiting)
  }

  get isStopped(): boolean {
    return this.#waiting.isStopped
  }

  worked(): void {
    this.#refusals = 0
    this.#failures = 0
  }

  async refused(): Promise<void> {
    await this.wait(this.#longer(this.#refusals++, refusedMs))
  }

  async failed(error: unknown, report: (error: unknown) => void): Promise<void> {
    if (this.#failures === 0 && !this.isStopped) report(error)
    await this.wait(this.#longer(this.#failures++, failedMs))
  }

  #longer(times: number, [first, most]: readonly [number, number]): number {
    return this.jittered(Math.min(most, first * 2 ** times))
  }

  /** From half of it to one and a half. */
  jittered(ms: number): number {
    return ms * (0.5 + this.#random.number())
  }

  wait(ms: number): Promise<void> {
    return this.begin(ms).done
  }

  begin(ms: number): Pause {
    const { waking, isStopped } = this.#waiting
    if (isStopped) return { done: Promise.resolve(), wake: () => undefined }
    let wake = (): void => undefined
    const done = new Promise<void>((resolve) => {
      wake = (): void => {
        stop()
        waking.delete(wake)
        resolve()
      }
      const stop = this.#clock.at(this.#clock.now() + ms, wake)
      waking.add(wake)
    })
    return { done, wake }
  }

  /** Nobody waits any more. */
  stop(): void {
    this.#waiting.isStopped = true
    for (const wake of this.#waiting.waking) wake()
  }
}
