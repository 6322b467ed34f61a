import type { Observable } from 'rxjs'
import type { Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { taskThread } from '../base/task-thread.ts'
import type { IntakeArguments, IntakeOptions } from '../events/intake-options.ts'
import type { Intake } from '../events/intake-types.ts'
import type { EventsOf } from '../events/sources.ts'
import type { AnyFlow, Flow } from '../definitions/flow.ts'
import { definitionOf, type AnyTask } from '../definitions/task.ts'
import type { TaskRunner } from '../ports/task-runner.ts'
import type { Target } from '../runs/current-body.ts'
import { refuseInThread } from '../runs/refuse-in-thread.ts'
import { Handle } from '../runs/future.ts'
import type { AnyRunHandle, Args, FlowRun, FlowRunHandle } from '../runs/types.ts'
import type { RunsChange } from '../streams/as-list.ts'
import type { Transition } from '../streams/transition.ts'
import { checkWatch, type Watched, type WatchFilter, type WatchOptions } from '../streams/watch.ts'
import { deleteRun } from './delete-run.ts'
import type { EngineError, EngineHealth, EngineOptions } from './engine-options.ts'
import { openEngine, type Engine as Inside } from './engine.ts'
import { forkRun, type ForkOptions } from './fork.ts'
import type { Limits } from './limits.ts'
import type { Progress } from './progress.ts'
import { namedOrder, type NamedFlow } from './named-flow.ts'
import { releaseRun, type ReleaseOptions } from './release.ts'
import {
  pageOf,
  queryOf,
  runsQueryOf,
  type ListOptions,
  type RunPage,
  type RunsQuery,
} from './list-options.ts'
import { exportRun, importRun, type ExportOptions, type ImportOptions } from './run-file.ts'
import { replayRun, type ReplayOptions, type ReplayReport } from './replay-run.ts'
import { inside } from './start.ts'

/** @public */
export interface CloseOptions {
  /** How long live runs may take to end; default none. Those that have not are let go, and go on where a durable journal is recovered. */
  readonly grace?: Duration
}

/** Hosts the actors of runs in this process. @public */
export interface Engine {
  /** Name of this node in journals and transitions. */
  readonly node: string
  /** Transitions of this engine's runs as they are committed: those from the moment of subscription on. */
  readonly transitions: Observable<Transition>
  /** Errors that no caller hears of. They go to the logger while nobody is subscribed. */
  readonly errors: Observable<EngineError>
  /** How far bodies say they are; hot, and not recorded. */
  readonly progress: Observable<Progress>
  /** How many runs there may be at once, and how often they may begin. */
  readonly limits: Limits
  /** Starts a flow run on this engine. @throws UsageError for misuse */
  run<A extends readonly unknown[], R>(flow: Flow<A, R>, ...args: Args<A>): FlowRun<R>
  /**
   * Starts a flow run by the flow's name on whichever node of the transport serves it; this process need not have its code.
   * Resolves when its journal is created, so when it can't be lost any more.
   *
   * @throws UsageError `NO_TRANSPORT`, `INVALID_OPTION`, `ENGINE_CLOSED`; CodecError `NOT_ENCODABLE`; RunError
   * `IDEMPOTENCY_CONFLICT` (all as rejections)
   */
  run(flow: string | NamedFlow, ...args: readonly unknown[]): Promise<FlowRunHandle<unknown>>
  /**
   * Starts a flow run for each event of a source: an Observable, an async iterable, or an {@link EventSource}, whose events are
   * acknowledged when their flow runs are recorded. Where an event has an idempotency key, it starts one flow run, however often
   * it is delivered. One that can't become a flow run is a dead letter, and holds nothing up. Begins at once.
   *
   * @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`, `NO_TRANSPORT`, `ENGINE_CLOSED`
   */
  on<E, A extends readonly unknown[], R>(
    source: EventsOf<E>,
    flow: Flow<A, R>,
    ...options: IntakeArguments<E, A>
  ): Intake
  /** The same for a flow that is known by its name, on whichever node of the transport serves it. */
  on<E>(source: EventsOf<E>, flow: string | NamedFlow, options?: IntakeOptions<E, readonly unknown[]>): Intake
  /**
   * Transitions from the journal: what was, then what comes; no gap, no repeat. Also an async iterable, which pulls.
   *
   * @throws UsageError `INVALID_OPTION`
   */
  watch(filter?: WatchFilter, options?: WatchOptions): Watched<Transition>
  /** The run of an id; undefined where the journal has none. */
  get(id: string): Promise<AnyRunHandle | undefined>
  /**
   * Flow runs, and task runs outside any flow, in the order in which they were started, a page at a time.
   *
   * @throws UsageError `INVALID_OPTION`, `ENGINE_CLOSED` (rejects)
   */
  list(options?: ListOptions): Promise<RunPage>
  /**
   * A live list of flow runs, and of task runs outside any flow: first what there is, then its changes, with nothing missed between; of
   * all engines of the journal. `asList()` folds it to the list as it is. Also an async iterable, which pulls. What happens to a run
   * faster than it is read is told as one change.
   *
   * @throws UsageError `INVALID_OPTION`
   */
  runs(query?: RunsQuery): Watched<RunsChange>
  /**
   * Everything that the journals tell of a run and of its subflows, values included, as one file for `import`. A task run's id
   * stands for its flow run.
   *
   * @throws JournalError `RUN_NOT_FOUND`; CodecError `NOT_ENCODABLE`; UsageError `INVALID_OPTION`, `ENGINE_CLOSED` (rejects)
   */
  export(id: string, options?: ExportOptions): Promise<Uint8Array>
  /**
   * Takes a run from a file that `export` made. One that has not ended goes on with `recover()`.
   *
   * @throws CodecError `MALFORMED_PAYLOAD`, `UNSUPPORTED_FORMAT`, `DECRYPTION_FAILED`; JournalError `RUN_EXISTS`; UsageError
   * `INVALID_OPTION`, `ENGINE_CLOSED` (rejects)
   */
  import(file: Uint8Array, options?: ImportOptions): Promise<AnyRunHandle>
  /**
   * Starts a flow run that begins with what another one did, be that over or not. What of that COMPLETED is kept, and does not
   * run again; or, with `from`, all of it up to a position. The other one is not touched.
   *
   * @throws JournalError `RUN_NOT_FOUND`, `RUN_EXISTS`; UsageError `INVALID_OPTION`, `UNKNOWN_DEFINITION`, `AMBIGUOUS_NAME`,
   * `ENGINE_CLOSED` (rejects)
   */
  fork(id: string, options?: ForkOptions): Promise<FlowRunHandle<unknown>>
  /**
   * Runs the body of a recorded flow run once more, on what its journal remembers and nothing else: tasks do not run, nothing
   * is recorded. For a debugger, and as a test that new code still does what old runs did. Resolves with what came of it,
   * also where it did something else; time and I/O of the body itself are real.
   *
   * @throws JournalError `RUN_NOT_FOUND`; UsageError `INVALID_OPTION`, `UNKNOWN_DEFINITION`, `AMBIGUOUS_NAME`, `ENGINE_CLOSED`
   * (rejects)
   */
  replay(id: string, options?: ReplayOptions): Promise<ReplayReport>
  /**
   * Goes on with every unfinished run in the journal that is not live here: it is claimed and replayed. Where the journal
   * knows which engines are there, their runs are left alone. A run that can't be recovered is told of in `errors`.
   *
   * @throws JournalError, such as `NODE_IN_USE`; UsageError `ENGINE_CLOSED` (rejects)
   */
  recover(): Promise<FlowRunHandle<unknown>[]>
  /**
   * Puts a flow run back that was set aside because its host was lost too often (CRASHED, *Poisoned*): a new flow run begins
   * with what it did. A terminal state is never left, so the one that was set aside stays as it is.
   *
   * @throws JournalError `RUN_NOT_FOUND`; UsageError `INVALID_OPTION` where it was not set aside, and what `fork` gives (rejects)
   */
  release(id: string, options?: ReleaseOptions): Promise<FlowRunHandle<unknown>>
  /**
   * Forgets a flow run that has ended: its journal and those of its subflows, their large values, their mail. Resolves when they
   * are gone, with false where there was none. A start by its idempotency key begins anew after that.
   *
   * @throws UsageError `RUN_NOT_ENDED`; `INVALID_OPTION` for a task run in a flow run, and a subflow; `ENGINE_CLOSED`. JournalError,
   * such as `JOURNAL_UNAVAILABLE` (rejects)
   */
  delete(id: string): Promise<boolean>
  /**
   * Resolves when the other nodes of its transport know of it, and it has begun to serve; at once where it has none.
   *
   * @throws JournalError `NODE_IN_USE`, and what the transport gives where it can't connect; UsageError `ENGINE_CLOSED` (reject)
   */
  announced(): Promise<void>
  /**
   * Makes a task runner ready for tasks, so that the first runs need not wait for it: threads are started, and load the
   * modules of the tasks. Resolves when they have.
   *
   * @throws UsageError `INVALID_OPTION`, `ENGINE_CLOSED`, and what a run of the tasks would fail with: `TASK_NOT_FOUND`,
   * `AMBIGUOUS_NAME`, `FLOW_STARTED_IN_WORKER`; RunError `NO_THREAD`
   */
  warm(runner: TaskRunner, tasks?: readonly AnyTask[]): Promise<void>
  health(): EngineHealth
  /**
   * Takes no more calls, waits for live runs as long as `grace` allows, and lets go of the rest. Awaiting a run that was
   * let go rejects with `ENGINE_CLOSED`. Resolves when pools are closed; again at once when called twice.
   */
  close(options?: CloseOptions): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens an engine. While exactly one is open in a process, calls outside any run use it.
 *
 * @throws {@link UsageError} `INVALID_OPTION`; `FLOW_STARTED_IN_WORKER` in a thread that executes tasks
 * @public
 */
export function createEngine(options: EngineOptions = {}): Engine {
  const thread = taskThread()
  if (thread !== undefined) throw refuseInThread(thread, 'createEngine()')
  return new EngineFace(openEngine(options))
}

class EngineFace implements Engine {
  readonly [inside]: Inside

  constructor(engine: Inside) {
    this[inside] = engine
  }

  get node(): string {
    return this[inside].node
  }

  get transitions(): Observable<Transition> {
    return this[inside].hub.observable
  }

  get errors(): Observable<EngineError> {
    return this[inside].bulletin.errors.observable
  }

  get progress(): Observable<Progress> {
    return this[inside].bulletin.progress.observable
  }

  get limits(): Limits {
    return this[inside].limits
  }

  run<A extends readonly unknown[], R>(flow: Flow<A, R>, ...args: Args<A>): FlowRun<R>
  run(flow: string | NamedFlow, ...args: readonly unknown[]): Promise<FlowRunHandle<unknown>>
  run(flow: Flow<readonly unknown[], unknown> | string | NamedFlow, ...args: readonly unknown[]): unknown {
    if (typeof flow === 'string' || typeof flow === 'object') return this.#runByName(flow, args)
    if (typeof flow === 'function' && 'map' in flow) {
      const { name } = flow as { name: string }
      throw new UsageError(
        'INVALID_OPTION',
        `engine.run takes a flow, and ${name} is a task; call it in a flow`,
      )
    }
    if (typeof flow !== 'function' || typeof flow.with !== 'function') {
      throw new UsageError('INVALID_OPTION', 'expected a flow: engine.run(flow, …its arguments)')
    }
    return flow.with({ engine: this })(...args)
  }

  on<E>(
    source: EventsOf<E>,
    flow: AnyFlow | string | NamedFlow,
    options: IntakeOptions<E, never> = {},
  ): Intake {
    return this[inside].intakes.open(source, flow, options)
  }

  async #runByName(flow: string | NamedFlow, args: readonly unknown[]): Promise<AnyRunHandle> {
    const order = namedOrder(flow, args)
    this[inside].checkOpen()
    const { target, created } = this[inside].clusterFor(order.name).send(order)
    await created
    return handle(target)
  }

  watch(filter: WatchFilter = {}, options: WatchOptions = {}): Watched<Transition> {
    checkWatch(filter, options)
    return this[inside].watching.watch(filter, options)
  }

  async get(id: string): Promise<AnyRunHandle | undefined> {
    const found = await this[inside].get(id)
    return found === undefined ? undefined : handle(found)
  }

  async list(options: ListOptions = {}): Promise<RunPage> {
    const { targets, last } = await this[inside].list(queryOf(options))
    return pageOf(targets.map(handle), last)
  }

  runs(query: RunsQuery = {}): Watched<RunsChange> {
    return this[inside].watching.runs(runsQueryOf(query))
  }

  replay(id: string, options: ReplayOptions = {}): Promise<ReplayReport> {
    return replayRun(this[inside], id, options)
  }

  async recover(): Promise<FlowRunHandle<unknown>[]> {
    const recovered = await this[inside].recover()
    return recovered.map((run) => handle(run) as FlowRunHandle<unknown>)
  }

  export(id: string, options: ExportOptions = {}): Promise<Uint8Array> {
    return exportRun(this[inside], id, options)
  }

  async import(file: Uint8Array, options: ImportOptions = {}): Promise<AnyRunHandle> {
    return handle(await importRun(this[inside], file, options))
  }

  async fork(id: string, options: ForkOptions = {}): Promise<FlowRunHandle<unknown>> {
    return handle(await forkRun(this[inside], id, options)) as FlowRunHandle<unknown>
  }

  async release(id: string, options: ReleaseOptions = {}): Promise<FlowRunHandle<unknown>> {
    return handle(await releaseRun(this[inside], id, options)) as FlowRunHandle<unknown>
  }

  delete(id: string): Promise<boolean> {
    return deleteRun(this[inside], id)
  }

  async warm(runner: TaskRunner, tasks: readonly AnyTask[] = []): Promise<void> {
    if (typeof runner?.createPool !== 'function') {
      throw new UsageError('INVALID_OPTION', 'expected a task runner: engine.warm(runner, tasks)')
    }
    await this[inside].warm(runner, tasks.map(definitionOf))
  }

  announced(): Promise<void> {
    return this[inside].announced()
  }

  health(): EngineHealth {
    return this[inside].health()
  }

  close({ grace = 0 }: CloseOptions = {}): Promise<void> {
    return this[inside].close(grace)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function handle(target: Target): AnyRunHandle {
  return new Handle(target) as AnyRunHandle
}
