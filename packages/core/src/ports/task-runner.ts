import type { TroupeError } from '../base/errors.ts'
import type { BodyEvent, BodyServer } from '../remote/protocol.ts'

/** What a body came to: a value, or what it threw. */
export type BodyResult = { readonly value: unknown } | { readonly error: unknown }

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
  /** Lease of the task body that submitted it, where a task's body did. */
  readonly parentLease: number | undefined
  /** Wall time at which the attempt is to be over, where it has a limit. */
  readonly deadline: number | undefined
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
  /** Whether `stop` ends a body that does not yield; what becomes of it is reported, as `finished` or `lost`. */
  readonly stops?: boolean
  /** Takes an attempt whose upstreams are done; starts it when a slot is free. */
  assign(assignment: Assignment): void
  /** The attempt is not wanted any more: withdraws it if it has not begun, and stops its body if this pool can. */
  stop(assignment: Assignment): void
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

/** Access to later turns of the event loop, given by the engine. */
export interface PoolHost {
  readonly reports: TaskReports
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
