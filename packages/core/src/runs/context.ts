import type { StandardSchemaV1 } from '@standard-schema/spec'
import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { BodyContext, CurrentBody } from './current-body.ts'
import { ownBody, runAs, runWithTags } from './run-context.ts'
import type { CurrentRun } from './types.ts'

/**
 * The task run whose body is executing.
 *
 * @throws {@link UsageError} `NO_RUN_CONTEXT` outside the body of a task
 * @public
 */
export function currentTaskRun(): CurrentRun {
  const { context } = current('currentTaskRun')
  if (context.kind === 'task') return context.describe()
  throw new UsageError(
    'NO_RUN_CONTEXT',
    'currentTaskRun() was called in the body of a flow; currentFlowRun() tells of that',
  )
}

/**
 * The flow run whose body is executing, or to which the executing task run belongs.
 *
 * @throws {@link UsageError} `NO_RUN_CONTEXT` outside any flow run
 * @public
 */
export function currentFlowRun(): CurrentRun {
  const flow = current('currentFlowRun').context.describeFlow()
  if (flow !== undefined) return flow
  throw new UsageError(
    'NO_RUN_CONTEXT',
    'currentFlowRun() was called in a task run that belongs to no flow run',
  )
}

/**
 * Waits. The journal remembers the deadline, so that the wait ends at the same moment after a crash. Rejects when the
 * run is cancelled.
 *
 * @throws {@link UsageError} `NO_RUN_CONTEXT`, `INVALID_DURATION`, `RUN_ENDED`, `RUN_CANCELLING`
 * @public
 */
export function sleep(duration: Duration): Promise<void> {
  return acting('sleep').sleep(toMilliseconds(duration, 'duration'))
}

/**
 * Waits until a moment, also after a crash; not at all where it has passed. Rejects when the run is cancelled.
 *
 * @param time - A date, or milliseconds since 1970.
 * @throws {@link UsageError} `NO_RUN_CONTEXT`, `INVALID_OPTION`, `RUN_ENDED`, `RUN_CANCELLING`
 * @public
 */
export function sleepUntil(time: Date | number): Promise<void> {
  const ms = typeof time === 'number' || time instanceof Date ? Number(time) : Number.NaN
  if (Number.isNaN(ms)) {
    const message = `expected a date or milliseconds since 1970, got ${inWords(time)}`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'time' } })
  }
  return acting('sleepUntil').sleepUntil(ms)
}

/** @public */
export interface ReceiveOptions {
  /** How long to wait; default for ever. */
  readonly timeout?: Duration
}

/**
 * Waits for a signal to the flow run, sent with `run.signal(name, payload)`: gives its payload. Each signal is given once, in
 * the order in which they came; what came before is kept. A flow run that is tried again gets the signals of its failed try
 * once more. Only in the body of a flow.
 *
 * A wait that nobody awaits any more, as the loser of a `Promise.race`, still takes the next signal: give it a `timeout`
 * instead.
 *
 * @typeParam T - What the sender is known to send; not checked.
 * @throws {@link UsageError} `NO_RUN_CONTEXT`, `INVALID_OPTION`, `INVALID_DURATION`, `RUN_ENDED`, `RUN_CANCELLING`;
 * {@link RunError} (rejects) `WAIT_TIMEOUT` where none came in time, `RUN_CANCELLED`
 * @public
 */
export function receive<T = unknown>(name: string, options: ReceiveOptions = {}): Promise<T> {
  if (typeof name !== 'string' || name === '') {
    const message = `expected the name of a signal: receive(name), got ${inWords(name)}`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'name' } })
  }
  const awaited = { for: 'signal', name } as const
  return acting('receive').message(awaited, timeoutOf(options)) as Promise<T>
}

/**
 * Pauses the flow run until somebody calls `run.resume(input)`, and gives what the schema makes of the input. While it is
 * paused, nothing new starts and nothing else is handed to the body. Only in the body of a flow.
 *
 * @param schema - Of any Standard Schema library; without it every input is taken.
 * @param options.timeout - How long the run may wait; then it is TimedOut, and not tried again. Default for ever.
 * @throws {@link UsageError} `NO_RUN_CONTEXT`, `INVALID_OPTION`, `INVALID_DURATION`, `RUN_ENDED`, `RUN_CANCELLING`;
 * {@link RunError} (rejects) `RUN_CANCELLED`
 * @public
 */
export function waitForInput(schema?: undefined, options?: ReceiveOptions): Promise<unknown>
export function waitForInput<S extends StandardSchemaV1>(
  schema: S,
  options?: ReceiveOptions,
): Promise<StandardSchemaV1.InferOutput<S>>
export function waitForInput(schema?: StandardSchemaV1, options: ReceiveOptions = {}): Promise<unknown> {
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function') {
    const message = `expected a schema of a Standard Schema library: waitForInput(schema), got ${inWords(schema)}`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'schema' } })
  }
  return acting('waitForInput').message({ for: 'input', name: undefined, schema }, timeoutOf(options))
}

function timeoutOf({ timeout }: ReceiveOptions): number | undefined {
  return timeout === undefined ? undefined : toMilliseconds(timeout, 'timeout')
}

/** Wall time in milliseconds since 1970, the same when the body is replayed. @throws UsageError `NO_RUN_CONTEXT` @public */
export function now(): number {
  return acting('now').now()
}

/** A number x with 0 ≤ x < 1, the same when the body is replayed. @throws UsageError `NO_RUN_CONTEXT` @public */
export function random(): number {
  return acting('random').random()
}

/** A random UUID, the same when the body is replayed. @throws UsageError `NO_RUN_CONTEXT` @public */
export function uuid(): string {
  return acting('uuid').uuid()
}

/**
 * Keeps the run context for a callback that something outside the body calls, such as a listener.
 *
 * @throws {@link UsageError} `NO_RUN_CONTEXT` outside a run
 * @public
 */
export function bindRun<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  const body = current('bindRun')
  return (...args) => runAs(body, () => fn(...args))
}

/**
 * Calls `fn`, and gives back what it returns. Runs that are called in it, and in all that it awaits, get `tags` besides
 * their own, and so do the runs below them. Scopes nest.
 *
 * @throws {@link UsageError} `INVALID_OPTION` where `tags` is no list of texts; what `fn` throws
 * @public
 */
export function withTags<T>(tags: readonly string[], fn: () => T): T {
  if (typeof fn !== 'function')
    throw new UsageError('INVALID_OPTION', `expected a function: withTags(tags, () => …)`)
  if (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && tag !== ''))
    return runWithTags(tags, fn)
  throw new UsageError('INVALID_OPTION', `expected \`tags\` to be a list of texts, got ${inWords(tags)}`, {
    details: { option: 'tags' },
  })
}

function current(what: string): CurrentBody {
  const body = ownBody()
  if (body !== undefined) return body
  throw new UsageError(
    'NO_RUN_CONTEXT',
    `${what}() was called outside the body of a run; in a callback that lost the run context, wrap it in \`bindRun\``,
  )
}

/** For what changes the run's journal. */
function acting(what: string): BodyContext {
  const { context } = current(what)
  context.checkActing()
  return context
}
