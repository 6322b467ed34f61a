import { checkFraction } from '../runs/fraction.ts'
import type { Run } from './run.ts'

/** How far a body is, as it says itself. @public */
export interface Progress {
  readonly flowRunId: string
  readonly runId: string
  readonly runName: string
  readonly attempt: number
  /** From 0 to 1. */
  readonly fraction: number
  readonly message?: string
  /** Wall time in milliseconds since 1970. */
  readonly at: number
}

/** @throws UsageError `INVALID_OPTION` */
export function progressOf(run: Run, fraction: number, message: string | undefined, at: number): Progress {
  checkFraction(fraction)
  const { id: runId, runName } = run
  const { flowRunId } = run.ledger
  const { attempt } = run.context
  return { flowRunId, runId, runName, attempt, fraction, at, ...(message === undefined ? {} : { message }) }
}
