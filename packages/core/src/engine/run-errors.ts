import type { StandardSchemaV1 } from '@standard-schema/spec'
import { RunError, UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { Run } from './run.ts'

/** A run in messages: what it is, its name and its id. */
function wordsFor(run: Run): string {
  return `${run.definition.kind} run ${run.runName} (${run.id})`
}

/** What a run that was cancelled rejects with. */
export function cancelledError(run: Run, reason: unknown): RunError {
  const why = reason === undefined ? '' : `: ${inWords(reason)}`
  return new RunError('RUN_CANCELLED', `${wordsFor(run)} was cancelled${why}`, {
    cause: reason,
    details: { runId: run.id, reason },
  })
}

/** Its body did not end in time. */
export function timedOutError(run: Run, timeoutMs: number): RunError {
  return new RunError('RUN_TIMED_OUT', `${wordsFor(run)} exceeded its time limit of ${timeoutMs} ms`, {
    details: { runId: run.id, timeoutMs },
  })
}

/** It did not come to begin in time. */
export function waitedTooLongError(run: Run, waitTimeoutMs: number, what: string): RunError {
  return new RunError('RUN_TIMED_OUT', `${wordsFor(run)} waited ${waitTimeoutMs} ms to begin; it ${what}`, {
    details: { runId: run.id, waitTimeoutMs },
  })
}

/** Its schema refuses its arguments. */
export function invalidParametersError(name: string, found: readonly StandardSchemaV1.Issue[]): RunError {
  const { issues, words } = plainly(found)
  const text = `invalid parameters of ${name}: ${words}`
  return new RunError('INVALID_PARAMETERS', text, { details: { issues } })
}

/** The schema that its body gave refuses an input; the run still waits for one. */
export function invalidInputError(run: Run, found: readonly StandardSchemaV1.Issue[]): RunError {
  const { issues, words } = plainly(found)
  const text = `invalid input for ${wordsFor(run)}, which still waits for one: ${words}`
  return new RunError('INVALID_INPUT', text, { details: { runId: run.id, issues } })
}

/** `resume()` of a run that waits for an input. */
export function inputNeededError(run: Run): RunError {
  const text = `${wordsFor(run)} waits for an input: give it, as in \`run.resume(input)\``
  return new RunError('INVALID_INPUT', text, { details: { runId: run.id, issues: [] } })
}

/** An input for a run that waits for none. */
export function noInputError(run: Run): RunError {
  const text = `${wordsFor(run)} waits for no input; it is ${run.stateName}`
  return new RunError('NO_INPUT_EXPECTED', text, { details: { runId: run.id, state: run.stateName } })
}

/** No input came within the time that its body gave. */
export function noInputInTimeError(run: Run): RunError {
  return new RunError('RUN_TIMED_OUT', `${wordsFor(run)} was given no input in time`, {
    details: { runId: run.id },
  })
}

/** A signal to a run that has ended. */
export function signalEndedError(run: Run, name: string): RunError {
  const text = `${wordsFor(run)} has ended (${run.stateName}) and takes no signal ${JSON.stringify(name)}`
  return new RunError('RUN_ENDED', text, { details: { runId: run.id, name } })
}

/** Its body was let go, as it only waits. */
export function suspendedError(run: Run): RunError {
  return new RunError(
    'RUN_SUSPENDED',
    `${wordsFor(run)} is suspended; its body will run again from its beginning`,
    {
      details: { runId: run.id },
    },
  )
}

function plainly(found: readonly StandardSchemaV1.Issue[]): {
  issues: readonly { message: string; path: readonly (string | number)[] }[]
  words: string
} {
  // As plain data: libraries give objects of classes of their own, which no journal takes.
  const issues = found.map(({ message, path = [] }) => ({ message, path: path.map(keyOf) }))
  const words = issues.map(({ message, path }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  )
  return { issues, words: words.join('; ') }
}

function keyOf(part: PropertyKey | StandardSchemaV1.PathSegment): string | number {
  const key = typeof part === 'object' ? part.key : part
  return typeof key === 'symbol' ? String(key) : key
}

/** The place where its body ran is gone. */
export function crashedError(run: Run, how: string, cause: unknown): RunError {
  return new RunError('RUN_CRASHED', `the body of ${wordsFor(run)} ${how}: ${inWords(cause)}`, {
    cause,
    details: { runId: run.id },
  })
}

/** What it was given was moved to a host that was lost. */
export function movedError(run: Run): RunError {
  const message = `${wordsFor(run)} can't run again: \`transfer\` moved a buffer of its arguments to the host that was lost`
  return new RunError('RUN_CRASHED', message, { details: { runId: run.id } })
}

/** It lost its host more often than its options allow. */
export function poisonedError(run: Run): RunError {
  const { recoveries } = run.context
  const { maxRecoveries } = run.definition.settings
  const message = `${wordsFor(run)} lost its host ${recoveries} times; \`maxRecoveries\` is ${maxRecoveries}`
  const cause = run.rare?.lastLoss
  const details = { runId: run.id, recoveries }
  return new RunError('RUN_CRASHED', message, cause === undefined ? { details } : { cause, details })
}

/** It needs what a run above it has, which waits for it. */
export function limitDeadlockError(run: Run, limit: string): RunError {
  const message =
    `${wordsFor(run)} needs a slot of ${limit}, and a run that waits for it holds one: neither could go on; ` +
    'raise the limit, or let only one of them be counted by it'
  return new RunError('LIMIT_DEADLOCK', message, { details: { runId: run.id, limit } })
}

/** A body calls although its run has ended. @param why - Where its run did not just end. */
export function endedError(run: Run, why: unknown): UsageError {
  const how =
    why === undefined
      ? "has ended or gone on elsewhere; its body can't go on"
      : `is past its end: ${inWords(why)}`
  return new UsageError('RUN_ENDED', `${wordsFor(run)} ${how}`, { details: { runId: run.id } })
}

/** A body calls although its run is being cancelled. */
export function cancellingError(run: Run): UsageError {
  const how = 'only calls `.with({ cleanup: true })` are taken, within the grace'
  return new UsageError('RUN_CANCELLING', `${wordsFor(run)} is being cancelled; ${how}`, {
    details: { runId: run.id },
  })
}
