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
