import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { CachePolicy } from './cache-policies.ts'
import type { BodyFunction } from './functions.ts'
import type { Hooks } from './hooks.ts'
import type { DelayOf, RetryOn } from './retrying.ts'
import type { RunName } from './run-names.ts'
import type { TaskRunner } from '../ports/task-runner.ts'

/** What happens to the other runs that a body submitted when it throws. @public */
export type OnBodyError = 'wait' | 'cancel'

/** What makes two calls of a task the same for the cache. */
export type CacheKey =
  | { readonly policies: readonly CachePolicy[] }
  | { readonly make: (...parameters: readonly unknown[]) => unknown }

/** How results of a task are kept and used again. */
export interface Caching {
  readonly key: CacheKey
  readonly expiryMs: number | undefined
  readonly refresh: boolean
}

/** Options of a definition with defaults filled in and units parsed. */
export interface Settings {
  readonly retries: number
  readonly retryDelay: DelayOf | undefined
  readonly retryJitter: number
  readonly retryOn: RetryOn | undefined
  readonly retryOnCrash: boolean
  readonly timeoutMs: number | undefined
  readonly waitTimeoutMs: number | undefined
  readonly priority: number
  readonly caching: Caching | undefined
  readonly hooks: Hooks | undefined
  readonly graceMs: number
  readonly onBodyError: OnBodyError
  readonly onHostLost: 'recover' | 'crash'
  readonly maxRecoveries: number
  readonly onDivergence: 'park' | 'run'
  readonly onVersionChange: 'run' | 'park' | 'pin'
  readonly parameters: StandardSchemaV1 | undefined
  readonly taskRunner: TaskRunner | undefined
  readonly tags: readonly string[] | undefined
  readonly runName: RunName | undefined
  // of one call
  readonly waitFor: unknown
  readonly key: string | undefined
  readonly cleanup: boolean
  readonly id: string | undefined
  readonly idempotencyKey: string | undefined
  readonly on: 'here' | 'any'
  /** An engine; opaque here, for definitions come before engines. */
  readonly engine: unknown
}

/** How a definition is found again in another thread: as it was defined, before any `with`. */
export interface Origin {
  readonly name: string
  readonly version: string
  /** The line that defined it. */
  readonly place: string
  /** URLs of modules that define it when they are loaded, the likeliest first. */
  readonly modules: readonly string[]
  /** Whether it was defined inside a run: then no module defines it when it is loaded. */
  readonly insideRun: boolean
}

/** A flow or a task as the engine sees it. */
export interface Definition {
  readonly kind: 'flow' | 'task'
  readonly name: string
  /** Given by the author; another version of a body may take another path through its recorded calls. */
  readonly version: string
  readonly fn: BodyFunction
  readonly settings: Settings
  readonly origin: Origin
  /** Options that `with` gave it since. */
  readonly given: object | undefined
}
