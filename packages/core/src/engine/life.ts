import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InternalError, RunError, type TroupeError } from '../base/errors.ts'
import type { Steer } from '../definitions/retrying.ts'
import { inWords } from '../base/words.ts'
import type { RecordedRun } from '../journal/history.ts'
import type { Parcel } from '../remote/protocol.ts'
import { replaceFutures, type Dependency } from './dependencies.ts'
import { runOutside } from '../runs/run-context.ts'
import { Admission, mayGoOn, needsAdmission, RetryWait, type Admitting } from './admission.ts'
import { Attempt } from './attempt.ts'
import type { BodyArguments, Concluder, Cut } from './concluder.ts'
import { isNamedByCall, nameRun, type Prepared, type Recorded } from './calls.ts'
import { endedShort } from './divergence.ts'
import { endChildren, endUncalled } from './ending.ts'
import { runFlowBody } from './flow-body.ts'
import { areReadElsewhere, decodeArguments, parcelFor } from './identity.ts'
import { identityOfRecorded, mustNotRunTwice, takeAlong } from './going-on.ts'
import { asError, judge, messageOf, savedResult, type Verdict } from './outcome.ts'
import { readAgain } from './read-again.ts'
import { Replay } from './replay.ts'
import { decideRetry, steerIn, type RetryDecision } from './retry.ts'
import { invalidParametersError } from './run-errors.ts'
import type { EndListener, Run } from './run.ts'
import { startOfLimit } from './time-limit.ts'

/**
 * Lets a run begin when its upstreams have ended.
 *
 * @param recorded - What its body did before its host was lost.
 */
export function begin(run: Run, prepared: Prepared, recorded?: Recorded): void {
  // What it was given may have to be resolved again when it was parked.
  if (run.kind === 'flow' && prepared.dependencies.length > 0) run.rarely.call = prepared
  if (recorded !== undefined) run.rarely.recorded = recorded.run
  new Life(run, prepared, recorded).awaitUpstreams()
}

/** The life of one run from its submission to its end. Here it is decided when a body starts and what follows from it. */
class Life implements Concluder<Attempt>, EndListener, Admitting {
  readonly #run: Run
  // Copied from the call, of which no more is needed: a million runs may wait.
  readonly #args: readonly unknown[]
  readonly #inputs: Uint8Array | undefined
  readonly #parcel: Parcel | undefined
  readonly upstreams: readonly Dependency[]
  readonly #order: number
  readonly #recorded: Recorded | undefined
  #pending = 0

  constructor(run: Run, prepared: Prepared, recorded: Recorded | undefined) {
    this.#run = run
    this.#args = prepared.args
    this.#inputs = prepared.inputs
    this.#parcel = prepared.parcel
    this.upstreams = prepared.dependencies
    this.#order = prepared.order
    this.#recorded = recorded
  }

