import type { Observable } from 'rxjs'
import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { newRootId } from '../base/ids.ts'
import { consoleLogger, type LogFields, type Logger } from '../base/logger.ts'
import type { Definition } from '../definitions/definition.ts'
import { checkFindable } from '../definitions/registry.ts'
import { Intakes } from '../events/intakes.ts'
import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { stateTypes, type RunState } from '../machines/states.ts'
import { memoryCache } from '../ports/cache.ts'
import type { Clock } from '../ports/clock.ts'
import type { Append, Journal, JournalQuery } from '../ports/journal.ts'
import type { Mailbox } from '../ports/mailbox.ts'
import type { Nodes } from '../ports/nodes.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import { systemRandom, type Random } from '../ports/random.ts'
import { systemClock } from '../ports/system-clock.ts'
import type { TaskPool, TaskRunner } from '../ports/task-runner.ts'
import type { Station } from '../ports/transport.ts'
import type { AttemptName } from '../remote/node-talk.ts'
import { ConcurrentTaskRunner } from '../runners/concurrent-task-runner.ts'
import { within } from '../runs/deadline.ts'
import type { Target } from '../runs/current-body.ts'
import { Hub } from '../streams/hub.ts'
import { liveTransition } from '../streams/live.ts'
import type { Transition } from '../streams/transition.ts'
import type { Watched } from '../streams/watch.ts'
import { engineClosed, engineOpened } from './ambient.ts'
import { Bulletin } from './bulletin.ts'
import { poolReports } from './pool-reports.ts'
import { publishFirst } from './publish-first.ts'
import { checkEngineOptions, suspendAfter, type EngineHealth, type EngineOptions } from './engine-options.ts'
import { Cluster } from './cluster.ts'
import { Deadlocks } from './deadlocks.ts'
import type { ElsewhereHost } from './elsewhere.ts'
import { HookCalls, isOwnRest } from './hooks.ts'
import { Instruments } from './instruments.ts'
import { Limiter } from './limits.ts'
import { Lookup, type Listed } from './lookup.ts'
import { LostRuns } from './lost-runs.ts'
import { Mail } from './mail.ts'
import { ResultCache } from './result-cache.ts'
import type { EndReader } from './ends.ts'
import type { CommitSubject, Ledger } from './ledger.ts'
import { Presence } from './presence.ts'
import { patientJournal } from './patient-journal.ts'
import { recoverOne, recoverRoots } from './recover-roots.ts'
import { subflowEnded } from './roots.ts'
import { liveBelow } from './run-tree.ts'
import { Run, type Body, type RunHost } from './run.ts'
import type { Attempt } from './attempt.ts'
import { checkServe } from './serve-options.ts'
import { transportHost } from './transport-host.ts'
import { Steering } from './steering.ts'
import { submit } from './submit.ts'
import { readiness } from './readiness.ts'
import { Watching } from './watching.ts'
import { byReference, encoded, type ValueStore } from './value-store.ts'

/** How long `close` waits for the journal at the least. */
const flushMs = 1_000
/** How long others may take to be told that it is no longer there: they would notice. */
const farewellMs = 5_000

/** The inside of an engine: what its runs need, and what its public face is made of. */
export class Engine implements RunHost {
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly mailbox: Mailbox | undefined
  readonly nodes: Nodes | undefined
  readonly logger: Logger
  readonly values: ValueStore
  readonly node: string
  readonly limits: Limiter
  readonly results: ResultCache
  readonly suspendAfterMs: number | undefined
  readonly instruments: Instruments | undefined
  readonly steering: Steering
  readonly #lookup: Lookup
  readonly mail: Mail
  readonly #presence: Presence
  readonly #lost: LostRuns
  /** There where the engine has a transport. */
  readonly #station: Station | undefined
  /** For what follows runs. */
  readonly #followed: Journal
  readonly watching: Watching
  readonly #cluster: Cluster | undefined
  /** Whether the others know of it. */
  isThere = false
  freshTurn = 0
  closing = false
  /** Why it was closed, where it could not be open. */
  refusal: unknown
  closed = false
  readonly hub: Hub<Transition>
  readonly bulletin: Bulletin
  readonly intakes = new Intakes(this)
  readonly #ownsJournal: boolean
  readonly #pools = new Map<TaskRunner, TaskPool>()
  readonly #live = new Map<string, Run>()
  readonly #roots = new WeakMap<object, Run>()
  readonly #hooks = new HookCalls((error, run) => this.bulletin.hookFailed(error, run))
  readonly #defaultRunner = new ConcurrentTaskRunner()
  #counter = 0
  #release: (() => void) | undefined
  #closed: Promise<void> | undefined

