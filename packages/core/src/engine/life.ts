import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InternalError, JournalError, RunError } from '../base/errors.ts'
import type { BodyResult } from '../ports/task-runner.ts'
import { inWords } from '../base/words.ts'
import type { RecordedRun } from '../journal/history.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { replaceFutures, type Dependency } from '../runs/dependencies.ts'
import { Attempt, type Concluder } from './attempt.ts'
import type { Prepared, Recorded } from './calls.ts'
import { endedShort } from './divergence.ts'
import { endChildren, endUncalled } from './ending.ts'
import { decodeArguments, hashArguments } from './identity.ts'
import { asError, judge, messageOf, type Verdict } from './outcome.ts'
import { readHistory } from './read-journal.ts'
import { Replay } from './replay.ts'
import type { EndListener, Run } from './run.ts'

/**
 * Lets a run begin when its upstreams have ended.
 *
 * @param recorded - What its body did before its host was lost.
 */
export function begin(run: Run, prepared: Prepared, recorded?: Recorded): void {
  new Life(run, prepared, recorded).awaitUpstreams()
}

/** The life of one run from its submission to its end. Here it is decided when a body starts and what follows from it. */
class Life implements Concluder, EndListener {
  readonly #run: Run
  // Copied from the call, of which no more is needed: a million runs may wait.
  readonly #args: readonly unknown[]
  readonly #inputs: Uint8Array | undefined
  readonly #dependencies: readonly Dependency[]
  readonly #order: number
  readonly #recorded: Recorded | undefined
  #pending = 0

  constructor(run: Run, prepared: Prepared, recorded: Recorded | undefined) {
    this.#run = run
    this.#args = prepared.args
    this.#inputs = prepared.inputs
    this.#dependencies = prepared.dependencies
    this.#order = prepared.order
    this.#recorded = recorded
  }

  /** A run starts when the ends of its upstreams are safe: their values must not reach a body before. */
  awaitUpstreams(): void {
    for (const { run } of this.#dependencies) {
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
    const failed = this.#dependencies.find((upstream) => !upstream.mayFail && !upstream.run.completed)
    if (failed !== undefined) {
      this.#upstreamFailed(failed.run)
      return
    }
    this.#withArguments((args) => this.#begin(args))
  }

  /** What the body gets: futures replaced by values, and made into what the schema makes of it. Each attempt has its own. */
  #withArguments(use: (args: readonly unknown[]) => void): void {
    const schema = this.#run.definition.settings.parameters
    try {
      const args = this.#resolveArguments()
      const checked = schema === undefined ? { value: args } : schema['~standard'].validate(args)
      if (checked instanceof Promise) {
        checked.then((result) => this.#checked(result, use)).catch((error: unknown) => this.#invalid(error))
      } else this.#checked(checked, use)
    } catch (error) {
      this.#invalid(error)
    }
  }

  #resolveArguments(): readonly unknown[] {
    const inputs = this.#inputs
    const args = inputs === undefined ? this.#args : decodeArguments(inputs, this.#dependencies)
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
    // As plain data: libraries give objects of classes of their own, which no journal takes.
    const issues = result.issues.map(({ message, path = [] }) => ({ message, path: path.map(keyOf) }))
    const words = issues.map(({ message, path }) =>
      path.length === 0 ? message : `${path.join('.')}: ${message}`,
    )
    const text = `invalid parameters of ${this.#run.definition.name}: ${words.join('; ')}`
    this.#refuse(new RunError('INVALID_PARAMETERS', text, { details: { issues } }))
  }

