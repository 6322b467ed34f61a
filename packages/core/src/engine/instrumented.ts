import type { TraceCarrier } from '../ports/instrumentation.ts'
import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import type { RecordedRun } from '../journal/history.ts'
import type { TaskPool } from '../ports/task-runner.ts'

/** What writers of journals tell instrumentation. */
export interface InstrumentedAppends {
  /** @param since - Monotonic time of its beginning. */
  appended(entries: number, since: number, isStored: boolean): void
  appendFailed(error: unknown): void
  /** Calls what belongs to no body. */
  outside(fn: () => void): void
}

/** What runs and attempts tell instrumentation, where an engine has one. */
export interface Instrumented<Run, Attempt> extends InstrumentedAppends {
  /** A run is submitted, in the call. @returns Where it belongs, for its journal, where it is the root of that */
  submitted(run: Run): TraceCarrier | undefined
  /**
   * A run is here that its journal remembers.
   *
   * @param parent - Of a task run that is only here to be ended, and has no caller.
   */
  restored(run: Run, recorded: RecordedRun, parent?: Run): void
  /** A body begins. @param since - Wall time of its beginning, where that was elsewhere. */
  began(attempt: Attempt, since?: number): void
  /** Calls the body. */
  call(attempt: Attempt, body: () => unknown): unknown
  /** The run goes on without this body. @param isGone - Whether it left with its run. */
  finished(attempt: Attempt, isGone: boolean, failure: unknown): void
  /** A change of state is safe. */
  shown(run: Run, entry: SubmittedEntry | TransitionEntry): void
  /** Where what the body does belongs, for the thread or the node that executes it. */
  traceOf(run: Run, attempt: number): TraceCarrier | undefined
  poolOpened(pool: TaskPool, runner: string): void
}
