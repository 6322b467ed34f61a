import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { uuidV4 } from '../base/ids.ts'
import { withFields, type RunLogger } from '../base/logger.ts'
import type { Attempt } from '../engine/attempt.ts'
import { inWords } from '../base/words.ts'
import { currentAttempt } from '../engine/start.ts'
import { runAs, runWithTags } from './run-context.ts'

/** What a body can know of its run. @public */
export interface CurrentRun {
  readonly id: string
  /** Name of the flow or the task. */
  readonly name: string
  readonly runName: string
  readonly flowRunId: string
  /** Attempt that is executing, from 1. */
  readonly attempt: number
  /** The arguments. */
  readonly parameters: readonly unknown[]
  readonly tags: readonly string[]
  /** Fires when the body should stop: the run is being cancelled, or goes on without it. */
  readonly signal: AbortSignal
  /** Log lines with the run's ids. */
  readonly logger: RunLogger
}

/**
 * The task run whose body is executing.
 *
 * @throws {@link UsageError} `NO_RUN_CONTEXT` outside the body of a task
 * @public
 */
export function currentTaskRun(): CurrentRun {
  const attempt = current('currentTaskRun')
  if (attempt.run.definition.kind === 'task') return describe(attempt)
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
  let attempt: Attempt | undefined = current('currentFlowRun')
  while (attempt !== undefined && attempt.run.definition.kind === 'task')
    attempt = attempt.run.caller as Attempt | undefined
  if (attempt !== undefined) return describe(attempt)
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
  const attempt = acting('sleep')
  return attempt.timers.wait(attempt.host.clock.now() + toMilliseconds(duration, 'duration')).done
}

/** Wall time in milliseconds since 1970, the same when the body is replayed. @throws UsageError `NO_RUN_CONTEXT` @public */
export function now(): number {
  const attempt = acting('now')
  return attempt.draws.draw('now', () => attempt.host.clock.now())
}

/** A number x with 0 ≤ x < 1, the same when the body is replayed. @throws UsageError `NO_RUN_CONTEXT` @public */
export function random(): number {
  const attempt = acting('random')
  return attempt.draws.draw('random', () => attempt.host.random.number())
}

/** A random UUID, the same when the body is replayed. @throws UsageError `NO_RUN_CONTEXT` @public */
export function uuid(): string {
  const attempt = acting('uuid')
  return attempt.draws.draw('uuid', () => uuidV4(attempt.host.random))
}

/**
 * Keeps the run context for a callback that something outside the body calls, such as a listener.
 *
 * @throws {@link UsageError} `NO_RUN_CONTEXT` outside a run
 * @public
 */
export function bindRun<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  const attempt = current('bindRun')
  return (...args) => runAs(attempt, () => fn(...args))
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

function current(what: string): Attempt {
  const attempt = currentAttempt()
  if (attempt !== undefined) return attempt
  throw new UsageError(
    'NO_RUN_CONTEXT',
    `${what}() was called outside the body of a run; in a callback that lost the run context, wrap it in \`bindRun\``,
  )
}

/** For what changes the run's journal. */
function acting(what: string): Attempt {
  const attempt = current(what)
  attempt.checkOpen(attempt.run.definition.settings.cleanup)
  return attempt
}

function describe(attempt: Attempt): CurrentRun {
  const { run, host, number } = attempt
  const { definition } = run
  return {
    id: run.id,
    name: definition.name,
    runName: run.runName,
    flowRunId: run.ledger.flowRunId,
    attempt: number,
    parameters: attempt.arguments,
    tags: run.tags,
    get signal() {
      return attempt.signal
    },
    get logger() {
      const fields = { flowRunId: run.ledger.flowRunId, runId: run.id, run: run.runName, attempt: number }
      return withFields(host.logger, fields, (error) => host.report(error, run))
    },
  }
}