  #invalid(error: unknown): void {
    const text = `the arguments of ${this.#run.definition.name} can't be had: ${messageOf(error)}`
    this.#refuse(new RunError('INVALID_PARAMETERS', text, { cause: error }))
  }

  /** The body does not begin, or not again. */
  #refuse(error: RunError): void {
    const run = this.#run
    const outcome = { failure: run.host.values.saveError(error) }
    if (run.stateName === 'Recovering') {
      const { maxRecoveries } = run.definition.settings
      if (this.#recorded !== undefined) endChildren(run, this.#recorded.run, error.message)
      run.move({ type: 'start', maxRecoveries }, undefined, outcome)
    }
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

  #begin(args: readonly unknown[]): void {
    const run = this.#run
    const { host } = run
    const order = this.#order
    const recorded = this.#recorded
    const gated = (recorded?.gated ?? false) || mustNotRunTwice(run)
    const number = run.context.attempt + (run.stateName === 'Recovering' ? 1 : 0)
    const tryFrom = recorded === undefined || recorded.run.tryFrom > number ? number : recorded.run.tryFrom
    const attempt = new Attempt({ host, run, number, tryFrom, args, order, gated, life: this })
    run.body = attempt
    if (recorded !== undefined)
      attempt.replay = Replay.recovery(recorded.run, attempt.handover, identityOfRecorded)
    this.#whenCallIsSafe(() => this.launch(attempt))
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
    if (attempt.pool !== undefined) attempt.pool.assign(attempt)
    else this.#run.host.clock.turn(() => runFlowBody(attempt))
  }

  /** Same arguments, next attempt; what the body's runs completed before is there for it. */
  #retry(last: Attempt): void {
    const run = this.#run
    const { host } = run
    last.finish()
    this.#again(last, (args) => {
      const number = run.context.attempt
      const gated = mustNotRunTwice(run)
      const { order } = last
      const attempt = new Attempt({ host, run, number, tryFrom: number, args, order, gated, life: this })
      run.body = attempt
      if (last.submitted === 0) this.launch(attempt)
      else void this.#launchWithHistory(attempt)
    })
  }

  #again(last: Attempt, use: (args: readonly unknown[]) => void): void {
    if (this.#inputs === undefined) use(last.arguments)
    else this.#withArguments(use)
  }

  async #launchWithHistory(attempt: Attempt): Promise<void> {
    attempt.replay = await readForRetry(this.#run)
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
    const { result, submitted, failures = [] } = attempt
    if (result === undefined) return
    if (endedShort(attempt)) return
    if (endUncalled(attempt) && attempt.liveChildren > 0) return
    const ended = 'error' in result ? { error: asError(result.error) } : result
    const verdict = this.#encodable(judge({ run, result: ended, submitted, failures }))
    if (verdict.kind === 'wait') {
      for (const other of verdict.runs) other.whenSettled({ runEnded: () => attempt.tryEnd() })
      return
    }
    this.#follow(attempt, verdict)
  }

  /** A value that the journal can't take fails the run, with the place that it can't take. */
  #encodable(verdict: Verdict): Verdict {
    if (verdict.kind !== 'complete' || !this.#run.host.values.encodes) return verdict
    try {
      return { ...verdict, value: this.#run.host.values.save(verdict.value, 'result') }
    } catch (error) {
      return { kind: 'fail', error, message: messageOf(error) }
    }
  }

  #follow(attempt: Attempt, verdict: Exclude<Verdict, { kind: 'wait' }>): void {
    const run = this.#run
    switch (verdict.kind) {
      case 'complete':
        run.move({ type: 'complete' }, verdict.message, { value: verdict.value })
        break
      case 'fail':
      case 'unobserved': {
        const error = 'error' in verdict ? asError(verdict.error) : undefined
        const outcome = { failure: run.host.values.saveError(error) }
        const event = {
          type: verdict.kind,
          retries: run.definition.settings.retries,
          delayed: false,
        } as const
        run.move(event, verdict.message, outcome)
        break
      }
      case 'cancel': {
        run.move({ type: 'cancel' }, messageOf(verdict.reason))
        attempt.reason = verdict.reason
        attempt.endCancelled(verdict.reason)
        return
      }
    }
    if (run.stateName === 'Retrying') this.#retry(attempt)
    else attempt.finish()
  }
}

/**
 * Whether the body begins only when the journal says that it does. So does one that may have run before, for its losses
 * to be counted.
 */
function mustNotRunTwice({ definition }: Run): boolean {
  return definition.settings.onHostLost === 'crash'
}

/** A flow's body holds no slot: it begins in a turn of its own. */
function runFlowBody(attempt: Attempt): void {
  if (!attempt.begin()) return
  runBody(attempt, (result) => attempt.settle(result))
}

function runBody(attempt: Attempt, settle: (result: BodyResult) => void): void {
  let returned: unknown
  try {
    returned = attempt.invoke()
  } catch (error) {
    settle({ error })
    return
  }
  Promise.resolve(returned).then(
    (value) => settle({ value }),
    (error: unknown) => settle({ error }),
  )
}

function keyOf(part: PropertyKey | StandardSchemaV1.PathSegment): string | number {
  const key = typeof part === 'object' ? part.key : part
  return typeof key === 'symbol' ? String(key) : key
}

/** How long to wait before a read that failed is repeated: doubling from 10 ms to 5 s. */
const firstPauseMs = 10
const longestPauseMs = 5_000

/** What the earlier tries of the body completed, read back from the journal when all of it is safe. */
async function readForRetry(run: Run): Promise<Replay> {
  const { host, ledger } = run
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    await new Promise<void>((resolve) => ledger.whenSafe(resolve))
    try {
      const recorded = (await readHistory(host.journal, ledger.flowRunId))?.runs[run.index]
      if (recorded !== undefined) return Replay.retry(recorded, identityOfRecorded)
      throw new JournalError('RUN_NOT_FOUND', `the journal has no run ${run.id}`)
    } catch (error) {
      // A run that has ended or left meanwhile needs no history.
      if (run.ended || ledger.lost) return new Replay(run.definition.version)
      host.stalled(ledger, error)
      await deadlineAfter(host.clock, pauseMs).done
    }
  }
}

/** The identity of a recorded call whose writer did not need one: its inputs lie in memory, by reference. */
function identityOfRecorded(recorded: RecordedRun): string {
  return hashArguments(recorded.submitted.inputs as readonly unknown[])
}
