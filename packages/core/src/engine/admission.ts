import type { RunError } from '../base/errors.ts'
import type { Attempt } from './attempt.ts'
import type { Claim, Claimant } from './limit-queue.ts'
import { limitDeadlockError, waitedTooLongError } from './run-errors.ts'
import type { Held } from './rare.ts'
import type { Hit, Seeker } from './results.ts'
import type { Run } from './run.ts'

/** What follows on an admission. */
export interface Admitting {
  /** The body may begin as soon as its runner has room. */
  admitted(attempt: Attempt): void
  /** The body does not begin. */
  refused(attempt: Attempt, error: RunError): void
}

/** Whether anything but a run's upstreams and its runner has a say in its beginning. */
export function needsAdmission(run: Run): boolean {
  const { caching, waitTimeoutMs } = run.definition.settings
  if (caching !== undefined || waitTimeoutMs !== undefined) return true
  return run.host.limits.opening(run) !== undefined || limitsOf(run) !== undefined
}

/** Whether the next attempt may begin at once, with what the run holds. */
export function mayGoOn(run: Run): boolean {
  return run.held?.again() ?? limitsOf(run) === undefined
}

function limitsOf(run: Run): readonly object[] | undefined {
  return run.host.limits.of(run)
}

/**
 * What a run does between the end of its upstreams and the start of its body: it looks for a cached result, and waits for
 * slots of the limits that count it. Holds those slots until the run gives them back.
 */
export class Admission implements Held, Claimant, Seeker<Run> {
  readonly run: Run
  #attempt: Attempt
  readonly #admitting: Admitting
  #key: string | undefined
  #claim: Claim | undefined
  #stopWaiting: (() => void) | undefined
  /** Whether its body runs already, and began on another node. */
  hasBegun = false
  /** Whether all was given back. */
  gone = false

  constructor(attempt: Attempt, admitting: Admitting) {
    this.run = attempt.run
    this.#attempt = attempt
    this.#admitting = admitting
  }

  get id(): string {
    return this.run.id
  }

  get priority(): number {
    return this.run.definition.settings.priority
  }

  get order(): number {
    return this.#attempt.order
  }

  /** Calls the body's `admitted` or `refused`, now or later, or ends the run. */
  ask(): void {
    const { run } = this
    const { caching } = run.definition.settings
    const { results } = run.host
    this.#limitWait()
    const key = caching === undefined ? undefined : results.keyOf(run, this.#attempt.arguments)
    if (key !== undefined && run.context.tries === 0 && run.stateName !== 'Recovering') {
      this.#key = key
      results.seek(key, this)
      return
    }
    if (key !== undefined) results.goOn(key, run)
    this.#claimSlots()
  }

  #limitWait(): void {
    const { waitTimeoutMs: ms } = this.run.definition.settings
    const { clock } = this.run.host
    if (ms === undefined || this.run.stateName === 'Recovering') return
    this.#stopWaiting = clock.at(clock.now() + ms, () => this.#waitedTooLong(ms))
  }

  /** Its body runs already, on another node: it is admitted, and takes its slots when they come. */
  takeAlong(): void {
    const { run } = this
    this.hasBegun = true
    const { caching } = run.definition.settings
    const key = caching === undefined ? undefined : run.host.results.keyOf(run, this.#attempt.arguments)
    if (key !== undefined) run.host.results.goOn(key, run)
    const limits = limitsOf(run)
    if (limits !== undefined) this.#claim = run.host.limits.claim(limits, this)
    this.#admitting.admitted(this.#attempt)
  }

  /** The next attempt goes on with what this one held. */
  next(attempt: Attempt): void {
    this.#attempt = attempt
    this.#stopWait()
    this.#limitWait()
    this.#admitting.admitted(attempt)
  }

  found(hit: Hit | undefined): void {
    if (hit === undefined) this.#claimSlots()
    else this.#take(hit)
  }

  #take({ value, runId }: Hit): void {
    const { run } = this
    run.move({ type: 'cacheHit' }, `result of ${runId}`, { value: run.host.values.save(value, 'result') })
    this.#attempt.finish()
  }

  #claimSlots(): void {
    const { run } = this
    const opening = run.host.limits.opening(run)
    if (opening !== undefined) {
      void opening.then(() => {
        if (!this.gone) this.#claimSlots()
      })
      return
    }
    const limits = limitsOf(run)
    if (limits === undefined) {
      this.#admitting.admitted(this.#attempt)
      return
    }
    const claim = run.host.limits.claim(limits, this)
    if (this.gone) return
    this.#claim = claim
    if (claim.granted) this.#admitting.admitted(this.#attempt)
    else if (!claim.isAsking) this.slotsAwaited()
  }

  slotsAwaited(): void {
    const { run } = this
    const words = this.#claim?.waitsFor
    if (!this.gone && run.stateName !== 'AwaitingConcurrencySlot') run.move({ type: 'awaitSlot' }, words)
  }

  slotsGranted(): void {
    if (this.hasBegun) return
    if (this.#key === undefined || this.run.definition.settings.caching?.refresh === true) {
      this.#admitting.admitted(this.#attempt)
      return
    }
    // Another process may have made the result while this one waited.
    void this.run.host.results.read(this.#key, this).then((hit) => {
      if (this.gone) return
      if (hit === undefined) this.#admitting.admitted(this.#attempt)
      else this.#take(hit)
    })
  }

  get hasSlots(): boolean {
    return this.#claim?.granted === true
  }

  holding(): readonly object[] {
    const found: object[] = []
    for (let run: Run | undefined = this.run; run !== undefined; run = run.caller?.run)
      if (run.held?.hasSlots === true || run.host.results.leads(run)) found.push(run)
    return found
  }

  deadlocked(words: string): void {
    const { run } = this
    this.release()
    if (this.hasBegun) return
    this.#admitting.refused(this.#attempt, limitDeadlockError(run, words))
  }

  #waitedTooLong(ms: number): void {
    const { run } = this
    // Nothing may begin while its flow run is paused: its time begins anew with the end of that.
    if (this.#attempt.isPostponed() || this.#attempt.beganElsewhere()) return
    const claim = this.#claim
    const what = claim?.granted === false ? claim.waitsFor : 'waits for its turn'
    if (run.stateName === 'Pending' || run.stateName === 'AwaitingRetry')
      run.move({ type: 'awaitSlot' }, what)
    const error = waitedTooLongError(run, ms, what)
    const outcome = { failure: run.host.values.saveError(error) }
    if (run.move({ type: 'timeOut', retries: 0, delayed: false }, error.message, outcome))
      this.#attempt.finish()
  }

  again(): boolean {
    return this.#claim?.again() ?? limitsOf(this.run) === undefined
  }

  begun(): void {
    this.#stopWait()
    this.#claim?.begun()
  }

  #stopWait(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
  }

  release(): void {
    this.gone = true
    this.#stopWait()
    if (this.#key !== undefined) this.run.host.results.left(this)
    this.#claim?.release()
  }
}

/** A run that waits to be tried again. */
export class RetryWait implements Held {
  readonly hasSlots = false
  readonly #stop: () => void

  constructor(stop: () => void) {
    this.#stop = stop
  }

  again(): boolean {
    return false
  }

  begun(): void {
    // It has not begun while it waits.
  }

  release(): void {
    this.#stop()
  }
}
