import { calledWithin } from '../base/called-within.ts'
import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import type { RecordedRun } from '../journal/history.ts'
import { isRunning, isTerminal, stateTypes, type StateName } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type {
  EngineGauges,
  InstrumentationEvent,
  Instrumentation,
  InstrumentedEnd,
  InstrumentedRun,
  SentScope,
  TraceCarrier,
} from '../ports/instrumentation.ts'
import type { TaskPool } from '../ports/task-runner.ts'
import type { Attempt } from './attempt.ts'
import type { Within } from '../base/bodies-within.ts'
import type { Instrumented } from './instrumented.ts'
import type { Run } from './run.ts'
import { TracedRun, type Moment, type Traced } from './traced-run.ts'

interface Host {
  readonly node: string
  readonly clock: Clock
  report(error: unknown, run: undefined): void
}

const never = Number.POSITIVE_INFINITY

/** Tells an instrumentation what an engine does. What that throws is reported, and changes nothing. */
export class Instruments implements Instrumented<Run, Attempt> {
  readonly #host: Host
  readonly #port: Instrumentation
  readonly #pools = new Map<TaskPool, string>()
  #isReporting = false
  #closed: (() => void) | undefined

  constructor(host: Host, port: Instrumentation) {
    this.#host = host
    this.#port = port
  }

  /** @param gauges - How the engine is, but for what waits in its task runners. */
  opened(gauges: () => Omit<EngineGauges, 'waiting'>): void {
    const engine = { node: this.#host.node, gauges: () => ({ ...gauges(), waiting: this.#waiting() }) }
    this.#closed = this.#tried(() => this.#port.opened?.(engine))
  }

  closed(): void {
    this.#tried(() => this.#closed?.())
    this.#closed = undefined
  }

  poolOpened(pool: TaskPool, runner: string): void {
    this.#pools.set(pool, runner)
  }

  #waiting(): EngineGauges['waiting'] {
    const counts = new Map<string, number>()
    for (const [pool, runner] of this.#pools)
      counts.set(runner, (counts.get(runner) ?? 0) + (pool.waiting?.() ?? 0))
    return [...counts].map(([runner, count]) => ({ runner, count }))
  }

  #tried<T>(call: () => T): T | undefined {
    try {
      const given = call()
      if (!(given instanceof Promise)) return given
      // Nobody waits for it.
      given.catch(this.#report)
      return undefined
    } catch (error) {
      this.#report(error)
      return undefined
    }
  }

  /** What it did wrong itself it is not told of: it might do that wrong, too. */
  readonly #report = (error: unknown): void => {
    const wasReporting = this.#isReporting
    this.#isReporting = true
    this.#host.report(error, undefined)
    this.#isReporting = wasReporting
  }

  // Written out, as `shown` is: it is called for each run and each append.
  #tell(event: InstrumentationEvent): void {
    try {
      const given: unknown = this.#port.told?.(event)
      if (given instanceof Promise) given.catch(this.#report)
    } catch (error) {
      this.#report(error)
    }
  }

  // --- runs -------------------------------------------------------------------------------------------------------

  submitted(run: Run): TraceCarrier | undefined {
    const traced = new TracedRun(run, ...this.#momentFor(run))
    run.rarely.traced = traced
    this.#belongs(traced, run)
    return run.index === 0 ? traced.trace : undefined
  }

  #momentFor({ caller }: Run): [Moment, number] {
    const base = (caller === undefined ? undefined : tracedOf(caller.run)?.base) ?? this.#now()
    return [base, this.#at(base)]
  }

  #now(): Moment {
    const { clock } = this.#host
    return { at: clock.now(), monotonic: clock.monotonic() }
  }

  #at(base: Moment): number {
    return base.at + (this.#host.clock.monotonic() - base.monotonic)
  }

