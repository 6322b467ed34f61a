import type { StandardSchemaV1 } from '@standard-schema/spec'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { startRun } from '../runs/start.ts'
import { Future } from '../runs/future.ts'
import { Unmapped } from '../runs/markers.ts'
import type { Args, MapArgs, Settled, TaskFuture } from '../runs/types.ts'
import { callable, define, redefine, type DefineArguments } from './define.ts'
import type { Definition } from './definition.ts'
import type { AnyFunction, BodyFunction } from './functions.ts'
import type { TaskCallOptions, TaskOptions } from './options.ts'

/**
 * A task: calling it submits a task run to the current flow's task runner and returns its future at once.
 *
 * @public
 */
export interface Task<A extends readonly unknown[], R> {
  /**
   * Submits a task run. Every argument takes a value or a future; the run starts when the futures' runs have completed.
   *
   * @throws UsageError for misuse; no run is created then. Everything later is a state of the run.
   */
  (...args: Args<A>): TaskFuture<R>
  readonly name: string
  /** The same task with other options, for one call or many. */
  with(options: TaskCallOptions): Task<A, R>
  /**
   * One task run for each item, in order; items may be futures. Arguments that are not iterable, strings and
   * `unmapped(…)` are the same for all.
   *
   * @throws UsageError `MAP_LENGTHS` where iterables differ in length or there is none
   */
  map(...args: MapArgs<A>): TaskFuture<R>[]
}

/** Defines a task with a schema of its arguments. @public */
export function task<S extends StandardSchemaV1<unknown[], unknown[]>, R>(
  options: TaskOptions & { readonly parameters: S },
  fn: (...args: StandardSchemaV1.InferOutput<S>) => R,
): Task<StandardSchemaV1.InferInput<S>, Settled<Awaited<R>>>
/**
 * Defines a task: a unit of work with a name, whose runs are recorded, retried and cached by the engine.
 *
 * @param options - Options, or the name alone.
 * @param fn - The body, sync or async.
 * @throws {@link UsageError} `MISSING_NAME`, `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function task<F extends AnyFunction>(
  options: (TaskOptions & { readonly parameters?: never }) | string,
  fn: F,
): Task<Parameters<F>, Settled<Awaited<ReturnType<F>>>>
/** Defines a task of a function that has a name. @public */
export function task<F extends AnyFunction>(fn: F): Task<Parameters<F>, Settled<Awaited<ReturnType<F>>>>
export function task(...args: unknown[]): unknown {
  return taskOf(define('task', args as unknown as DefineArguments, task as BodyFunction))
}

/** Any task. @public */
export interface AnyTask {
  readonly name: string
  with(options: TaskCallOptions): unknown
  map(...args: never): unknown
}

const inside = Symbol('definition')

/** The definition of a task. @throws UsageError `INVALID_OPTION` for anything that `task` did not make */
export function definitionOf(task: AnyTask): Definition {
  if (typeof task === 'function' && inside in task) return task[inside] as Definition
  throw new UsageError('INVALID_OPTION', `expected a task, got ${inWords(task)}`)
}

/** The callable of a definition. */
function taskOf(definition: Definition): unknown {
  const withOptions = (options: TaskCallOptions): unknown =>
    taskOf(redefine(definition, options, withOptions))
  return callable(definition.name, (...args: unknown[]) => startRun(definition, args), {
    with: withOptions,
    map: (...args: unknown[]) => mapTask(definition, args),
    [inside]: definition,
  })
}

function mapTask(definition: Definition, args: readonly unknown[]): unknown[] {
  const lists = args.map(listOf)
  const lengths = lists.flatMap((list) => (list === undefined ? [] : [list.length]))
  const [length] = lengths
  if (length === undefined) {
    throw new UsageError(
      'MAP_LENGTHS',
      `expected a list among the arguments of ${definition.name}.map, got none`,
    )
  }
  if (lengths.some((other) => other !== length)) {
    const got = lengths.join(', ')
    throw new UsageError(
      'MAP_LENGTHS',
      `expected lists of equal length in ${definition.name}.map, got ${got}`,
      {
        details: { lengths },
      },
    )
  }
  const constants = args.map((arg) => (arg instanceof Unmapped ? (arg.value as unknown) : arg))
  const futures: unknown[] = []
  for (let i = 0; i < length; i++) {
    futures.push(
      startRun(
        definition,
        lists.map((list, at) => (list === undefined ? constants[at] : list[i])),
      ),
    )
  }
  return futures
}

/** The items to map over; undefined where the argument is the same for all. */
function listOf(arg: unknown): readonly unknown[] | undefined {
  if (Array.isArray(arg)) return arg
  if (typeof arg !== 'object' || arg === null || arg instanceof Future || arg instanceof Unmapped)
    return undefined
  return Symbol.iterator in arg ? [...(arg as Iterable<unknown>)] : undefined
}
