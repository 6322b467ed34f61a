import { toMilliseconds, type Duration } from '../base/duration.ts'
import { RunError, UsageError } from '../base/errors.ts'
import { notPending } from '../base/not-pending.ts'
import { inWords } from '../base/words.ts'

/**
 * How long to wait before a run is tried again: always the same; a list, whose last item repeats; or a function of the
 * retry (1, 2, 3 …) and the error that the last attempt failed with.
 *
 * @public
 */
export type RetryDelay =
  | Duration
  | readonly [Duration, ...Duration[]]
  | ((retry: number, error: unknown) => Duration)

/**
 * Whether a failed attempt is followed by another one; asked only while `retries` remain. False means no, and so does a
 * function that throws or rejects.
 *
 * @public
 */
export type RetryOn = (error: unknown, attempt: number) => boolean | Promise<boolean>

/** How the waits of {@link exponentialBackoff} grow. @public */
export interface BackoffOptions {
  /** What each wait is multiplied by to give the next; at least 1, default 2. */
  readonly factor?: number
  /** The longest wait; default one hour. */
  readonly max?: Duration
}

/**
 * A `retryDelay` that grows: `first`, `first` × factor, `first` × factor², … up to `max`.
 *
 * @throws {@link UsageError} `INVALID_DURATION`, `INVALID_OPTION`
 * @public
 */
export function exponentialBackoff(
  first: Duration,
  { factor = 2, max = '1h' }: BackoffOptions = {},
): (retry: number) => number {
  const firstMs = toMilliseconds(first, 'first')
  const maxMs = toMilliseconds(max, 'max')
  if (typeof factor !== 'number' || !(factor >= 1) || factor === Number.POSITIVE_INFINITY) {
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`factor\` to be a number of at least 1, got ${inWords(factor)}`,
      { details: { option: 'factor' } },
    )
  }
  // 0 × Infinity is no number.
  return (retry) => (firstMs === 0 ? 0 : Math.min(firstMs * factor ** (retry - 1), maxMs))
}

/** Milliseconds to wait before the retry of that number, from 1, without jitter. */
export type DelayOf = (retry: number, error: unknown) => number

/** @throws UsageError `INVALID_DURATION`, `INVALID_OPTION` */
export function compileDelay(delay: RetryDelay): DelayOf {
  if (typeof delay === 'function')
    return (retry, error) => toMilliseconds(notPending(delay(retry, error)), 'what retryDelay gave')
  if (!Array.isArray(delay)) {
    const ms = toMilliseconds(delay as Duration, 'retryDelay')
    return () => ms
  }
  const list = delay.map((item: Duration) => toMilliseconds(item, 'retryDelay'))
  if (list.length === 0) {
    throw new UsageError('INVALID_OPTION', 'expected `retryDelay` to be a list of at least one duration', {
      details: { option: 'retryDelay' },
    })
  }
  return (retry) => list[Math.min(retry, list.length) - 1] ?? 0
}

const steer = Symbol.for('@troupe/core/steer')

/** What a body says of its own retry, by what it throws. */
export interface Steer {
  /** What the attempt failed with. */
  readonly error: unknown
  /** How long to wait before the next attempt; undefined where there is to be none. */
  readonly delayMs: number | undefined
}

/**
 * Thrown by a body to decide on its retry; made by {@link abort} and {@link retryAfter}. It is never what a run fails with:
 * it would decide on the retry of the caller, too.
 */
class SteeringError extends Error {
  constructor(error: unknown, delayMs: number | undefined) {
    super(inWords(error), { cause: error })
    Object.defineProperty(this, steer, { value: { error, delayMs } })
  }
}

/** Such an error, made again where a body threw it in another thread. */
export function steering(error: unknown, delayMs: number | undefined): Error {
  return new SteeringError(error, delayMs)
}

/**
 * To be thrown by a body: the run fails with `error` and is not tried again, whatever its options say.
 *
 * @example throw abort(new TypeError('the file is empty'))
 * @param error - An error, or a message.
 * @public
 */
export function abort(error: unknown): Error {
  return new SteeringError(typeof error === 'string' ? new RunError('RUN_FAILED', error) : error, undefined)
}

/**
 * To be thrown by a body: the run is tried again after `delay`, in place of `retryDelay`, `retryJitter` and `retryOn`. It
 * counts against `retries`; where none remain, the run fails with `error`.
 *
 * @example throw retryAfter('30s', new TypeError('429 Too Many Requests'))
 * @param error - What the attempt failed with; default an error that says so.
 * @throws {@link UsageError} `INVALID_DURATION`
 * @public
 */
export function retryAfter(delay: Duration, error?: unknown): Error {
  const delayMs = toMilliseconds(delay, 'delay')
  const own = error ?? new RunError('RUN_FAILED', `asked to be tried again after ${inWords(delay)}`)
  return new SteeringError(own, delayMs)
}

/** What a thrown value says of the retry; undefined for every value but those of `abort` and `retryAfter`. */
export function steerOf(thrown: unknown): Steer | undefined {
  if (typeof thrown !== 'object' || thrown === null || !(steer in thrown)) return undefined
  return thrown[steer] as Steer
}
