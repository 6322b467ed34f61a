import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { TaskRunner } from '../ports/task-runner.ts'

/**
 * Any function. Bodies are inferred as functions, not as a list of parameters and a result: only so does a parameter
 * with a default and no type of its own get the type of its default.
 *
 * @public
 */
export type AnyFunction = (...args: never) => unknown

/** What a body is to the engine: a function whose parameters it need not know. */
export type BodyFunction = (...args: unknown[]) => unknown

/** What happens to the other runs that a body submitted when it throws. @public */
export type OnBodyError = 'wait' | 'cancel'

/** Options of a definition with defaults filled in and units parsed. */
export interface Settings {
  readonly retries: number
  readonly graceMs: number
  readonly onBodyError: OnBodyError
  readonly onHostLost: 'recover' | 'crash'
  readonly maxRecoveries: number
  readonly onDivergence: 'park' | 'run'
  readonly parameters: StandardSchemaV1 | undefined
  readonly taskRunner: TaskRunner | undefined
  readonly tags: readonly string[] | undefined
  readonly runName: string | undefined
  // of one call
  readonly waitFor: unknown
  readonly key: string | undefined
  readonly cleanup: boolean
  readonly id: string | undefined
  readonly idempotencyKey: string | undefined
  /** An engine; opaque here, for definitions come before engines. */
  readonly engine: unknown
}

/** A flow or a task as the engine sees it. */
export interface Definition {
  readonly kind: 'flow' | 'task'
  readonly name: string
  /** Given by the author; another version of a body may take another path through its recorded calls. */
  readonly version: string
  readonly fn: BodyFunction
  readonly settings: Settings
}
