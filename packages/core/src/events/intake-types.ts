import type { Observable } from 'rxjs'

/** What an intake does just now. @public */
export type IntakeState = 'running' | 'paused' | 'draining' | 'completed' | 'stopped' | 'failed'

/** How an intake is. @public */
export interface IntakeStatus {
  readonly name: string
  /** Name of the flow. */
  readonly flow: string
  /** What it takes from, in words. */
  readonly source: string
  /**
   * `'draining'`: takes nothing new, and waits for what it holds. Over are `'completed'`: the source has no more; `'stopped'`: by
   * `stop`, `drain` or the close of its engine; `'failed'`: the source failed for good.
   */
  readonly state: IntakeState
  /** Events that were delivered, each time that they were. */
  readonly received: number
  /** Flow runs that it started. */
  readonly started: number
  /** Events whose flow run was there. */
  readonly duplicates: number
  /** Dead letters. */
  readonly dead: number
  /** Events that went back to their source. */
  readonly handedBack: number
  /** Flow runs that it waits for. */
  readonly inFlight: number
  /** Events that it has, and whose flow runs are not in the journal yet. */
  readonly waiting: number
  /** What is in the way just now, in words; undefined where nothing is. */
  readonly trouble: string | undefined
}

/** Events on their way to flow runs, as `engine.on` gives it. @public */
export interface Intake {
  readonly name: string
  readonly status: IntakeStatus
  /** Its status: at once, then when it has changed, at most once in a turn of the event loop; completes when it is over. */
  readonly statuses: Observable<IntakeStatus>
  /**
   * Resolves when it is over: the source has no more events, or it was stopped, and all that it had is dealt with. Rejects with the
   * error of a source that failed for good, when the rest is dealt with; that is no unhandled rejection where nobody listens.
   */
  readonly done: Promise<void>
  /** Takes nothing new until `resume`. What it has goes on; what an Observable gives meanwhile waits in the buffer. */
  pause(): void
  resume(): void
  /** Takes nothing new. Resolves when the flow runs of all that it has have ended. */
  drain(): Promise<void>
  /**
   * Takes nothing new, and waits for no flow run. What is being recorded may take a second; what is not acknowledged then goes
   * back to its source. Of a source that takes nothing back, what waits is started at once where the journal is durable, and
   * becomes a dead letter where it is not. Resolves when that is done.
   */
  stop(): Promise<void>
}
