import type { TroupeError } from '../base/errors.ts'
import type { BodyEvent, BodyServer } from '../remote/protocol.ts'
import type { WorkerReport } from '../remote/worker-report.ts'
import type { Clock } from './clock.ts'
import type { ClusterNodes } from './nodes.ts'
import type { Queue } from './queue.ts'
import type { Random } from './random.ts'

/** What a body came to: a value, or what it threw. */
export type BodyResult =
  | {
      readonly value: unknown
      /** The same as `encodeValue` gives it, where the body ran elsewhere: it is not encoded again for the journal. */
      readonly encoded?: Uint8Array
    }
  | { readonly error: unknown }

/**
 * One attempt of a task run, handed to a task runner.
 *
 * @public
 */
export interface Assignment {
  /** Distinguishes this hand-over from every other of this engine; a report on an older one is dropped. */
  readonly lease: number
  readonly flowRunId: string
  readonly runId: string
  readonly attempt: number
  /** Of the flow run's owner, this engine: each later owner has a greater one. */
  readonly epoch: number
  /** Place in the order of submission, over the whole engine. */
  readonly order: number
  /** Those of greater priority start first; equal ones in their order. */
  readonly priority: number
  readonly task: {
    readonly name: string
    readonly version: string
    /** As it was defined, before any `with`: how another thread finds it. */
    readonly origin: { readonly name: string; readonly version: string; readonly modules: readonly string[] }
  }
  readonly arguments: readonly unknown[]
  /** Its own, and those of the runs that it is part of. */
  readonly tags: readonly string[]
  /** Lease of the task body that submitted it, where a task's body did. */
  readonly parentLease: number | undefined
  /** Wall time at which the attempt is to be over, where it has a limit. */
  readonly deadline: number | undefined
  /** Whether the body may begin only when the journal says that it does. `invoke` sees to that by itself. */
  readonly gated: boolean
  /** How long the body may take, in milliseconds, where it has a limit. */
  readonly timeoutMs: number | undefined
  /**
   * Where the body runs already, as the journal tells: the engine before this one handed the attempt out, and was lost. The
   * pool waits for it, or says that it is lost.
   */
  readonly runsOn: string | undefined
  /** The offer that it was part of, where it was handed out together with others. */
  readonly offer: string | undefined
  /** Calls `go` when all is safe that the journal must have before another node may begin the body where it may have begun before. */
  whenSafe(go: () => void): void
  /** Calls `go` when what was sent to its flow run before this engine had that has been read; at once where that is done. */
  whenHeard(go: () => void): void
  /**
   * Calls `go` right before what the journal must have is written, together with what `go` records; in a later turn where it has
   * all. Meanwhile more may gather.
   */
  whenWriting(go: () => void): void
  /** Runs the body in this thread, with the run as its context. Returns what the body returns; throws what it throws. */
  invoke(): unknown
  /**
   * For a body that is executed in another thread: what it is to be started with there, and the answers to all that it
   * asks. Once for each start.
   *
   * @param send - Sends an event to the body.
   */
  serve(send: (event: BodyEvent) => void): BodyServer
}

/**
 * What a pool tells the engine. The run's actor decides what follows from a report; a pool never does.
 *
 * @public
 */
export interface TaskReports {
  /**
   * The body is about to begin, or has begun where it is not in this thread.
   *
   * @param host - Where it runs, if not on this event loop, such as `thread-2`.
   * @returns False where the run has ended meanwhile: then the body must not begin, or is to be stopped.
   */
  started(assignment: Assignment, host?: string): boolean
  /** The body can't begin where this pool would execute it: the run fails with `error`. Not after `started`. */
  refused(assignment: Assignment, error: TroupeError): void
  /** The body has ended. */
  finished(assignment: Assignment, result: BodyResult): void
  /** The place where the body ran is gone; `cause` says how far that is known. */
  lost(assignment: Assignment, cause: { readonly crashed: boolean; readonly error: unknown }): void
}

/**
 * A running task runner: one per engine and description, shared by the engine's flow runs.
 *
 * @public
 */
