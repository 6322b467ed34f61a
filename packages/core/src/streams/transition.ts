import type { StateName, StateType } from '../machines/states.ts'

/**
 * A recorded change of a run's state. It never carries a value.
 *
 * @public
 */
export interface Transition {
  /** The flow run whose journal has it; for a task run outside any flow, the task run itself. */
  readonly flowRunId: string
  readonly runId: string
  readonly kind: 'flow' | 'task'
  /** Name of the flow; of the task, where a task run outside any flow is the root. */
  readonly flow: string
  /** Name of the task, of task runs. */
  readonly task?: string
  readonly runName: string
  /** Null for the first. */
  readonly from: { readonly type: StateType; readonly name: StateName } | null
  readonly to: { readonly type: StateType; readonly name: StateName; readonly message?: string }
  /** Number of this transition in its run: 1, 2, 3 … */
  readonly seq: number
  /** Position of its entry in the journal of the flow run. */
  readonly position: number
  readonly attempt: number
  /** Wall time in milliseconds since 1970. */
  readonly at: number
  /** When the flow run was started: tells it from an earlier one of the same id that is forgotten by now. */
  readonly startedAt: number
  /** The node that recorded it. */
  readonly node: string
  /** Where the body runs or ran, if not on the event loop of that node: `thread-2`, say. From its start on. */
  readonly host?: string
  /** The run whose body submitted it. */
  readonly parentRunId?: string
}
