import type { Clock } from '../ports/clock.ts'

/** The time that an attempt has. It stands still while its flow run is paused. */
export class TimeLimit {
  readonly #clock: Clock
  readonly #expired: () => void
  #stop: (() => void) | undefined
  #heldAt: number | undefined
  /** Wall time at which it expires, unless it is held. */
  deadline: number

  constructor(clock: Clock, deadline: number, expired: () => void) {
    this.#clock = clock
    this.deadline = deadline
    this.#expired = expired
    this.#arm()
  }

  #arm(): void {
    this.#stop = this.#clock.at(this.deadline, this.#expired)
  }

  hold(): void {
    this.stop()
    this.#heldAt ??= this.#clock.now()
  }

  goOn(): void {
    if (this.#heldAt === undefined) return
    this.deadline += this.#clock.now() - this.#heldAt
    this.#heldAt = undefined
    this.#arm()
  }

  /** It expires no more. */
  stop(): void {
    this.#stop?.()
    this.#stop = undefined
  }
}
