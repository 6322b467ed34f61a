import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Duration } from '../base/duration.ts'
import type { TaskRunner } from '../ports/task-runner.ts'
import type { CachePolicy } from './cache-policies.ts'
import type { OnBodyError } from './definition.ts'
import type { HookOptions } from './hooks.ts'
import type { RetryDelay, RetryOn } from './retrying.ts'
import type { RunName } from './run-names.ts'

/** What `createEngine` gives, as far as a definition needs to know. @public */
export interface EngineReference {
  readonly node: string
  health(): object
}

/** Options of flows and tasks alike. @public */
export interface RunOptions extends HookOptions {
  /** Name in journals, transitions and logs; default the function's. */
  readonly name?: string
  /** Version of the body, as part of the identity of its calls; default `'1'`. */
  readonly version?: string
  /**
   * The module that defines it when it is loaded: `import.meta.url`, or `__filename` in CommonJS. Needed only where threads can't find it; by
   * default it is read from the stack of the call.
   */
  readonly module?: string
  /**
   * Name of each run for people: a text, in which `{0}` stands for the first argument and `{1.file}` for a property of the
   * second, or a function of the arguments. Default the name, with a number for task runs. Made once, when the arguments
   * are known.
   */
  readonly runName?: RunName
  /** How often a run that FAILED is tried again; default 0. */
  readonly retries?: number
  /** How long to wait before a retry; default not at all. */
  readonly retryDelay?: RetryDelay
  /**
   * Spreads the waits of `retryDelay`: each lies evenly between delay × (1 − jitter) and delay × (1 + jitter), so that its
   * mean is the delay. From 0, the default, to 1.
   */
  readonly retryJitter?: number
  /** Whether an attempt that failed is followed by another one; default always, while `retries` remain. */
  readonly retryOn?: RetryOn
  /** Whether a body that brought its host down is tried again, within `retries`; default false. */
  readonly retryOnCrash?: boolean
  /**
   * How long an attempt may take, from the start of its body to the end of the last run that it submitted; then it is
   * TimedOut, which is retried like every failure. That of a flow run stands still while it is paused. Default no limit.
   */
  readonly timeout?: Duration | false
  /** How long the run may wait for slots of limits and of its task runner, each time; then it is TimedOut, for good. */
  readonly waitTimeout?: Duration | false
  /** Among runs that wait for the same slots the greatest goes first; default 0. Equal ones go in order of submission. */
  readonly priority?: number
  /** How long a body may go on after its run was cancelled; default `'10s'`. */
  readonly grace?: Duration
  /** What happens to the other runs that the body submitted when it throws: they finish (`'wait'`, the default), or are cancelled. */
  readonly onBodyError?: OnBodyError
  /** What happens when the host of a running body was lost: it runs again (`'recover'`, the default), or the run is CRASHED. */
  readonly onHostLost?: 'recover' | 'crash'
  /** How often a lost body runs again; default 3. */
  readonly maxRecoveries?: number
  /** A schema of the list of arguments, of any Standard Schema library; what it gives is what the body gets. */
  readonly parameters?: StandardSchemaV1
  readonly tags?: readonly string[]
}

/** Options of a task. @public */
export interface TaskOptions extends RunOptions {
  /**
   * Takes a result of an earlier call in place of running the body; the policies say which calls are the same. `false`
   * takes a policy of the definition away.
   */
  readonly cache?: CachePolicy | readonly [CachePolicy, ...CachePolicy[]] | false
  /** The same, by a key made of the arguments; a call without one (`undefined`) is not cached. In place of `cache`. */
  readonly cacheKey?: (...parameters: never) => string | undefined
  /** How long a result may be used; default for ever. */
  readonly cacheExpiry?: Duration
  /** Runs the body although there is a result, and keeps the new one; default false. */
  readonly refreshCache?: boolean
}

/** Options of a flow. @public */
export interface FlowOptions extends RunOptions {
  /** Where the task runs of the flow execute; default that of the calling flow, else a concurrent one. */
  readonly taskRunner?: TaskRunner
  /**
   * What happens when a body that is replayed takes another path than its journal: the run is parked (`'park'`, the
   * default), or goes on with new runs (`'run'`). A body of another version always goes on.
   */
  readonly onDivergence?: 'park' | 'run'
  /**
   * What happens when a run is recovered whose body began with another `version`: it goes on with this one, and what that does
   * differently is done anew (`'run'`, the default); it is Paused until `resume()`, which does that (`'park'`); or it is left
   * alone, for an engine that has its version (`'pin'`).
   */
  readonly onVersionChange?: 'run' | 'park' | 'pin'
}

/** Options of one call of a task. @public */
export interface TaskCallOptions extends TaskOptions {
  /** Futures or handles to wait for besides the futures in the arguments; lists of them, too. */
  readonly waitFor?: unknown
  /** Identity of the call in place of its arguments, where identical calls are not interchangeable. */
  readonly key?: string
  /** Taken also while the run that calls is being cancelled, within its grace. */
  readonly cleanup?: boolean
}

/** Options of one call of a flow. @public */
export interface FlowCallOptions extends FlowOptions {
  /** Id of the flow run; a second start with it gives the same run. Letters, digits, `-` and `_`, up to 64. */
  readonly id?: string
  /** Makes the id, together with the flow's name: starters with the same key get the same run. */
  readonly idempotencyKey?: string
  /**
   * `'any'`: on whichever node of the engine's transport serves the flow. Default `'here'`, on the engine itself. Not for
   * subflows, which run where their caller does.
   */
  readonly on?: 'here' | 'any'
  /** The engine to run on; default that of the current run, else the one that is open. */
  readonly engine?: EngineReference
  /** Futures or handles to wait for besides the futures in the arguments; lists of them, too. */
  readonly waitFor?: unknown
  /** Identity of the call in place of its arguments. */
  readonly key?: string
  /** Taken also while the run that calls is being cancelled, within its grace. */
  readonly cleanup?: boolean
}

/** All options, of definitions and of calls. */
export type AllOptions = TaskCallOptions & FlowCallOptions