  /** What it is part of follows from who called it, or is asked for where nobody did. */
  #belongs(traced: TracedRun, { caller, ledger }: Run): void {
    if (caller === undefined) {
      this.#begins(traced)
      return
    }
    traced.parent = { runId: caller.run.id, attempt: caller.number }
    traced.trace =
      ledger === caller.run.ledger ? tracedOf(caller.run)?.trace : this.traceOf(caller.run, caller.number)
  }

  #begins(traced: TracedRun): void {
    const origin = this.#tried(() => this.#port.submitted?.(traced))
    this.#tried(() => {
      traced.own = origin?.own
      traced.trace = checked(origin?.trace)
    })
  }

  restored(run: Run, recorded: RecordedRun, parent = run.caller?.run): void {
    const { submitted, last, attempt, startedAt } = recorded
    const [base] = this.#momentFor(run)
    const traced = new TracedRun(run, base, submitted.at)
    run.rarely.traced = traced
    const { caller } = run
    if (run.index > 0) {
      // The attempt that goes on with it is not the one that submitted it.
      if (parent !== undefined) traced.parent = { runId: parent.id, attempt: submitted.parentAttempt }
      if (parent !== undefined) traced.trace = tracedOf(parent)?.trace
    } else if (submitted.traceparent !== undefined) {
      if (caller !== undefined) traced.parent = { runId: caller.run.id, attempt: caller.number }
      traced.trace = { traceparent: submitted.traceparent, tracestate: submitted.tracestate }
    } else if (!run.ended) this.outside(() => this.#belongs(traced, run))
    traced.newest = hasBegun(recorded) ? attempt : 0
    if (!run.ended && isBegun(recorded))
      traced.inherited = { number: attempt, startedAt: isRunning(last.to) ? last.at : startedAt }
  }

  /** Whatever happens here, those who wait for the entry are told of it. */
  shown(run: Run, entry: SubmittedEntry | TransitionEntry): void {
    try {
      this.#shown(run, entry)
    } catch (error) {
      this.#report(error)
    }
  }

  #shown(run: Run, entry: SubmittedEntry | TransitionEntry): void {
    const traced = tracedOf(run)
    if (traced === undefined) return
    if (entry.kind === 'submitted') {
      this.#tell({ kind: 'started', run: traced })
      return
    }
    const { to, at, seq } = entry
    if (traced.slotsSince !== undefined) {
      this.#tell({ kind: 'slots', run: traced, waitedMs: Math.max(0, at - traced.slotsSince) })
      traced.slotsSince = undefined
    }
    if (to === 'AwaitingConcurrencySlot') traced.slotsSince = at
    const terminal = isTerminal(to)
    if (traced.inherited !== undefined && (terminal || to === 'Recovering')) this.#isLost(traced, entry)
    let endedAt: number | undefined
    for (
      let oldest = traced.attempts[0];
      oldest !== undefined && oldest.seq <= seq;
      oldest = traced.attempts[0]
    ) {
      traced.attempts.shift()
      endedAt = this.#hasEnded(traced, oldest, entry)
    }
    if (!terminal) return
    const end = endOf(entry, endedAt ?? Math.max(at, traced.submittedAt, traced.endedAt), run.error)
    this.#tell({ kind: 'ended', run: traced, end, attempts: traced.newest })
  }

  #hasEnded(traced: TracedRun, { scope, endedAt, failure }: Traced, entry: TransitionEntry): number {
    traced.endedAt = Math.max(traced.endedAt, endedAt)
    if (scope !== undefined) this.#tried(() => scope.ended(endOf(entry, endedAt, failure)))
    return endedAt
  }

  /** Of an attempt that another engine had begun nothing was told: its end is known here alone. */
  #isLost(traced: TracedRun, entry: TransitionEntry): void {
    const { inherited } = traced
    if (inherited === undefined) return
    traced.inherited = undefined
    const { number, startedAt } = inherited
    const scope = this.#tried(() =>
      this.#port.began?.({
        run: traced,
        number,
        startedAt,
        host: entry.host,
        runner: undefined,
        previous: number > 1 ? number - 1 : undefined,
        upstreams: [],
        isInherited: true,
      }),
    )
    const endedAt = Math.max(entry.at, startedAt)
    traced.endedAt = endedAt
    this.#tried(() => scope?.ended(endOf(entry, endedAt, undefined)))
  }

  // --- attempts ---------------------------------------------------------------------------------------------------

  began(attempt: Attempt, since?: number): void {
    const { run, number, place, pool } = attempt
    const traced = tracedOf(run)
    if (traced === undefined) return
    const startedAt = since ?? this.#at(traced.base)
    const { newest } = traced
    const before = newest < number ? newest : number - 1
    traced.newest = number
    // It goes on here. One that was lost ends as soon as the journal has that, which may be later than this.
    if (traced.inherited?.number === number) traced.inherited = undefined
    const scope = this.#tried(() =>
      this.#port.began?.({
        run: traced,
        number,
        startedAt,
        host: place,
        runner: pool === undefined ? undefined : this.#pools.get(pool),
        previous: before > 0 ? before : undefined,
        get upstreams() {
          return upstreamsOf(attempt)
        },
        isInherited: since !== undefined,
      }),
    )
    const begun = { number, startedAt, scope, seq: never, endedAt: startedAt, failure: undefined }
    traced.attempts.push(begun)
    attempt.traced = begun
  }

  call(attempt: Attempt, body: () => unknown): unknown {
    const scope = attempt.traced?.scope
    if (scope === undefined) return body()
    return calledWithin((once) => scope.within(once), body, this.#report)
  }

  finished(attempt: Attempt, isGone: boolean, failure: unknown): void {
    const { traced: begun, run } = attempt
    const base = tracedOf(run)?.base
    if (begun === undefined || base === undefined) return
    attempt.traced = undefined
    // One that left with its run has ended where the run tells so after all, as one does that is parked.
    begun.seq = isGone && run.stateName !== 'Suspended' ? run.seq + 1 : run.seq
    begun.endedAt = Math.max(this.#at(base), begun.startedAt)
    begun.failure = failure
  }

  traceOf(run: Run, attempt: number): TraceCarrier | undefined {
    const traced = tracedOf(run)
    if (traced === undefined) return undefined
    const trace = this.#tried(() => this.#port.traceOf?.(traced, attempt))
    return this.#tried(() => checked(trace))
  }

  // --- the rest ---------------------------------------------------------------------------------------------------

  sent(flow: { readonly id: string; readonly name: string }): SentScope | undefined {
    const scope = this.#tried(() => this.#port.sent?.({ ...flow, node: this.#host.node }))
    if (scope === undefined) return undefined
    return {
      trace: this.#tried(() => checked(scope.trace)),
      ended: (error, isNew) => this.#tried(() => scope.ended(error, isNew)),
    }
  }

  /** Calls a body that is executed here for another node. */
  get within(): Within | undefined {
    return this.#port.within?.bind(this.#port)
  }

  outside(fn: () => void): void {
    const port = this.#port
    if (port.outside === undefined) {
      fn()
      return
    }
    calledWithin((once) => port.outside?.(once), fn, this.#report)
  }

  appended(entries: number, since: number, isStored: boolean): void {
    this.#tell({ kind: 'append', entries, ms: this.#host.clock.monotonic() - since, isStored })
  }

  appendFailed(error: unknown): void {
    this.#tell({ kind: 'append failed', error })
  }

  failed(error: unknown): void {
    if (!this.#isReporting) this.#tell({ kind: 'error', error })
  }
}

/** It goes into journals, where nothing but text may stand. */
function checked(trace: TraceCarrier | undefined): TraceCarrier | undefined {
  if (trace === undefined || typeof trace.traceparent !== 'string') return undefined
  const { traceparent, tracestate } = trace
  return typeof tracestate === 'string' && tracestate !== '' ? { traceparent, tracestate } : { traceparent }
}

function tracedOf({ rare }: Run): TracedRun | undefined {
  return rare?.traced as TracedRun | undefined
}

function upstreamsOf({ upstreams }: Attempt): readonly InstrumentedRun[] {
  if (upstreams.length === 0) return noRuns
  const traced: InstrumentedRun[] = []
  for (const { run } of upstreams) {
    const known = tracedOf(run)
    if (known !== undefined) traced.push(known)
  }
  return traced
}

const noRuns: readonly InstrumentedRun[] = []

function endOf({ to, message }: TransitionEntry, at: number, error: unknown): InstrumentedEnd {
  return { at, state: to, type: stateTypes[to], message, error }
}

const begunIn: ReadonlySet<StateName> = new Set(['Running', 'Retrying', 'Cancelling'])

/** Whether a body had begun whose end its journal does not tell. */
function isBegun({ stateName, pausedFor }: RecordedRun): boolean {
  // One that was paused by somebody may have been parked, without a body.
  return begunIn.has(stateName) || (stateName === 'Paused' && pausedFor !== undefined)
}

/** Whether any body of it had begun. */
function hasBegun({ stateName, tries, recoveries, acts }: RecordedRun): boolean {
  const waits =
    stateName === 'Pending' || stateName === 'Scheduled' || stateName === 'AwaitingConcurrencySlot'
  return !waits || tries > 0 || recoveries > 0 || acts.length > 0
}