  constructor(options: EngineOptions) {
    checkEngineOptions(options)
    this.clock = options.clock ?? systemClock()
    this.random = options.random ?? systemRandom()
    this.logger = options.logger ?? consoleLogger()
    this.node = options.node ?? `node-${newRootId(this.random).slice(0, 8)}`
    this.bulletin = new Bulletin(this.logger, this.clock)
    if (options.instrumentation !== undefined)
      this.instruments = new Instruments(this, options.instrumentation)
    this.bulletin.instruments = this.instruments
    const served = checkServe(options.serve)
    const station = options.transport?.open(transportHost(this, (error) => this.#cutOff(error)))
    this.#station = station
    this.#ownsJournal = options.journal === undefined && station === undefined
    this.journal = options.journal ?? station?.journal ?? memoryJournal()
    this.#followed = station === undefined ? this.journal : patientJournal(this.journal, this)
    this.watching = new Watching(this, this.#followed)
    this.mailbox = station?.mailbox ?? this.journal.mailbox
    this.nodes = station?.nodes ?? this.journal.nodes
    this.values = this.journal.encodes || options.strictValues === true ? encoded : byReference
    this.suspendAfterMs = suspendAfter(options, this.journal.encodes)
    this.#presence = new Presence(this.journal, this.nodes, this.node)
    this.#lost = new LostRuns(this, this.#presence)
    this.mail = new Mail(this)
    this.#lookup = new Lookup(this)
    this.steering = new Steering(this, this.#lookup)
    this.hub = new Hub((error) => this.report(error, undefined))
    if (station !== undefined) this.#cluster = new Cluster(this, station, served)
    const deadlocks = new Deadlocks()
    const { limits = [], cache } = options
    const shared = this.#cluster?.shared
    this.limits = new Limiter(this.clock, limits, deadlocks, shared?.limits)
    const kept = cache ?? station?.cache ?? this.journal.cache ?? memoryCache()
    this.results = new ResultCache(kept, deadlocks, cache === undefined ? shared?.flights : undefined)
    this.instruments?.opened(() => ({ liveRuns: this.#live.size, ...this.bulletin.counts }))
    this.#presence.announce(
      this.#cluster?.info,
      () => {
        this.isThere = true
        this.#cluster?.start()
      },
      (error) => void this.#refused(error),
    )
  }

  /** Others count this node as gone. */
  #cutOff(error: unknown): void {
    this.report(error, undefined)
    this.#lost.cutOff()
    this.#cluster?.cutOff(error)
  }

  append(append: Append): ReturnType<Journal['append']> {
    return this.#presence.append(append)
  }

  /** The journal does not take this engine. */
  async #refused(error: unknown): Promise<void> {
    if (this.closing) return
    this.report(error, undefined, 'the engine is closed')
    this.refusal = error
    await this.close(0)
  }

  // --- for runs ---------------------------------------------------------------------------------------------------

  next(): number {
    return ++this.#counter
  }

  pool(runner: TaskRunner | undefined): TaskPool {
    const description = runner ?? this.#defaultRunner
    let pool = this.#pools.get(description)
    if (pool === undefined) {
      pool = description.createPool({
        reports: poolReports,
        remote: this.#cluster?.remote,
        turn: (fn) => this.clock.turn(fn),
        report: (error) => this.report(error, undefined),
      })
      this.#pools.set(description, pool)
      this.instruments?.poolOpened(pool, description.name)
    }
    return pool
  }

  report(error: unknown, run: Run | undefined, what?: string): void {
    this.bulletin.report(error, run, what)
  }

  shown(
    ledger: Ledger,
    subject: CommitSubject,
    entry: SubmittedEntry | TransitionEntry,
    position: number,
  ): void {
    this.bulletin.answered(ledger)
    if (!(subject instanceof Run)) return
    this.instruments?.shown(subject, entry)
    const { hooks } = subject.definition.settings
    const station = this.#station
    if (hooks === undefined && !this.hub.observed && station?.publish === undefined) return
    const { flowRunId } = ledger
    const flow = this.#live.get(flowRunId)?.definition.name ?? subject.definition.name
    const where = { flowRunId, flow, startedAt: ledger.startedAt, position, node: this.node }
    const transition = liveTransition(subject, entry, where)
    if (hooks !== undefined && !isOwnRest(entry)) this.#hooks.entered(subject, transition)
    station?.publish?.(transition)
    this.hub.emit(transition)
  }

  stalled(ledger: Ledger, error: unknown): void {
    if (this.refusal === undefined) this.bulletin.stalled(ledger, error)
  }

  goesOn(ledger: Ledger): void {
    this.bulletin.answered(ledger)
  }

  refused(ledger: Ledger, tooLarge?: unknown): void {
    const root = this.#roots.get(ledger)
    if (root !== undefined) this.#lost.refused(root, tooLarge)
  }

  follows(flowRunId: string): boolean {
    return this.#lost.follows(flowRunId)
  }

  get liveRuns(): Iterable<Run> {
    return this.#live.values()
  }

  opened(run: Run, from?: string): void {
    // Somebody may write to it, whom this process does not see.
    this.#release ??= this.journal.hold?.()
    this.#live.set(run.id, run)
    this.#roots.set(run.ledger, run)
    // Whoever sent it, for any node, wrote its first transition, and published nothing.
    if (from === '') publishFirst(run, this.#station)
    // Of a run that is not new, others may have written to it while nobody had it.
    if (run.ledger.position > 0) void this.mail.collect(run, this.#station === undefined ? undefined : from)
  }

  whenMailIsRead(flowRunId: string, go: () => void): void {
    this.mail.whenRead(flowRunId, go)
  }

  /** Another run of the same id may be live here by now. */
  forget(run: Run): void {
    if (this.#live.get(run.id) === run) {
      this.#live.delete(run.id)
      this.mail.ended(run)
    }
    if (this.#live.size === 0) this.#letProcessEnd()
  }

  #letProcessEnd(): void {
    this.#release?.()
    this.#release = undefined
  }

  rootOf(flowRunId: string): Run | undefined {
    return this.#live.get(flowRunId)
  }

  rootEnded(run: Run): void {
    this.forget(run)
    const failed = stateTypes[run.stateName] === 'FAILED' || stateTypes[run.stateName] === 'CRASHED'
    if (failed && !run.looked) this.report(run.error, run, 'failed, and nobody looked')
  }

  subflowEnded(run: Run, caller: Body): void {
    this.forget(run)
    subflowEnded(run, caller)
    caller.childEnded(run)
  }

  stopElsewhere(node: string, attempt: AttemptName): void {
    this.#cluster?.stopElsewhere(node, attempt)
  }

  leftover(run: Run, present: boolean, after: string): void {
    this.bulletin.leftover(run, present, after)
  }

  log(level: 'warn' | 'error', run: Run, fields: LogFields, message: string): void {
    this.bulletin.log(level, run, fields, message)
  }

  progressed(run: Run, fraction: number, message: string | undefined): void {
    this.bulletin.progressed(run, fraction, message)
  }

  /** Makes the task runner of a flow ready for tasks. */
  async warm(runner: TaskRunner | undefined, tasks: readonly Definition[]): Promise<void> {
    this.checkOpen()
    const pool = this.pool(runner)
    if (pool.encodes === true) for (const task of tasks) checkFindable(task)
    await pool.warm?.(tasks)
  }

  call(definition: Definition, args: readonly unknown[], caller: Body): Target {
    return submit(this, { definition, args, caller: caller as Attempt })
  }

  // --- for handles ------------------------------------------------------------------------------------------------

  watchRun(run: Run): Watched<Transition> {
    return this.watching.watch(run.index === 0 ? { flowRunId: run.id } : { runId: run.id })
  }

  watchStates(run: Run): Observable<RunState> {
    return this.watching.states(run.id)
  }

  // --- for people -------------------------------------------------------------------------------------------------

  /** @throws UsageError `ENGINE_CLOSED` */
  async get(id: string): Promise<Target | undefined> {
    this.checkOpen()
    return this.#lookup.get(id)
  }

  /** @throws UsageError `ENGINE_CLOSED` */
  async list(query: JournalQuery): Promise<Listed> {
    this.checkOpen()
    return this.#lookup.list(query)
  }

  /** Resolves when the other nodes know of it. */
  async announced(): Promise<void> {
    this.checkOpen()
    await this.#presence.there()
    this.checkOpen()
  }

  /** Claims and goes on with every unfinished root of the journal that is not live here. */
  async recover(): Promise<Run[]> {
    this.checkOpen()
    await this.#presence.there()
    return recoverRoots(this, await this.#cluster?.leftToOthers())
  }

  recoverOne(flowRunId: string, served: readonly Definition[]): Promise<Run | 'over' | 'pinned'> {
    return recoverOne(this, flowRunId, served)
  }

  /** @param what - What is to run on another node. @throws UsageError `NO_TRANSPORT` */
  clusterFor(what: string): Cluster {
    if (this.#cluster !== undefined) return this.#cluster
    const message = `${what} is to run on another node, and this engine has no transport: createEngine({ transport })`
    throw new UsageError('NO_TRANSPORT', message)
  }

  get elsewhere(): ElsewhereHost {
    return this.#lookup.elsewhere
  }

  health(): EngineHealth {
    return {
      ...readiness(this, this.#station),
      liveRuns: this.#live.size,
      ...this.bulletin.health,
      obstacles: [this.#station, ...this.#pools.values()].flatMap((one) => one?.obstacles?.() ?? []),
      intakes: this.intakes.statuses,
    }
  }

  isLive(flowRunId: string): boolean {
    return this.#live.has(flowRunId) || this.#cluster?.isExpected(flowRunId) === true
  }

  /** Takes no more calls, gives live runs `grace` to end, then lets go of them. */
  async close(grace: Duration): Promise<void> {
    const graceMs = toMilliseconds(grace, 'grace')
    if (this.closing) return this.#closed
    this.closing = true
    this.#closed = this.#close(graceMs)
    return this.#closed
  }

  async #close(graceMs: number): Promise<void> {
    engineClosed(this)
    const patienceMs = Math.max(graceMs, flushMs)
    const until = this.clock.monotonic() + graceMs
    const taken = this.intakes.drain()
    // A server that does not answer keeps nobody from closing.
    await within(this.clock, patienceMs, this.#tried(this.#cluster?.stopTaking()))
    const drained = this.#tried(this.#cluster?.drain(graceMs))
    if (graceMs > 0 && this.intakes.isAnyOpen) await within(this.clock, graceMs, taken)
    // One without a body goes on in another engine.
    const live = [...this.#live.values()].filter((run) => !run.isParked)
    const leftMs = until - this.clock.monotonic()
    if (leftMs > 0 && live.length > 0) {
      const ends = live.map(
        (run) => new Promise<void>((resolve) => run.whenSettled({ runEnded: () => resolve() })),
      )
      await within(this.clock, leftMs, Promise.all(ends))
    }
    await drained
    if (this.intakes.isAnyOpen) await this.intakes.stop()
    await this.#flushed(patienceMs)
    await within(this.clock, patienceMs, this.#hooks.idle())
    this.closed = true
    this.instruments?.closed()
    const error =
      this.refusal ?? new UsageError('ENGINE_CLOSED', 'the engine was closed before the run had ended')
    const left = [...this.#live.values()].map((run) => ({ run, below: liveBelow(run) }))
    for (const { run } of left) run.letGo(error)
    // What was recorded meanwhile is not to be lost half-way to the journal.
    await this.#flushed(flushMs)
    for (const { run, below } of left) {
      run.ledger.abandon()
      for (const each of below) if (!each.settled) each.abandon(error)
    }
    this.#live.clear()
    this.#letProcessEnd()
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()))
    this.mail.close()
    this.watching.stop()
    this.hub.complete()
    const farewell = this.#tried(this.#cluster?.close()).then(() => this.#tried(this.#presence.withdraw()))
    // The journal of this engine alone is closed after that.
    await (this.#station === undefined ? farewell : within(this.clock, farewellMs, farewell))
    await this.#station?.close()
    this.bulletin.close()
    if (this.#ownsJournal) await this.journal.close()
  }

  /** What others of a cluster can't be told now they find out by themselves; where there is none, nobody would. */
  async #tried(told: Promise<void> | undefined): Promise<void> {
    try {
      await told
    } catch (error) {
      if (this.#station === undefined) throw error
      this.report(error, undefined, 'the engine closes, and could not tell that')
    }
  }

  /** What was recorded is to reach the journal, unless the journal does not answer. */
  async #flushed(ms: number): Promise<void> {
    const ledgers = [...this.#live.values()].map(({ ledger }) => ledger)
    await within(
      this.clock,
      ms,
      Promise.all(ledgers.map((ledger) => new Promise<void>((resolve) => ledger.whenSafe(resolve)))),
    )
  }

  checkOpen(): void {
    if (this.refusal !== undefined) throw this.refusal
    if (this.closing) throw new UsageError('ENGINE_CLOSED', 'the engine is closed')
  }

  get ends(): EndReader {
    return { journal: this.#followed, values: this.values, closers: this.watching.closers }
  }
}

/** @throws UsageError `INVALID_OPTION` */
export function openEngine(options: EngineOptions): Engine {
  const engine = new Engine(options)
  engineOpened(engine)
  // In a later turn: the modules that define what is to be recovered are there by then.
  if (options.recover === true)
    engine.clock.turn(() => {
      engine.recover().catch((error: unknown) => engine.report(error, undefined))
    })
  return engine
}
