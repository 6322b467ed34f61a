import { TroupeError } from '../base/errors.ts'
import { steerOf, type Steer } from '../definitions/retrying.ts'
import type { BodyResult } from '../ports/task-runner.ts'
import { Ending } from '../runs/endings.ts'
import { runOutside } from '../runs/run-context.ts'
import type { Run } from './run.ts'

/** What follows on a failed attempt. */
export interface RetryDecision {
  /** How often the run may be tried again in all; 0 where this failure is not to be followed by another attempt. */
  readonly retries: number
  readonly delayMs: number
}

const none: RetryDecision = { retries: 0, delayMs: 0 }

/** What a body said of its retry, by what it threw or returned. */
export function steerIn(result: BodyResult): Steer | undefined {
  if ('error' in result) return steerOf(result.error)
  return result.value instanceof Ending ? steerOf(result.value.error) : undefined
}

/** Whether and when a run is tried again, by its options and by what its body said. */
export function decideRetry(
  run: Run,
  attempt: number,
  error: unknown,
  steer: Steer | undefined,
): RetryDecision | Promise<RetryDecision> {
  const { retries, retryOn } = run.definition.settings
  if (run.context.tries >= retries) return none
  if (steer !== undefined) return steer.delayMs === undefined ? none : { retries, delayMs: steer.delayMs }
  if (retryOn === undefined) return delayed(run, error)
  try {
    const wanted = runOutside(run.host, () => retryOn(error, attempt))
    if (typeof wanted === 'boolean') return wanted ? delayed(run, error) : none
    return Promise.resolve(wanted).then(
      (later) => (later ? delayed(run, error) : none),
      (thrown: unknown) => refused(run, thrown),
    )
  } catch (thrown) {
    return refused(run, thrown)
  }
}

function delayed(run: Run, error: unknown): RetryDecision | Promise<RetryDecision> {
  const { retries, retryDelay, retryJitter } = run.definition.settings
  if (retryDelay === undefined) return { retries, delayMs: 0 }
  try {
    const delayMs = runOutside(run.host, () => retryDelay(run.context.tries + 1, error))
    if (retryJitter === 0 || delayMs === 0) return { retries, delayMs }
    // Evenly from delay × (1 − jitter) to delay × (1 + jitter): the mean is the delay.
    return { retries, delayMs: delayMs * (1 + retryJitter * (2 * run.host.random.number() - 1)) }
  } catch (thrown) {
    return refused(run, thrown)
  }
}

/** A function of the user's that decides on the retry threw: the run is not tried again, and its author is told why. */
function refused(run: Run, thrown: unknown): RetryDecision | Promise<RetryDecision> {
  // It called a task of an engine that closes: that decides nothing. The run is let go, and goes on where it is recovered.
  if (run.host.closing && TroupeError.is(thrown, 'ENGINE_CLOSED')) return new Promise(() => undefined)
  run.host.report(thrown, run)
  return none
}
