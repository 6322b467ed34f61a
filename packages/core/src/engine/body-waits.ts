import type { Entry } from '../journal/entries.ts'
import type { Clock } from '../ports/clock.ts'
import type { Handover } from './handover.ts'
import type { CommitSubject } from './ledger.ts'
import type { Replay } from './replay.ts'
import type { HandedOver, Run } from './run.ts'

/** The attempt whose body waits. */
export interface WaitOwner {
  readonly run: Run
  readonly number: number
  readonly host: { readonly clock: Clock }
  readonly handover: Handover
  readonly replay: Replay | undefined
  handOver(item: HandedOver): void
}

/** One wait of a body for a deadline. */
class BodyWait implements HandedOver, CommitSubject {
  readonly attempt: WaitOwner
  readonly promise: Promise<void>
  resolve: () => void = () => undefined
  reject: (error: unknown) => void = () => undefined
  takeBack: (() => void) | undefined
  readonly wanted = true

  constructor(attempt: WaitOwner) {
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
    if (entry.kind === 'woken') this.attempt.handOver(this)
  }
}

/** The deadlines that a body waits for: recorded, so that a wait goes on after a crash, to the same moment. */
export class BodyWaits {
  readonly #attempt: WaitOwner
  readonly #armed = new Set<BodyWait>()

  constructor(attempt: WaitOwner) {
    this.#attempt = attempt
  }

  /** Waits until `deadline` (wall time); finds a wait of an earlier execution again. */
  until(deadline: number): { readonly done: Promise<void>; readonly stop: () => void } {
    const attempt = this.#attempt
    const recorded = attempt.replay?.takeWait()
    const timer = new BodyWait(attempt)
    if (recorded?.place !== undefined) {
      attempt.handover.fill(recorded.place, timer)
      return { done: timer.promise, stop: () => undefined }
    }
    const { ledger } = attempt.run
    const wait = recorded?.wait.entry.wait ?? ++ledger.waits
    const until = recorded?.wait.entry.deadline ?? deadline
    if (recorded === undefined) {
      const at = attempt.host.clock.now()
      const { index: run } = attempt.run
      const what = { for: undefined, name: undefined, deadline: until }
      ledger.record({ kind: 'wait', at, run, attempt: attempt.number, wait, ...what }, undefined)
    }
    this.#armed.add(timer)
    timer.takeBack = attempt.host.clock.at(until, () => {
      this.#armed.delete(timer)
      ledger.record({ kind: 'woken', at: attempt.host.clock.now(), wait, message: undefined }, timer)
    })
    return { done: timer.promise, stop: () => this.#stop(timer) }
  }

  #stop(timer: BodyWait): void {
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
