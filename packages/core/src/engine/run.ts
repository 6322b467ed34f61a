import { runNameOf } from '../base/ids.ts'
import type { Definition } from '../definitions/definition.ts'
import { isFixed } from '../definitions/run-names.ts'
import type { Entry, Outcome, SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { freshContext, type RunContextData, type RunEvent } from '../machines/run-machine.ts'
import { isTerminal, stateTypes, type RunState, type StateName } from '../machines/states.ts'
import { Audience } from './audience.ts'
import { isFailureOf } from '../runs/failed-runs.ts'
import { Rare, type Held } from './rare.ts'
import type { Restored } from './restored.ts'
import type { CommitSubject, Ledger, LedgerHost } from './ledger.ts'
import type { Limiter } from './limits.ts'
import type { Observable } from 'rxjs'
import type { LogFields, Logger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { TaskPool, TaskRunner } from '../ports/task-runner.ts'
import type { AttemptName } from '../remote/node-talk.ts'
import type { CurrentBody } from '../runs/current-body.ts'
import type { Target } from '../runs/current-body.ts'
import type { Transition } from '../streams/transition.ts'
import type { HandedOver } from './handed-over.ts'
import { startActor, type RunActor } from './run-actor.ts'
import type { EndReader } from './ends.ts'
import type { Instrumented } from './instrumented.ts'
import type { Results } from './results.ts'
import type { SendOrder } from './send-order.ts'
import { SteeredRun, type Steered } from './steer.ts'
import { noTags, tagsBelow } from './tags.ts'
import { stateOf } from '../journal/run-state.ts'
import type { ValueStore } from './value-store.ts'

/** What the runs of an engine need of it. */
export interface RunHost extends LedgerHost {
  readonly random: Random
  readonly logger: Logger
  readonly values: ValueStore
  /** No new root is taken; what is live may go on. */
  readonly closing: boolean
  readonly closed: boolean
  /** Why the engine could not be opened. */
  readonly refusal: unknown
  /** The running pool of a description; of the default runner where there is none. */
  pool(runner: TaskRunner | undefined): TaskPool
  /** Something went wrong that no caller hears of. */
  report(error: unknown, run: Run | undefined): void
  /** A root or a subflow is live here. @param from - The node that owned it before, of one that is not new. */
  opened(run: Run, from?: string): void
  /** Calls `go` when what was sent to a flow run before this engine had it has been read; at once where that is done. */
  whenMailIsRead(flowRunId: string, go: () => void): void
  /** A root has ended, and its end is safe. */
  rootEnded(run: Run): void
  /** Reads how runs end that are not here, however long that takes. */
  readonly ends: EndReader
  /** The live root of an id. */
  rootOf(flowRunId: string): Run | undefined
  /** A subflow has ended, and its own journal has it. */
  subflowEnded(run: Run, caller: Body): void
  /** The body of an attempt that is over may run on another node: it is told to stop. */
  stopElsewhere(node: string, attempt: AttemptName): void
  /** A body goes on although its run has ended; called again with false when it has settled. */
  leftover(run: Run, present: boolean, after: string): void
  /** What a run did and does. */
  watchRun(run: Run): Observable<Transition>
  watchStates(run: Run): Observable<RunState>
  readonly steering: Steered<Run>
  /** How long a body only waits before it is let go; undefined for never. */
  readonly suspendAfterMs: number | undefined
  readonly limits: Limiter
  readonly results: Results<Run>
  readonly instruments: Instrumented<Run, object> | undefined
  /** @param what - What is to run on another node. @throws UsageError `NO_TRANSPORT` */
  clusterFor(what: string): { send(order: SendOrder): { readonly target: Target } }
  /** Takes a call that a body makes. @throws UsageError for misuse */
  call(definition: Definition, args: readonly unknown[], caller: Body): Target
  /** A body says how far it is. @throws UsageError `INVALID_OPTION` */
  progressed(run: Run, fraction: number, message: string | undefined): void
  /** Writes a log line with the run's ids. */
  log(level: 'warn' | 'error', run: Run, fields: LogFields, message: string): void
}

/** The body of a run, as seen by the runs that it submitted, by what it waits for, and by what ends it. */
export interface Body extends CurrentBody {
  readonly run: Run
  readonly number: number
  readonly arguments: readonly unknown[]
  readonly lease: number
  readonly childPool: TaskPool
  /** Whether it lends its slot while it waits. */
  readonly lends: boolean
  /** Runs that it submitted and that are live, in the order of submission. */
  readonly liveRuns: readonly Run[]
  /** Whether the body has been let begin. */
  readonly begun: boolean
  /** Where it runs, if not on this event loop. */
  readonly place: string | undefined
  /** Whether the run goes on without this body. */
  readonly over: boolean
  /** Whether the body has all that its journal has for it, and waits for more. */
  readonly isCaughtUp: boolean
  /** Whether what the body drew is safe. */
  readonly drawsSafe: boolean
  /** A run that the body submitted has reached its terminal state. */
  childEnded(child: Run): void
  /** Hands something over in its turn: the body sees it after all that came before it in the journal. */
  handOver(item: HandedOver): void
  /** The body is to see the end of a run it waits for: calls `go` when the body may go on. */
  wake(go: () => void): void
  /**
   * Takes a body that has not begun back from a task runner whose bodies begin without asking.
   *
   * @returns Whether it turns out to have begun
   */
  beganElsewhere(): boolean
  /** The run is being cancelled. */
  cancel(reason: unknown): void
  /** The run has ended, or goes on without this body. */
  finish(): void
  /** The run leaves this engine. */
  letGo(reason: unknown): void
  /** The run is paused. */
  hold(): void
  /** The run is no longer paused. */
  goOn(): void
}

/** Told of the end of a run. */
export interface EndListener {
  runEnded(run: Run): void
}

/**
 * One execution of a flow or a task, as the engine that owns it holds it.
 *
 * The actor moves first (`stateName`); what others see (`state`, `settled`) follows when the journal has it. The actor
 * exists from the first event to the terminal state: a run that only waits is a record.
 */
export class Run extends SteeredRun<Run> implements CommitSubject, HandedOver {
  readonly id: string
  /** Number in its journal. */
  index: number
  readonly definition: Definition
  readonly ledger: Ledger<RunHost>
  /** The body that submitted it. */
  readonly caller: Body | undefined
  /** Whether somebody has taken notice of how it ends. */
  looked = false
  /** State of the actor. */
  stateName: StateName = 'Pending'
  /** Transitions so far. */
  seq = 1
  /** The newest entry about its state that is safe. */
  entry: SubmittedEntry | TransitionEntry | undefined
  outcome: Outcome | undefined
  /** Whether its end is safe. */
  settled = false
  /** Whether its end has been handed to the body that submitted it, or to whoever holds it outside a run. */
  delivered = false
  /** Its place among the live runs of its caller. */
  place = 0
  /** Its place among the runs that ended, for "the first in time". */
  endOrder = 0
  /** The execution of its body, from the moment its upstreams are done. */
  body: Body | undefined
  /** Told when its end is safe: runs that depend on it. */
  dependents: EndListener[] | undefined
  #context: RunContextData | undefined
  #actor: RunActor | undefined
  /** The body that submitted it sees the end in its turn; all others see it when it is safe. */
  #inside: Audience | undefined
  #outside: Audience | undefined
  #error: unknown
  /** What few runs have. */
  rare: Rare | undefined

  constructor(init: {
    id: string
    index: number
    definition: Definition
    ledger: Ledger<RunHost>
    caller: Body | undefined
    restored?: Restored
  }) {
    super()
    this.id = init.id
    this.index = init.index
    this.definition = init.definition
    this.ledger = init.ledger
    this.caller = init.caller
    if (init.restored !== undefined) this.#restore(init.restored)
  }

  #restore(restored: Restored): void {
    this.#context = restored.context
    this.stateName = restored.stateName
    this.seq = restored.seq
    this.entry = restored.entry
    this.outcome = restored.outcome
    this.endOrder = restored.endOrder
    if (restored.runName !== undefined) this.rarely.named = restored.runName
    if (restored.tags !== undefined) this.rarely.tags = restored.tags
    this.settled = isTerminal(restored.stateName)
  }

  get rarely(): Rare {
    return (this.rare ??= new Rare())
  }

  /** What it holds or waits for outside its body; given back when it ends, waits to be tried again, or leaves the engine. */
  get held(): Held | undefined {
    return this.rare?.held
  }

  set held(held: Held | undefined) {
    this.rarely.held = held
  }

  /** Whether it is Paused or Suspended, with no body that could go on. */
  get isParked(): boolean {
    const isPaused = this.stateName === 'Paused' || this.stateName === 'Suspended'
    return isPaused && this.rare?.parked !== undefined
  }

  /** Whether the actor has reached a terminal state. */
  get ended(): boolean {
    return isTerminal(this.stateName)
  }

  /** Newest committed state that this process has seen. */
  get state(): RunState {
    const { entry } = this
    if (entry === undefined) return { type: 'PENDING', name: 'Pending', at: this.host.clock.now() }
    return stateOf(entry)
  }

  /** What the machine has counted. */
  get context(): RunContextData {
    return this.#actor?.getSnapshot().context ?? this.#context ?? freshContext
  }

  /**
   * Sends an event to the run's actor, and records the transition that follows.
   *
   * @param ending - How the run ended, if the event ends it.
   * @param waitMs - How long it waits for its next attempt, if it is to wait for one: `rare.until` says to when.
   * @returns Whether the run changed its state; an event that its state does not accept changes nothing.
   */
  move(event: RunEvent, message?: string, ending?: Outcome, waitMs?: number): boolean {
    if (this.ended) return false
    const actor = (this.#actor ??= this.#startActor())
    const before = actor.getSnapshot()
    actor.send(event)
    const after = actor.getSnapshot()
    if (after === before) return false
    const { value: to, context } = after
    this.stateName = to
    this.seq++
    const terminal = isTerminal(to)
    // What a run that is being cancelled is to reject with must outlive this process.
    const outcome = terminal || to === 'Cancelling' ? ending : undefined
    if (terminal) {
      this.endOrder = this.host.next()
      this.outcome = outcome
      this.#context = context
      this.#actor = undefined
    }
    const at = this.host.clock.now()
    const { index: run, seq } = this
    const { attempt } = context
    const host = this.body?.place
    // Written out: this is made for each transition, and spreads are slow.
    const entry: TransitionEntry =
      host === undefined
        ? { kind: 'transition', at, run, to, seq, attempt, message, outcome }
        : { kind: 'transition', at, run, to, seq, attempt, message, outcome, host }
    // From the moment that the entry tells: nobody is to read that it waited for less.
    if (waitMs !== undefined) this.rarely.until = at + waitMs
    const hasMore = this.rare?.isNewName === true || waitMs !== undefined || to === 'Paused'
    this.ledger.record(hasMore ? this.#withMore(entry) : entry, this)
    // What waits for its slots may begin only when the journal is told that it left.
    if (terminal || to === 'AwaitingRetry') this.giveBack()
    // A subflow's end counts for its caller when it is safe: two journals have no common order before.
    if (terminal && this.caller?.run.ledger === this.ledger) this.caller.childEnded(this)
    this.#tellListeners()
    return true
  }

  #startActor(): RunActor {
    const { kind, stateName, caller } = this
    const parent = caller?.run.ledger === this.ledger ? caller.run.#actor : undefined
    return startActor({ kind, stateName, context: this.#context, parent })
  }

  /** What few entries have; all others are spared the room for it. */
  #withMore(entry: TransitionEntry): TransitionEntry {
    const rare = this.rarely
    const { isNewName, pausedFor, until } = rare
    rare.isNewName = false
    return {
      ...entry,
      ...(isNewName && { runName: this.runName }),
      ...(entry.to === 'AwaitingRetry' && until !== undefined && { until }),
      ...(entry.to === 'Paused' && pausedFor !== undefined && { pausedFor }),
    }
  }

  /** Gives back what it holds outside its body. */
  giveBack(): void {
    const { held } = this
    if (held === undefined) return
    this.held = undefined
    held.release()
  }

  /** Gives back what it holds, though it has not ended: it is not to begin for now. */
  standBack(): void {
    this.host.results.abandoned(this)
    this.giveBack()
  }

  #tellListeners(): void {
    const listeners = this.rare?.listeners
    if (listeners !== undefined) for (const listener of listeners) listener()
  }

  /** The run leaves this engine. */
  letGo(reason: unknown): void {
    this.rare?.parked?.stop()
    this.standBack()
    this.#tellListeners()
    this.body?.letGo(reason)
  }

  /** It waits without a body: only a record of it is kept. */
  forgetBody(): void {
    this.#context = this.context
    this.#actor = undefined
    this.body = undefined
  }

  /** Its arguments give the run a name: the journal is told with its next transition, where it has the submission already. */
  nameIt(name: string, recorded: boolean): void {
    this.rarely.named = name
    this.rarely.isNewName = !recorded
  }

  committed(entry: Entry): void {
    if (entry.kind !== 'transition' && entry.kind !== 'submitted') return
    this.entry = entry
    if (isTerminal(entry.to)) this.settle()
  }

  /** The end is safe: dependents may start, and the caller is handed it in its turn. */
  settle(): void {
    this.settled = true
    const { dependents, caller } = this
    this.dependents = undefined
    if (dependents !== undefined) for (const listener of dependents) listener.runEnded(this)
    this.#showOthers()
    if (caller === undefined) this.host.rootEnded(this)
    else if (this.ledger === caller.run.ledger) caller.handOver(this)
    else this.host.subflowEnded(this, caller)
  }

  /** The run went on and ended on another node. */
  endedElsewhere(entry: TransitionEntry): void {
    this.stateName = entry.to
    this.seq = entry.seq
    this.entry = entry
    this.outcome = entry.outcome
    this.endOrder = this.host.next()
    this.settle()
  }

  /** The run could not be started or followed: it ends here, and no journal has it. */
  refuse(error: unknown): void {
    const { host, index: run } = this
    const { attempt } = this.context
    const outcome = { failure: host.values.saveError(error) }
    const message = error instanceof Error ? error.message : undefined
    const at = host.clock.now()
    this.entry = { kind: 'transition', at, run, to: 'Failed', seq: ++this.seq, attempt, message, outcome }
    this.stateName = 'Failed'
    this.outcome = outcome
    this.endOrder = this.host.next()
    this.settle()
  }

  #showOthers(): void {
    this.#outside?.show(this.#end, ignore)
    const lenders = this.rare?.lenders
    if (lenders === undefined) return
    for (const audience of lenders.values()) audience.show(this.#end, ignore)
    this.rarely.lenders = undefined
  }

  /** Tells when the end of the run is safe, at once if it is. */
  whenSettled(listener: EndListener): void {
    if (this.settled) listener.runEnded(this)
    else (this.dependents ??= []).push(listener)
  }

  get wanted(): boolean {
    return this.#inside !== undefined
  }

  deliver(then: () => void): void {
    const inside = this.#inside
    this.delivered = true
    if (inside === undefined) then()
    else inside.show(this.#end, then)
  }

  get #abandoned(): boolean {
    return this.rare?.abandoned === true
  }

  /** How it ended; a value is a copy of the reader's own where values are stored encoded. */
  get #end(): { value: unknown } | { error: unknown } {
    if (this.#abandoned) return { error: this.#error }
    try {
      return this.completed ? { value: this.value } : { error: this.error }
    } catch (error) {
      // What the journal has can't be decoded here: whoever waits is told so.
      return { error }
    }
  }

  /** Whether `asker` can see the end by now. */
  shownTo(asker: Body | undefined): boolean {
    return asker !== undefined && asker === this.caller ? this.delivered : this.settled || this.#abandoned
  }

  /** Those who see the end at the same moment as `asker`. */
  audience(asker: Body | undefined): Audience {
    const shown = this.shownTo(asker)
    if (asker !== undefined && asker === this.caller) return (this.#inside ??= this.#gather(shown))
    if (shown || asker?.lends !== true) return (this.#outside ??= this.#gather(shown))
    const lenders = (this.rarely.lenders ??= new Map())
    const known = lenders.get(asker) ?? this.#gather(false)
    lenders.set(asker, known)
    return known
  }

  #gather(shown: boolean): Audience {
    const audience = new Audience()
    if (shown) audience.show(this.#end, ignore)
    return audience
  }

  /** Resolves with the value or rejects with the error when `asker` may see it. Asking is looking. */
  promise(asker: Body | undefined): Promise<unknown> {
    this.looked = true
    return this.audience(asker).promise
  }

  /** What awaiting the run rejects with; undefined where it completed or has not ended. */
  get error(): unknown {
    if (this.outcome === undefined || 'value' in this.outcome) return undefined
    if (this.#error === undefined) {
      this.#error = this.host.values.loadError(this.outcome.failure)
      isFailureOf(this.#error, this)
    }
    return this.#error
  }

  /** Nobody will hear of the end here: those who wait outside a run are told so. */
  abandon(error: unknown): void {
    this.rarely.abandoned = true
    this.#tellListeners()
    this.#error = error
    // Bodies of this engine wait for ever: their run is not over, and they must not act as if it were.
    this.#outside?.show({ error }, ignore)
  }

  /** The value; a copy of the caller's own where values are stored encoded. */
  get value(): unknown {
    return this.outcome !== undefined && 'value' in this.outcome
      ? this.host.values.load(this.outcome.value)
      : undefined
  }

  get completed(): boolean {
    return stateTypes[this.stateName] === 'COMPLETED'
  }

  // --- as a handle's target ---------------------------------------------------------------------------------------

  get run(): this {
    return this
  }

  get host(): RunHost {
    return this.ledger.host
  }

  get kind(): 'flow' | 'task' {
    return this.definition.kind
  }

  get name(): string {
    return this.definition.name
  }

  get clock(): Clock {
    return this.host.clock
  }

  /** Resolves with the terminal state when `asker` may see it; rejects only where the run was abandoned. Asking is looking. */
  async untilEnd(asker: Body | undefined): Promise<RunState> {
    try {
      await this.promise(asker)
    } catch (error) {
      if (this.#abandoned) throw error
    }
    return this.state
  }

  watch(): Observable<Transition> {
    return this.host.watchRun(this)
  }

  watchStates(): Observable<RunState> {
    return this.host.watchStates(this)
  }

  /** Whether `run` is this run or one of its ancestors. */
  descendsFrom(run: Run): boolean {
    return this === run || (this.caller?.run.descendsFrom(run) ?? false)
  }

  /** Name for people: the one it was given, else the definition's with the run's number. */
  get runName(): string {
    return runNameOf(this.givenName, this.definition.name, this.index)
  }

  /** The name that its options give it, once its arguments are known. */
  get givenName(): string | undefined {
    const named = this.rare?.named
    if (named !== undefined) return named
    const { runName } = this.definition.settings
    return runName !== undefined && isFixed(runName) ? runName : undefined
  }

  /** Its own tags and those of the runs that it is part of. */
  get tags(): readonly string[] {
    const restored = this.rare?.tags
    if (restored !== undefined) return restored
    return tagsBelow(this.caller?.run.tags ?? noTags, this.definition.settings.tags)
  }
}

function ignore(): void {
  // Nobody needs to know.
}