export interface TaskPool {
  /** Whether a waiting body should lend its slot; false where slots are not counted. */
  readonly lends: boolean
  /** Whether bodies run where values get only encoded; then they are encoded, or refused, when a run is submitted. */
  readonly encodes?: boolean
  /** Whether bodies go on when this engine is lost; then those that had begun are assigned to the pool of the next owner. */
  readonly outlives?: boolean
  /** Whether `stop` ends a body that does not yield; what becomes of it is reported, as `finished` or `lost`. */
  readonly stops?: boolean
  /** Takes an attempt whose upstreams are done; starts it when a slot is free. */
  assign(assignment: Assignment): void
  /** The attempt is not wanted any more: withdraws it if it has not begun, and stops its body if this pool can. */
  stop(assignment: Assignment): void
  /** The run has left this engine: what there is of the attempt goes on elsewhere, for the engine that has the run next. */
  leave?(assignment: Assignment): void
  /** How many attempts have been assigned whose bodies have not begun. */
  waiting?(): number
  /** What keeps attempts from beginning, in words for people. */
  obstacles?(): readonly string[]
  /**
   * Takes an attempt back that has not begun, so that it won't before it is assigned again. For pools whose bodies begin
   * without asking.
   *
   * @returns False where it has begun: then `started` has been reported.
   */
  withdraw?(assignment: Assignment): boolean
  /** Makes ready what tasks need to begin at once. Resolves when it is. */
  warm?(tasks: readonly Assignment['task'][]): Promise<void>
  /** The body waits for another run: its slot may be used. */
  lend(assignment: Assignment): void
  /** The body is to go on: calls `resume` as soon as it has a slot again, at once where it never lent it. */
  reclaim(assignment: Assignment, resume: () => void): void
  /** Starts nothing more, and resolves when what the pool holds is gone. */
  close(): Promise<void>
}

/** What a pool whose bodies run on other nodes needs of an engine that has a transport. */
export interface RemoteHost {
  /** Name of the engine as a node. */
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly queue: Queue
  readonly nodes: ClusterNodes
  /**
   * Records that assignments of one flow run, none of which has begun, are handed out as one.
   *
   * @returns Id of the offer. It may be made when they are safe, which is later than before; an engine that goes on with the
   * flow run finds it as their `offer`.
   */
  offered(assignments: readonly Assignment[]): string
  /**
   * Calls `listener` with what workers report of an attempt: first what came before, in later turns, then what comes. A report
   * may come twice, and from several workers. @returns A function that ends it.
   */
  reports(assignment: Assignment, listener: (report: WorkerReport) => void): () => void
  /** Reads again what was reported of runs of a flow run: what the engine was not told of is heard before this resolves. */
  readAgain(flowRunId: string): Promise<void>
  /** Asks a node about `topic`; see `ClusterNodes.ask`. */
  ask(node: string, topic: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined>
  /**
   * Answers what other nodes ask about `topic`; a new listener takes the place of the one before. Where nobody listens, no
   * answer comes. @returns A function that ends it.
   */
  answer(topic: string, listener: (question: Uint8Array) => Promise<Uint8Array>): () => void
}

/** What the engine gives to a pool. */
export interface PoolHost {
  readonly reports: TaskReports
  /** There where the engine has a transport. */
  readonly remote: RemoteHost | undefined
  /** See `Clock.turn`. */
  turn(fn: () => void): void
  /** Something went wrong that no run is told of. */
  report(error: unknown): void
}

/**
 * Decides where and when the task runs of a flow run execute. An inert description: constructing one starts nothing.
 *
 * @public
 */
export interface TaskRunner {
  /** Name for people, such as `concurrent`. */
  readonly name: string
  /** How bodies run: one after another, interleaved on one event loop, or at the same time on several cores. */
  readonly mode: 'sequential' | 'concurrent' | 'parallel'
  /** Makes the running pool; called at most once per engine. */
  createPool(host: PoolHost): TaskPool
}
