import type { StandardSchemaV1 } from '@standard-schema/spec'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { startRun } from '../runs/start.ts'
import type { Args, FlowRun, Settled } from '../runs/types.ts'
import { callable, define, redefine, type DefineArguments } from './define.ts'
import type { Definition } from './definition.ts'
import type { AnyFunction, BodyFunction } from './functions.ts'
import type { FlowCallOptions, FlowOptions } from './options.ts'

/**
 * A flow: calling it starts a flow run, and returns it at once; inside another flow or a task it is a subflow.
 *
 * @public
 */
export interface Flow<A extends readonly unknown[], R> {
  /**
   * Starts a flow run. Every argument takes a value or a future; the body starts when the futures' runs have completed.
   *
   * @throws UsageError for misuse; no run is created then. Everything later is a state of the run.
   */
  (...args: Args<A>): FlowRun<R>
  readonly name: string
  /** The same flow with other options, for one call or many. */
  with(options: FlowCallOptions): Flow<A, R>
}

/** Defines a flow with a schema of its arguments. @public */
export function flow<S extends StandardSchemaV1<unknown[], unknown[]>, R>(
  options: FlowOptions & { readonly parameters: S },
  fn: (...args: StandardSchemaV1.InferOutput<S>) => R,
): Flow<StandardSchemaV1.InferInput<S>, Settled<Awaited<R>>>
/**
 * Defines a flow: a function that calls tasks and other flows, whose runs are recorded and can be replayed.
 *
 * The body may run many times; effects belong in tasks, time and chance come from `now`, `random`, `uuid` and `sleep`.
 *
 * @param options - Options, or the name alone.
 * @param fn - The body, sync or async.
 * @throws {@link UsageError} `MISSING_NAME`, `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function flow<F extends AnyFunction>(
  options: (FlowOptions & { readonly parameters?: never }) | string,
  fn: F,
): Flow<Parameters<F>, Settled<Awaited<ReturnType<F>>>>
/** Defines a flow of a function that has a name. @public */
export function flow<F extends AnyFunction>(fn: F): Flow<Parameters<F>, Settled<Awaited<ReturnType<F>>>>
export function flow(...args: unknown[]): unknown {
  return flowOf(define('flow', args as unknown as DefineArguments, flow as BodyFunction))
}

/** Any flow. @public */
export interface AnyFlow {
  readonly name: string
  with(options: FlowCallOptions): unknown
}

const inside = Symbol('definition')

/** The definition of a flow. @throws UsageError `INVALID_OPTION` for anything that `flow` did not make */
export function flowDefinitionOf(flow: AnyFlow): Definition {
  if (typeof flow === 'function' && inside in flow) return flow[inside] as Definition
  throw new UsageError('INVALID_OPTION', `expected a flow, got ${inWords(flow)}`)
}

function flowOf(definition: Definition): unknown {
  const withOptions = (options: FlowCallOptions): unknown =>
    flowOf(redefine(definition, options, withOptions))
  return callable(definition.name, (...args: unknown[]) => startRun(definition, args), {
    with: withOptions,
    [inside]: definition,
  })
}
