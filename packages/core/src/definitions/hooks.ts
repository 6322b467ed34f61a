import type { RunLogger } from '../base/logger.ts'
import type { StateType } from '../machines/states.ts'
import type { Transition } from '../streams/transition.ts'

/** What a hook is told. @public */
export interface HookEvent {
  /** The transition that it is called for: names, ids, states, attempt. */
  readonly transition: Transition
  /** What the run failed or was cancelled with; undefined in other states. */
  readonly error: unknown
  /** What the run completed with, a copy where values are stored encoded; undefined in other states. */
  readonly value: unknown
  /** What the body gets; undefined where that is not known yet. */
  readonly parameters: readonly unknown[] | undefined
  readonly tags: readonly string[]
  /** Log lines with the run's ids. */
  readonly logger: RunLogger
}

/**
 * Called when a run has entered a state and the journal has it. The hooks of a run are called one after the other, each
 * when the one before has settled. What a hook throws or rejects with goes to `engine.errors` and to the logger, and never
 * changes the run. A hook runs outside the run: a task that it calls is a run of its own.
 *
 * A process that dies between a commit and its hooks does not call them again: effects that must not be lost belong in
 * tasks.
 *
 * @public
 */
export type Hook = (event: HookEvent) => unknown

/** Hooks by the state that they are called for. @public */
export interface HookOptions {
  /** The run waits for its time: for its next attempt, or to be started. */
  readonly onScheduled?: Hook | readonly Hook[]
  /** The run was submitted, waits for a slot, or for its host to be replaced. */
  readonly onPending?: Hook | readonly Hook[]
  /** The body begins, once for each attempt; or a paused flow run goes on. */
  readonly onRunning?: Hook | readonly Hook[]
  readonly onPaused?: Hook | readonly Hook[]
  readonly onCancelling?: Hook | readonly Hook[]
  /** The run is COMPLETED, from the cache, too. */
  readonly onCompletion?: Hook | readonly Hook[]
  /** The run is FAILED for good: once, after the last attempt. */
  readonly onFailure?: Hook | readonly Hook[]
  readonly onCrashed?: Hook | readonly Hook[]
  readonly onCancellation?: Hook | readonly Hook[]
}

/** The state type that each hook is called for. */
export const hookTypes: Readonly<Record<keyof HookOptions, StateType>> = {
  onScheduled: 'SCHEDULED',
  onPending: 'PENDING',
  onRunning: 'RUNNING',
  onPaused: 'PAUSED',
  onCancelling: 'CANCELLING',
  onCompletion: 'COMPLETED',
  onFailure: 'FAILED',
  onCrashed: 'CRASHED',
  onCancellation: 'CANCELLED',
}

/** Hooks by state type. */
export type Hooks = Readonly<Partial<Record<StateType, readonly Hook[]>>>