  /** A run starts when the ends of its upstreams are safe: their values must not reach a body before. */
  awaitUpstreams(): void {
    for (const { run } of this.upstreams) {
      if (run.settled) continue
      this.#pending++
      run.whenSettled(this)
    }
    if (this.#pending === 0) this.#ready()
  }

  runEnded(): void {
    if (--this.#pending === 0) this.#ready()
  }

  /** False where it was cancelled meanwhile, or it or its caller has left this engine. */
  get #wanted(): boolean {
    const { ended, ledger, caller } = this.#run
    return !ended && !ledger.lost && caller?.over !== true
  }

  #ready(): void {
    if (!this.#wanted) return
    const failed = this.upstreams.find((upstream) => !upstream.mayFail && !upstream.run.completed)
    if (failed !== undefined) {
      this.#upstreamFailed(failed.run)
      return
    }
    this.#withArguments((args) => this.#begin(args))
  }

  /** What the body gets: futures replaced by values, and made into what the schema makes of it. Each attempt has its own. */
  #withArguments(use: (args: BodyArguments) => void): void {
    const schema = this.#run.definition.settings.parameters
    try {
      if (areReadElsewhere(this.#run, this.#parcel)) return use(() => this.#resolveArguments())
      const args = this.#resolveArguments()
      const checked =
        schema === undefined ? { value: args } : this.#outside(() => schema['~standard'].validate(args))
      if (checked instanceof Promise) {
        checked.then((result) => this.#checked(result, use)).catch((error: unknown) => this.#invalid(error))
      } else this.#checked(checked, use)
    } catch (error) {
      this.#invalid(error)
    }
  }

  /** What an option's function calls is no call of whatever body is current. */
  #outside<T>(fn: () => T): T {
    return runOutside(this.#run.host, fn)
  }

  #resolveArguments(): readonly unknown[] {
    const inputs = this.#inputs
    const args = inputs === undefined ? this.#args : decodeArguments(inputs, this.upstreams)
    return replaceFutures(args, (run, mayFail) =>
      mayFail && !run.completed ? run.error : run.value,
    ) as readonly unknown[]
  }

  #checked(result: StandardSchemaV1.Result<unknown>, use: (args: readonly unknown[]) => void): void {
    if (!this.#wanted) return
    if (result.issues === undefined) {
      if (Array.isArray(result.value)) use(result.value)
      else this.#invalid(new TypeError(`its value is no list of arguments, but ${inWords(result.value)}`))
      return
    }
    this.#refuse(invalidParametersError(this.#run.definition.name, result.issues))
  }

  #invalid(error: unknown): void {
    if (!this.#wanted) return
    const text = `the arguments of ${this.#run.definition.name} can't be had: ${messageOf(error)}`
    this.#refuse(new RunError('INVALID_PARAMETERS', text, { cause: error }))
  }

  /** The body does not begin, or not again. */
  #refuse(error: TroupeError): void {
    const run = this.#run
    const outcome = { failure: run.host.values.saveError(error) }
    if (run.stateName === 'Recovering') {
      // What can't run again has crashed.
      const maxRecoveries = error.code === 'RUN_CRASHED' ? 0 : run.definition.settings.maxRecoveries
      if (this.#recorded !== undefined) endChildren(run, this.#recorded.run, error.message)
      run.move({ type: 'start', maxRecoveries }, undefined, outcome)
    } else if (run.stateName === 'AwaitingRetry' || run.stateName === 'AwaitingConcurrencySlot')
      run.move({ type: 'start' })
    if (run.stateName === 'Pending') run.move({ type: 'refuse' }, error.message, outcome)
    else run.move({ type: 'fail', retries: 0, delayed: false }, error.message, outcome)
  }

  #upstreamFailed(upstream: Run): void {
    const run = this.#run
    const cause = upstream.error
    const known = cause instanceof RunError && cause.code === 'UPSTREAM_FAILED' ? cause : undefined
    const root = known?.details['rootRunId'] ?? upstream.id
    const rootName = known?.details['rootRunName'] ?? upstream.runName
    const message = `upstream ${inWords(rootName)} (${inWords(root)}) did not complete`
    const error = new RunError('UPSTREAM_FAILED', message, {
      cause: known?.cause ?? cause,
      details: { runId: run.id, rootRunId: root, rootRunName: rootName },
    })
    const outcome = { failure: run.host.values.saveError(error) }
    run.move({ type: run.definition.kind === 'task' ? 'upstreamFailed' : 'refuse' }, message, outcome)
  }

  #begin(args: BodyArguments): void {
    const run = this.#run
    const recorded = this.#recorded
    if (run.givenName === undefined && !isNamedByCall(run.definition, this.upstreams))
      nameRun(run, typeof args === 'function' ? args() : args, false)
    if (run.stateName === 'AwaitingRetry') {
      const last = recorded?.run.last
      const until = last?.kind === 'transition' ? last.until : undefined
      this.#retryAt(until ?? run.host.clock.now(), () => this.#beginAnew(args))
    } else if (run.stateName === 'AwaitingConcurrencySlot' && run.context.tries > 0) this.#beginAnew(args)
    else this.#beginOrRecover(args)
  }

