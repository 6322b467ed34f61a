import type { Entry } from '../journal/entries.ts'
import type { Clock } from '../ports/clock.ts'
import type { Handover } from './handover.ts'
import type { CommitSubject } from './ledger.ts'
import type { Replay } from './replay.ts'
import type { HandedOver, Run } from './run.ts'

/** The attempt whose body waits. */
export interface TimerOwner {
  readonly run: Run
  readonly number: number
  readonly host: { readonly clock: Clock }
  readonly handover: Handover
  readonly replay: Replay | undefined
  handOver(item: HandedOver): void
}

/** One wait of a body for a deadline. */
class BodyTimer implements HandedOver, CommitSubject {
  readonly attempt: TimerOwner
  readonly promise: Promise<void>
  resolve: () => void = () => undefined
  reject: (error: unknown) => void = () => undefined
  takeBack: (() => void) | undefined
  readonly wanted = true

  constructor(attempt: TimerOwner) {
    this.attempt = attempt
    this.promise = new Promise<void>((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // A wait that nobody awaits yet, or never, is no unhandled rejection when its run is cancelled.
    this.promise.catch(() => undefined)
  }

  deliver(then: () => void): void {
    this.resolve()
    then()
  }

  committed(entry: Entry): void {
    if (entry.kind === 'fired') this.attempt.handOver(this)
  }
}

/** The deadlines that a body waits for: recorded, so that a wait goes on after a crash, to the same moment. */
export class BodyTimers {
  readonly #attempt: TimerOwner
  readonly #armed = new Set<BodyTimer>()

  constructor(attempt: TimerOwner) {
    this.#attempt = attempt
  }

  /** Waits until `deadline` (wall time); finds a wait of an earlier execution again. */
  wait(deadline: number): { readonly done: Promise<void>; readonly stop: () => void } {
    const attempt = this.#attempt
    const recorded = attempt.replay?.takeTimer()
    const timer = new BodyTimer(attempt)
    if (recorded?.place !== undefined) {
      attempt.handover.fill(recorded.place, timer)
      return { done: timer.promise, stop: () => undefined }
    }
    const { ledger } = attempt.run
    const number = recorded?.timer.entry.timer ?? ++ledger.timers
    const until = recorded?.timer.entry.deadline ?? deadline
    if (recorded === undefined) {
      const at = attempt.host.clock.now()
      const run = attempt.run.index
      ledger.record(
        { kind: 'timer', at, run, attempt: attempt.number, timer: number, deadline: until },
        undefined,
      )
    }
    this.#armed.add(timer)
    timer.takeBack = attempt.host.clock.at(until, () => {
      this.#armed.delete(timer)
      ledger.record({ kind: 'fired', at: attempt.host.clock.now(), timer: number }, timer)
    })
    return { done: timer.promise, stop: () => this.#stop(timer) }
  }

  #stop(timer: BodyTimer): void {
    if (this.#armed.delete(timer)) timer.takeBack?.()
  }

  /** The run is being cancelled: nobody waits any more. */
  rejectAll(error: unknown): void {
    for (const timer of this.#armed) {
      timer.takeBack?.()
      timer.reject(error)
    }
    this.#armed.clear()
  }

  /** The run has ended, or left this engine. */
  clear(): void {
    for (const timer of this.#armed) timer.takeBack?.()
    this.#armed.clear()
  }
}
