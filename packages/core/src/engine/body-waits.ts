import { RunError } from '../base/errors.ts'
import type { Entry } from '../journal/entries.ts'
import type { RecordedMessage, RecordedWait } from '../journal/history.ts'
import type { Awaited } from '../runs/current-body.ts'
import type { Deadline } from '../runs/deadline.ts'
import { diverge } from './divergence.ts'
import type { Handover, Place } from './handover.ts'
import { inboxOf, type MessageWait } from './inbox.ts'
import type { Replay } from './replay.ts'
import type { HandedOver } from './handed-over.ts'
import type { Run, RunHost } from './run.ts'

/** The attempt whose body waits. */
export interface WaitOwner {
  readonly run: Run
  readonly number: number
  readonly tryFrom: number
  readonly host: RunHost
  readonly handover: Handover
  readonly replay: Replay | undefined
  handOver(item: HandedOver): void
  /** It waits for an input, and none came in time. */
  inputTimedOut(): void
  /** It may be that the body only waits from now on. */
  rests(): void
}

/** One wait of a body: for a deadline, for a message, or for whichever comes first. */
class BodyWait implements HandedOver, MessageWait {
  readonly attempt: WaitOwner
  readonly awaited: Awaited | undefined
  readonly promise: Promise<unknown>
  readonly wanted = true
  /** Number in its journal. */
  number = 0
  /** Wall time at which it ends without a message. */
  deadline: number | undefined
  /** What ended it. */
  message: RecordedMessage | undefined
  takeBack: (() => void) | undefined
  /** Told when a message has ended it. */
  onMessage: (() => void) | undefined
  reject: (error: unknown) => void = () => undefined
  #resolve: (value: unknown) => void = () => undefined

  constructor(attempt: WaitOwner, awaited: Awaited | undefined) {
    this.attempt = attempt
    this.awaited = awaited
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.reject = reject
    })
    // A wait that nobody awaits yet, or never, is no unhandled rejection when its run is cancelled.
    this.promise.catch(() => undefined)
  }

  got(message: RecordedMessage): void {
    this.message = message
    this.takeBack?.()
    this.onMessage?.()
  }

  deliver(then: () => void): void {
    if (this.message !== undefined) this.#give(this.message)
    else if (this.awaited === undefined) this.#resolve(undefined)
    else this.reject(noSignalError(this.attempt.run, this.awaited.name ?? ''))
    then()
  }

  #give({ entry }: RecordedMessage): void {
    try {
      this.#resolve(this.attempt.host.values.load(entry.payload))
    } catch (error) {
      // Of a class that is not registered here, say.
      this.reject(error)
    }
  }

  committed(entry: Entry): void {
    if (entry.kind === 'woken') this.attempt.handOver(this)
  }
}

function noSignalError(run: Run, name: string): RunError {
  const message = `${run.runName} (${run.id}) received no signal ${JSON.stringify(name)} in time`
  return new RunError('WAIT_TIMEOUT', message, { details: { runId: run.id, name } })
}

/** What a body waits for besides runs: recorded, so that a wait goes on after a crash, to the same moment. */
export class BodyWaits {
  readonly #attempt: WaitOwner
  readonly #armed = new Set<BodyWait>()

  constructor(attempt: WaitOwner) {
    this.#attempt = attempt
  }

  /** Waits that have not ended: until when, and for which signals. */
  get pending(): readonly { readonly deadline: number | undefined; readonly awaited: Awaited | undefined }[] {
    return [...this.#armed]
  }

  /** Waits until `deadline` (wall time); finds a wait of an earlier execution again. */
  until(deadline: number): Deadline {
    const wait = this.#begin(undefined, deadline)
    return { done: wait.promise as Promise<void>, stop: () => this.#disarm(wait) }
  }

  /** Waits for a message, until `deadline` where there is one. */
  message(awaited: Awaited, deadline: number | undefined): Promise<unknown> {
    return this.#begin(awaited, deadline).promise
  }

  #begin(awaited: Awaited | undefined, deadline: number | undefined): BodyWait {
    const attempt = this.#attempt
    const recorded = this.#recorded(awaited)
    const wait = new BodyWait(attempt, awaited)
    if (recorded?.place !== undefined) {
      wait.message = recorded.wait.message
      attempt.handover.fill(recorded.place, wait)
      return wait
    }
    const { ledger } = attempt.run
    wait.number = recorded?.wait.entry.wait ?? ++ledger.waits
    wait.deadline = recorded === undefined ? deadline : recorded.wait.entry.deadline
    if (recorded === undefined) {
      const at = attempt.host.clock.now()
      const { index: run } = attempt.run
      const what = { for: awaited?.for, name: awaited?.name, deadline }
      ledger.record({ kind: 'wait', at, run, attempt: attempt.number, wait: wait.number, ...what }, undefined)
    }
    this.#armed.add(wait)
    if (wait.deadline !== undefined)
      wait.takeBack = attempt.host.clock.at(wait.deadline, () => this.#expired(wait))
    if (awaited !== undefined) {
      wait.onMessage = () => this.#armed.delete(wait)
      inboxOf(attempt.run).wait(wait)
    }
    attempt.rests()
    return wait
  }

  /** The wait of an earlier execution in this place; none where that waited for something else and the run goes on anew. */
  #recorded(awaited: Awaited | undefined): { wait: RecordedWait; place: Place | undefined } | undefined {
    const recorded = this.#attempt.replay?.takeWait()
    if (recorded === undefined) return undefined
    const { entry } = recorded.wait
    if (entry.for === awaited?.for && entry.name === awaited?.name) return recorded
    diverge(
      this.#attempt,
      `waits for ${words(awaited?.for, awaited?.name)} where the journal has ${words(entry.for, entry.name)}`,
    )
    return undefined
  }

  #expired(wait: BodyWait): void {
    const { run, host } = this.#attempt
    if (wait.awaited?.for === 'input') {
      // Its end rejects all that its body waits for.
      this.#attempt.inputTimedOut()
      return
    }
    this.#disarm(wait)
    run.ledger.record({ kind: 'woken', at: host.clock.now(), wait: wait.number, message: undefined }, wait)
  }

  #disarm(wait: BodyWait): void {
    if (!this.#armed.delete(wait)) return
    wait.takeBack?.()
    if (wait.awaited !== undefined) inboxOf(this.#attempt.run).leave(wait)
  }

  /** The run is being cancelled: nobody waits any more. */
  rejectAll(error: unknown): void {
    for (const wait of this.#armed) {
      this.#disarm(wait)
      wait.reject(error)
    }
  }

  /** The run has ended, or left this engine. */
  clear(): void {
    for (const wait of this.#armed) this.#disarm(wait)
  }
}

function words(what: Awaited['for'] | undefined, name: string | undefined): string {
  if (what === undefined) return 'a time'
  return what === 'input' ? 'an input' : `signal ${JSON.stringify(name)}`
}