  /** The first attempt, or one that goes on where a lost one was. */
  #beginOrRecover(args: BodyArguments): void {
    const run = this.#run
    const recorded = this.#recorded
    const isRecovery = run.stateName === 'Recovering'
    const number = run.context.attempt + (isRecovery ? 1 : 0)
    const tryFrom = recorded === undefined || recorded.run.tryFrom > number ? number : recorded.run.tryFrom
    const attempt = this.#attempt(args, number, {
      tryFrom,
      gated: (recorded?.gated ?? false) || mustNotRunTwice(run),
    })
    if (recorded !== undefined) {
      takeAlong(attempt, recorded.run)
      attempt.replay = Replay.recovery(recorded.run, attempt.handover, identityOfRecorded)
      if (isRecovery && run.kind === 'flow')
        attempt.countsFrom = startOfLimit(recorded.run, run.host.clock.now())
    }
    this.#whenCallIsSafe(() => this.launch(attempt))
  }

  /** The first attempt of another try, in a run that was recovered while it waited for that. */
  #beginAnew(args: BodyArguments): void {
    const run = this.#run
    const number = run.context.attempt + 1
    const attempt = this.#attempt(args, number, { tryFrom: number, gated: mustNotRunTwice(run) })
    if (this.#recorded !== undefined)
      attempt.replay = Replay.retry(this.#recorded.run, number, identityOfRecorded)
    this.launch(attempt)
  }

  #attempt(
    args: BodyArguments,
    number: number,
    { tryFrom, gated }: { tryFrom: number; gated: boolean },
  ): Attempt {
    const run = this.#run
    const attempt = new Attempt({
      host: run.host,
      run,
      number,
      tryFrom,
      args,
      order: this.#order,
      gated,
      life: this,
    })
    run.body = attempt
    if (run.rare?.recorded !== undefined) run.rare.recorded = undefined
    return attempt
  }

  /** A run must not act on a draw of its caller that may be lost, nor a subflow be there without its caller knowing. */
  #whenCallIsSafe(go: () => void): void {
    const { caller, ledger, index } = this.#run
    const own = (): void => {
      // Another starter may have been there before: bodies must not begin twice for one key.
      if (index === 0 && ledger.parametersHash !== undefined) ledger.whenSafe(go)
      else go()
    }
    if (caller === undefined || (caller.drawsSafe && caller.run.ledger === ledger)) own()
    else caller.run.ledger.whenSafe(own)
  }

  launch(attempt: Attempt): void {
    const run = this.#run
    const { held } = run
    // It ended or left while its call, or its history, was waited for.
    if (attempt.isOver || run.ended || run.ledger.lost || run.body !== attempt) return
    // A retry at once goes on with what the attempt before it held; so does one whose host was lost, if its rate allows it.
    if (held instanceof Admission && (run.stateName !== 'Recovering' || held.again())) {
      held.next(attempt)
      return
    }
    run.giveBack()
    if (!needsAdmission(run)) {
      this.admitted(attempt)
      return
    }
    const admission = new Admission(attempt, this)
    run.held = admission
    if (attempt.runsOn === undefined) admission.ask()
    else admission.takeAlong()
  }

  admitted(attempt: Attempt): void {
    attempt.isAdmitted = true
    if (attempt.pool?.encodes === true && !this.#wrap(attempt)) return
    if (attempt.pool !== undefined) attempt.pool.assign(attempt)
    else this.#run.host.clock.turn(() => runFlowBody(attempt))
  }

  /** Makes the arguments ready for another thread. @returns False where they can't be: then the run has ended */
  #wrap(attempt: Attempt): boolean {
    const { parameters } = this.#run.definition.settings
    try {
      attempt.parcel = parcelFor(attempt, parameters === undefined ? this.#parcel : undefined)
      return true
    } catch (error) {
      this.refused(attempt, error as TroupeError)
      return false
    }
  }

  refused(attempt: Attempt, error: TroupeError): void {
    this.#refuse(error)
    attempt.finish()
  }

  /** Same arguments, next attempt; what the body's runs completed before is there for it. */
  #retry(last: Attempt): void {
    const run = this.#run
    this.#again(last, (args) => {
      const number = run.context.attempt + (run.stateName === 'Retrying' ? 0 : 1)
      const attempt = this.#attempt(args, number, { tryFrom: number, gated: mustNotRunTwice(run) })
      if (last.submitted === 0) this.launch(attempt)
      else
        void this.#launchWithHistory(attempt, (recorded) =>
          Replay.retry(recorded, number, identityOfRecorded),
        )
    })
  }

  /** The next attempt begins at `until`, unless the run ends or leaves before. */
  #retryAt(until: number, go: () => void): void {
    const run = this.#run
    const stop = run.host.clock.at(until, () => {
      run.held = undefined
      go()
    })
    run.held = new RetryWait(stop)
  }

  /** The host of the body was lost, and not this engine: another attempt goes on where the lost one was. */
  #recover(last: Attempt): void {
    const run = this.#run
    this.#again(last, (args) => {
      const number = run.context.attempt + 1
      const attempt = this.#attempt(args, number, { tryFrom: last.tryFrom, gated: true })
      if (run.kind === 'flow') attempt.countsFrom = last.countsFrom
      void this.#launchWithHistory(attempt, (recorded) =>
        Replay.recovery(recorded, attempt.handover, identityOfRecorded),
      )
    })
  }

  #again(last: Attempt, use: (args: BodyArguments) => void): void {
    if (this.#inputs === undefined) use(last.arguments)
    else this.#withArguments(use)
  }

  async #launchWithHistory(attempt: Attempt, replay: (recorded: RecordedRun) => Replay): Promise<void> {
    const recorded = await readAgain(this.#run)
    // A run that has ended or left meanwhile needs no history.
    if (recorded !== undefined) attempt.replay = replay(recorded)
    this.launch(attempt)
  }

  endUncalled(attempt: Attempt): boolean {
    return endUncalled(attempt)
  }

  conclude(attempt: Attempt): void {
    try {
      this.#concludeOrThrow(attempt)
    } catch (error) {
      // A defect must end the run, not hang it.
      const internal = new InternalError(
        `the end of ${this.#run.runName} (${this.#run.id}) could not be decided`,
        error,
      )
      this.#follow(attempt, { kind: 'fail', error: internal, message: internal.message })
    }
  }

  #concludeOrThrow(attempt: Attempt): void {
    const run = this.#run
    const { result: found, submitted, failures = [], cut } = attempt
    if (found === undefined || attempt.isDeciding) return
    if (cut === undefined && endedShort(attempt)) return
    if (cut !== 'hostLost' && endUncalled(attempt) && attempt.liveChildren > 0) return
    if (cut !== undefined) {
      this.#endCut(attempt, cut, attempt.reason)
      return
    }
    const steer = steerIn(found)
    const result = steer === undefined ? found : { error: steer.error }
    const ended = 'error' in result ? { error: asError(result.error) } : result
    const verdict = this.#encodable(judge({ run, result: ended, submitted, failures }), found)
    if (verdict.kind === 'wait') {
      for (const other of verdict.runs) other.whenSettled({ runEnded: () => attempt.tryEnd() })
      return
    }
    this.#follow(attempt, verdict, steer)
  }

  #endCut(attempt: Attempt, cut: Cut, error: unknown): void {
    const run = this.#run
    if (cut !== 'hostLost') {
      const failure = { type: cut, error, message: messageOf(error) }
      const mayRetry = cut === 'timeOut' || run.definition.settings.retryOnCrash
      // A pause that ran out of time ends the run.
      this.#failed(attempt, failure, mayRetry && run.stateName !== 'Paused' ? undefined : abortion)
      return
    }
    const fatal = mustNotRunTwice(run)
    const outcome = { failure: run.host.values.saveError(error) }
    run.move({ type: 'hostLost', fatal }, messageOf(error), outcome)
    attempt.finish(error)
    if (run.stateName === 'Recovering') this.#recover(attempt)
  }

  /** A value that the journal can't take fails the run, with the place that it can't take. */
  #encodable(verdict: Verdict, found: NonNullable<Attempt['result']>): Verdict {
    if (verdict.kind !== 'complete' || !this.#run.host.values.encodes) return verdict
    try {
      return { ...verdict, value: savedResult(this.#run.host.values, found, verdict.value) }
    } catch (error) {
      return { kind: 'fail', error, message: messageOf(error) }
    }
  }

  #follow(attempt: Attempt, verdict: Exclude<Verdict, { kind: 'wait' }>, steer?: Steer): void {
    const run = this.#run
    switch (verdict.kind) {
      case 'complete':
        run.move({ type: 'complete' }, verdict.message, { value: verdict.value })
        attempt.finish()
        return
      case 'fail':
      case 'unobserved': {
        const error = 'error' in verdict ? asError(verdict.error) : undefined
        this.#failed(attempt, { type: verdict.kind, error, message: verdict.message }, steer)
        return
      }
      case 'cancel':
        run.move({ type: 'cancel' }, messageOf(verdict.reason))
        attempt.reason = verdict.reason
        attempt.endCancelled(verdict.reason)
        return
    }
  }

  /** The attempt failed: another one follows, at once or later, or the run has failed. */
  #failed(attempt: Attempt, failure: Failure, steer: Steer | undefined): void {
    const run = this.#run
    attempt.isJudged()
    const decision = decideRetry(run, attempt.number, failure.error, steer)
    if (!(decision instanceof Promise)) {
      this.#endOrRetry(attempt, failure, decision)
      return
    }
    attempt.isDeciding = true
    void decision.then((decided) => {
      attempt.isDeciding = false
      const isRunning = run.stateName === 'Running' || run.stateName === 'Retrying'
      if (!isRunning || attempt.over) return
      // A callback of the body may have submitted another run meanwhile.
      if (attempt.liveChildren > 0) return
      this.#endOrRetry(attempt, failure, decided)
    })
  }

  #endOrRetry(
    attempt: Attempt,
    { type, error, message }: Failure,
    { retries, delayMs }: RetryDecision,
  ): void {
    const run = this.#run
    const isRetried = run.context.tries < retries
    const delayed = isRetried && (delayMs > 0 || !mayGoOn(run))
    const told = delayed && delayMs > 0 ? `${message} (tried again in ${Math.round(delayMs)} ms)` : message
    const outcome = { failure: run.host.values.saveError(error) }
    run.move({ type, retries, delayed }, told, outcome, delayed ? delayMs : undefined)
    attempt.finish(error)
    if (run.stateName === 'Retrying') this.#retry(attempt)
    else if (run.stateName !== 'AwaitingRetry') return
    else if (delayMs === 0) this.#retry(attempt)
    else this.#retryAt(run.rare?.until ?? 0, () => this.#retry(attempt))
  }
}

/** How an attempt failed. */
interface Failure {
  readonly type: 'fail' | 'unobserved' | 'timeOut' | 'crash'
  readonly error: unknown
  readonly message: string
}

/** Not to be tried again. */
const abortion: Steer = { error: undefined, delayMs: undefined }
