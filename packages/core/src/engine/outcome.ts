import { inspect } from 'node:util'
import { RunError, UsageError } from '../base/errors.ts'
import type { BodyResult } from '../ports/task-runner.ts'
import { Ending } from '../runs/endings.ts'
import { findReturned, replaceFutures } from './dependencies.ts'
import { runOfHandle } from './handles.ts'
import { isError } from '../values/kinds.ts'
import { runOfError } from '../runs/failed-runs.ts'
import { Run } from './run.ts'
import type { StoredValue } from '../journal/entries.ts'
import type { ValueStore } from './value-store.ts'

/** What follows for a run from how its body ended and what became of the runs that it submitted. */
export type Verdict =
  | { readonly kind: 'complete'; readonly value: unknown; readonly message?: string | undefined }
  | { readonly kind: 'fail' | 'unobserved'; readonly error: unknown; readonly message: string }
  | { readonly kind: 'cancel'; readonly reason: unknown }
  /** Not yet: the value holds futures of runs that have not ended. */
  | { readonly kind: 'wait'; readonly runs: readonly Run[] }

/** What a verdict looks at. */
export interface Evidence {
  readonly run: Run
  readonly result: BodyResult
  /** Runs that the body submitted. */
  readonly submitted: number
  /** Those of them that failed, in order of their ends. */
  readonly failures: readonly Run[]
}

/**
 * The final state of a run: the rules of `docs/semantics.md`, in their order. Invalid parameters, cancellation and time
 * limits come before them, for they do not depend on how the body ended.
 */
export function judge(evidence: Evidence): Verdict {
  const { result, run } = evidence
  if ('error' in result) return judgeThrown(run, result.error)
  if (!(result.value instanceof Ending)) return judgeValue(evidence, result.value)
  const { type, value, error, message } = result.value
  if (type === 'CANCELLED') return { kind: 'cancel', reason: error }
  if (type === 'FAILED') return { kind: 'fail', error, message: message ?? messageOf(error) }
  // COMPLETED because the body says so: what nobody looked at does not count.
  const verdict = judgeValue({ ...evidence, failures: [] }, value)
  return verdict.kind === 'complete' ? { ...verdict, message } : verdict
}

/** The body returned a value, in which futures stand for their values. */
function judgeValue({ run, failures, submitted }: Evidence, value: unknown): Verdict {
  const { runs: returned, marked } = findReturned(value)
  const above = returned.find((found) => run.descendsFrom(found))
  if (above !== undefined) {
    const whose = above === run ? 'its own run' : above.runName
    const message = `the body of ${run.runName} returned a future of ${whose}, which can't end before it`
    const error = new UsageError('DEADLOCK', message, { details: { runId: run.id } })
    return { kind: 'fail', error, message }
  }
  const pending = returned.filter((found) => !found.ended)
  if (pending.length > 0) return { kind: 'wait', runs: pending }
  const failure = returned.find((found) => !found.completed)
  if (failure !== undefined) {
    if (runOfHandle(value) !== undefined) return judgeRun(failure)
    return isOnlyFutures(value) ? judgeRuns(returned) : failWith(failure)
  }
  const unseen = failures.filter((failed) => !failed.looked)
  if (unseen[0] !== undefined) return unobserved(unseen, unseen[0], submitted)
  return {
    kind: 'complete',
    value: marked ? replaceFutures(value, (found) => found.value, true) : value,
  }
}

/** A value for the journal: as it was encoded where the body ran, where it is the one that the body found there. */
export function savedResult(values: ValueStore, found: BodyResult, value: unknown): StoredValue {
  const isFound = 'value' in found && found.value === value
  return (isFound ? found.encoded : undefined) ?? values.save(value, 'result')
}

/** The very error of one of the body's own runs counts as that run returned; anything else fails the run with it. */
function judgeThrown(run: Run, error: unknown): Verdict {
  const source = runOfError(error)
  if (source instanceof Run && source.caller?.run === run) return judgeRun(source)
  return { kind: 'fail', error, message: messageOf(error) }
}

/** One run that did not complete, and stands for the whole. */
function judgeRun(run: Run): Verdict {
  return run.stateName === 'Cancelled' ? { kind: 'cancel', reason: run.error } : failWith(run)
}

/** One run that did not complete, in a value with other things in it. */
function failWith(run: Run): Verdict {
  return { kind: 'fail', error: run.error, message: messageOf(run.error) }
}

/** A list of runs, at least one of which did not complete. */
function judgeRuns(runs: readonly Run[]): Verdict {
  const cancelled = runs.find((run) => run.stateName === 'Cancelled')
  if (cancelled !== undefined) return { kind: 'cancel', reason: cancelled.error }
  const failed = runs.filter((run) => !run.completed)
  const message = `${failed.length}/${runs.length} runs failed`
  const first = failed.reduce((a, b) => (b.endOrder < a.endOrder ? b : a))
  const details = { runIds: failed.map(({ id }) => id) }
  return {
    kind: 'fail',
    error: new RunError('RUNS_FAILED', message, { cause: first.error, details }),
    message,
  }
}

function unobserved(unseen: readonly Run[], first: Run, submitted: number): Verdict {
  const message = `${unseen.length}/${submitted} runs failed and nobody looked`
  const error = new RunError(
    'UNOBSERVED_FAILURE',
    `${message}; the first was ${first.runName}: ${messageOf(first.error)}`,
    {
      cause: first.error,
      details: { runIds: unseen.map(({ id }) => id) },
    },
  )
  return { kind: 'unobserved', error, message }
}

function isOnlyFutures(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((item) => runOfHandle(item) !== undefined)
}

/** What a body threw as an error: what is none is wrapped, so that every failure has a message and a stack. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown
  return new RunError(
    'NON_ERROR_THROWN',
    `the body threw ${show(thrown)}, which is no Error; throw an Error`,
    {
      cause: thrown,
      details: { thrown },
    },
  )
}

export function messageOf(error: unknown): string {
  return isError(error) ? error.message : show(error)
}

/** As text, whatever it is: a cycle, a symbol, an object whose methods throw. */
function show(value: unknown): string {
  return inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, customInspect: false })
}
