import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Observable } from 'rxjs'
import type { Definition } from '../definitions/definition.ts'
import type { RunState } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Transition } from '../streams/transition.ts'
import type { Deadline } from './deadline.ts'
import type { CurrentRun } from './types.ts'

/** The same for all modules of one copy of the package, and for no other copy. */
export const copy: object = {}

/** What a handle shows and steers: a run of this engine, one that goes on elsewhere, or one that a thread submitted. */
export interface Target {
  readonly kind: 'flow' | 'task'
  readonly id: string
  readonly name: string
  readonly runName: string
  readonly state: RunState
  looked: boolean
  /** Resolves with the value, or rejects with the error, when the body that asks may see it. Asking is looking. */
  promise(asker: CurrentBody | undefined): Promise<unknown>
  /** What waits outside of a body are measured with. */
  readonly clock: Clock
  /** Resolves with the terminal state when the body that asks may see it. Asking is looking. */
  untilEnd(asker: CurrentBody | undefined): Promise<RunState>
  watch(): Observable<Transition>
  watchStates(): Observable<RunState>
  cancel(reason: string | undefined): Promise<RunState>
  pause(): Promise<RunState>
  resume(given?: Given): Promise<RunState>
  signal(signal: Signal): Promise<void>
}

/** An input for a run that waits for one. */
export interface Given {
  readonly input: unknown
  /** Tells it from others: given twice, it counts once. Undefined where nobody repeats it. */
  readonly id: string | undefined
}

/** A message to the body of a flow run. */
export interface Signal {
  readonly name: string
  readonly payload: unknown
  /** Tells it from others: sent twice, it is received once. Undefined where nobody repeats it. */
  readonly id: string | undefined
}

/** What message a body waits for. */
export interface Awaited {
  readonly for: 'signal' | 'input'
  /** Of a signal. */
  readonly name: string | undefined
  /** Of an input: what it must be. */
  readonly schema?: StandardSchemaV1 | undefined
}

/**
 * The body that is executing, as the functions of the run context see it: in the process of its engine, or in a thread
 * that executes bodies for one.
 */
export interface CurrentBody {
  /** The copy of the package that it belongs to. */
  readonly copy: object
  readonly context: BodyContext
  /** It begins to wait for a run. @throws UsageError `DEADLOCK` where that is its own or one that it is part of */
  awaits(target: Target): void
  /** A wait that can be given up, and is remembered where the body can be replayed. */
  deadlineAfter(ms: number): Deadline
}

/** What a body can know and do. */
export interface BodyContext {
  readonly kind: 'flow' | 'task'
  describe(): CurrentRun
  /** The flow run that it is, or is part of; undefined where there is none. */
  describeFlow(): CurrentRun | undefined
  /** Submits a task run, or starts a subflow. @throws UsageError for misuse */
  call(definition: Definition, args: readonly unknown[]): Target
  /** Whether the body may still act. @throws UsageError `RUN_ENDED`, `RUN_CANCELLING` */
  checkActing(): void
  now(): number
  random(): number
  uuid(): string
  /** Waits for a time that the journal remembers. */
  sleep(ms: number): Promise<void>
  /** Waits until a wall time that the journal remembers. */
  sleepUntil(time: number): Promise<void>
  /** Waits for a message. @throws UsageError `NO_RUN_CONTEXT` where it is not the body of a flow */
  message(awaited: Awaited, timeoutMs: number | undefined): Promise<unknown>
  /** What tells a message that the body sends from all others: the same when the body is replayed. */
  messageId(target: Target, name: string): string | undefined
  /** Whether it is the body of that run, or of one that is part of it. */
  isPartOf(target: Target): boolean
}
