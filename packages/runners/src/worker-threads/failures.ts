import { RunError, UsageError, type Assignment, type TroupeError } from '@troupe/core'
import type { ExitHere, PlacedHere } from './pool-thread.ts'
import type { Refusal } from './wires.ts'

/** Whether it is the task's own module that wanted to start a flow, as far as that can be told of the bodies that were there. */
export function isOf(refusal: string, placed: PlacedHere, all: readonly PlacedHere[]): boolean {
  const isNamed = ({ assignment }: PlacedHere): boolean =>
    assignment.task.origin.modules.some((url) => refusal.includes(url))
  return isNamed(placed) || !all.some(isNamed)
}

/** The error of a body that can't begin, by what its thread says. */
export function errorOf(
  { code, message, cause, own }: Refusal,
  origin?: Assignment['task']['origin'],
): UsageError {
  // A clone of an error keeps no fields of its own.
  if (cause instanceof Error) Object.assign(cause, own)
  const { name, version, modules } = origin ?? {}
  const details = origin === undefined ? {} : { name, version, modules }
  return new UsageError(code, message, cause === undefined ? { details } : { cause, details })
}

/** The error of what waited for a thread that could not start. */
export function notStarted({ refusal, error }: ExitHere): TroupeError {
  return refusal === undefined ? noThread(error) : new UsageError('FLOW_STARTED_IN_WORKER', refusal)
}

export function noThread(cause: unknown): RunError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new RunError('NO_THREAD', `no thread can be started: ${why}`, { cause })
}

/** The error of a body whose module ended the thread that loaded it. */
export function endedWhileLoading({ task }: Assignment, { error, refusal }: ExitHere): UsageError {
  if (refusal !== undefined) return new UsageError('FLOW_STARTED_IN_WORKER', refusal)
  const { name, version, modules } = task.origin
  const why = error instanceof Error ? error.message : String(error)
  const message = `the thread ended while it loaded ${modules.join(', ')} for task ${name}: ${why}`
  return new UsageError('TASK_NOT_FOUND', message, { cause: error, details: { name, version, modules } })
}

export function endedWhileWarmed({ error, refusal }: ExitHere, modules: readonly string[]): UsageError {
  if (refusal !== undefined) return new UsageError('FLOW_STARTED_IN_WORKER', refusal)
  const why = error instanceof Error ? error.message : String(error)
  return new UsageError('TASK_NOT_FOUND', `the thread ended while it loaded ${modules.join(', ')}: ${why}`, {
    cause: error,
  })
}

export function closed(): UsageError {
  return new UsageError('ENGINE_CLOSED', 'the engine was closed before its threads were ready')
}
