import type { RecordedRun } from '../journal/history.ts'
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

/** When the time of a flow run began, as if it had not been paused; the journal may end with a pause. */
export function startOfLimit(recorded: RecordedRun, now: number): number {
  const { startedAt, pausedMs, pausedFor, stateName, last } = recorded
  const stands = (stateName === 'Paused' || stateName === 'Suspended') && pausedFor !== 'wait'
  return startedAt + pausedMs + (stands ? now - last.at : 0)
}
