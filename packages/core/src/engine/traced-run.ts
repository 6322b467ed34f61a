import type { AttemptScope, InstrumentedRun, TraceCarrier } from '../ports/instrumentation.ts'
import type { Run } from './run.ts'

/** Wall time and monotonic time of one moment: times of what belongs together are measured from the same. */
export interface Moment {
  readonly at: number
  readonly monotonic: number
}

/** An attempt of which instrumentation is to hear the end. */
export interface Traced {
  readonly number: number
  readonly startedAt: number
  readonly scope: AttemptScope | undefined
  /** The transition of its run that it ended with; not known while it runs. */
  seq: number
  endedAt: number
  failure: unknown
}

/** What instrumentation is told of a run, and what is remembered for it. */
export class TracedRun implements InstrumentedRun {
  readonly #run: Run
  readonly base: Moment
  readonly submittedAt: number
  parent: { readonly runId: string; readonly attempt: number } | undefined
  own: unknown
  /** Where its journal belongs. */
  trace: TraceCarrier | undefined
  /** Number of the newest attempt that has begun; 0 for none. */
  newest = 0
  /** The attempt that its owner before had begun, until it is clear what became of it. */
  inherited: { readonly number: number; readonly startedAt: number } | undefined
  /** Attempts that have begun here and whose ends are not safe, the oldest first. */
  readonly attempts: Traced[] = []
  /** Since when it waits for slots. */
  slotsSince: number | undefined
  /** End of the newest attempt. */
  endedAt = 0

  constructor(run: Run, base: Moment, submittedAt: number) {
    this.#run = run
    this.base = base
    this.submittedAt = submittedAt
  }

  get kind(): 'flow' | 'task' {
    return this.#run.kind
  }

  get name(): string {
    return this.#run.name
  }

  get version(): string {
    return this.#run.definition.version
  }

  get id(): string {
    return this.#run.id
  }

  get flowRunId(): string {
    return this.#run.ledger.flowRunId
  }

  get runName(): string {
    return this.#run.runName
  }

  get tags(): readonly string[] {
    return this.#run.tags
  }

  get node(): string {
    return this.#run.ledger.host.node
  }
}
