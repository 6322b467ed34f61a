import { toMilliseconds } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { compileDelay, exponentialBackoff, type DelayOf, type RetryDelay } from '../definitions/retrying.ts'
import type { DeadLetter, EventSource } from './event-source.ts'

/** What is known of an event besides the event. @public */
export interface EventInfo {
  /** The idempotency key that its source gives it; undefined where it gives none. */
  readonly key: string | undefined
  /** How often it was delivered, this time included, as far as its source knows; from 1. */
  readonly deliveries: number
}

/** How events become flow runs. @public */
export interface IntakeOptions<E, A extends readonly unknown[]> {
  /**
   * Name of the intake, part of the keys of its flow runs: no two of an engine have the same. No `/`. Default the flow's name.
   */
  readonly name?: string
  /**
   * Makes the flow's arguments of an event; default the event as the only one. It must make the same of the same event. An event
   * for which it throws is a dead letter, unless it throws `retryAfter(…)`.
   */
  readonly parameters?: (event: E, info: EventInfo) => A | Promise<A>
  /**
   * Makes the idempotency key of an event: events of one key start one flow run. Default the source's; an event without one
   * is a flow run each time it is delivered.
   */
  readonly key?: (event: E, info: EventInfo) => string | undefined | Promise<string | undefined>
  /** Tags of the flow runs, besides those of the flow: a list, or a function that makes it of an event. */
  readonly tags?: readonly string[] | ((event: E) => readonly string[])
  /** How many events it deals with at once: each counts until its flow run has ended. From 1 to 100,000; default 100. */
  readonly concurrency?: number
  /**
   * When an event is done: its flow run is durably in the journal (`'recorded'`, the default), or has ended, whichever way
   * (`'finished'`).
   */
  readonly ackWhen?: 'recorded' | 'finished'
  /**
   * Where events go that can't become flow runs: a function, which is called again until it succeeds, or the name of a place that
   * the source knows. Default the source's own place where it has one; `engine.errors` is told in both cases.
   */
  readonly deadLetter?: ((letter: DeadLetter<E>) => unknown) | string
  /** After how many deliveries an event is a dead letter and not tried again; default never. */
  readonly maxDeliveries?: number
  /**
   * How long to wait before something is tried again that can't be done now: the journal, a server or the dead-letter place does
   * not answer. It is tried for ever. Default 100 ms, doubling up to 30 s.
   */
  readonly retryDelay?: RetryDelay
  /** How many events of an Observable may wait, for it can't be slowed down. From 1 to 1,000,000; default 1,000. */
  readonly buffer?: number
  /**
   * What happens to an event that comes when the buffer is full: it is a dead letter (`'deadLetter'`, the default), or that and
   * the end of the intake, which has failed (`'fail'`).
   */
  readonly overflow?: 'deadLetter' | 'fail'
}

/** What `engine.on` takes last: options, with `parameters` where the event itself is not what the flow takes. @public */
export type IntakeArguments<E, A extends readonly unknown[]> = [E] extends A
  ? [options?: IntakeOptions<E, A>]
  : [options: IntakeOptions<E, A> & Required<Pick<IntakeOptions<E, A>, 'parameters'>>]

/** Options, checked and with their defaults. */
export interface IntakeSettings<E> {
  readonly name: string
  readonly parameters: ((event: E, info: EventInfo) => unknown) | undefined
  readonly key: ((event: E, info: EventInfo) => unknown) | undefined
  readonly tags: readonly string[] | ((event: E) => unknown) | undefined
  readonly concurrency: number
  readonly ackWhen: 'recorded' | 'finished'
  readonly deadLetter: ((letter: DeadLetter<E>) => unknown) | string | undefined
  readonly maxDeliveries: number
  readonly delayOf: DelayOf
  readonly buffer: number
  readonly overflow: 'deadLetter' | 'fail'
}

interface Check {
  readonly expected: string
  readonly is: (value: unknown) => boolean
}

const isFunction = (value: unknown): boolean => typeof value === 'function'
const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isFrom =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most

export function areTags(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText)
}

const checks: Readonly<Record<keyof IntakeOptions<unknown, readonly unknown[]>, Check>> = {
  name: {
    expected: 'a string that is not empty and has no `/`',
    is: (value) => isText(value) && !(value as string).includes('/'),
  },
  parameters: { expected: 'a function of the event', is: isFunction },
  key: { expected: 'a function of the event', is: isFunction },
  tags: {
    expected: 'a list of strings that are not empty, or a function of the event',
    is: (value) => isFunction(value) || areTags(value),
  },
  concurrency: { expected: 'an integer from 1 to 100,000', is: isFrom(1, 100_000) },
  ackWhen: {
    expected: "'recorded' or 'finished'",
    is: (value) => value === 'recorded' || value === 'finished',
  },
  deadLetter: {
    expected: 'a function, or the name of a place that the source knows',
    is: (value) => isFunction(value) || isText(value),
  },
  maxDeliveries: { expected: 'an integer of at least 1', is: isFrom(1, Number.MAX_SAFE_INTEGER) },
  retryDelay: { expected: '', is: () => true },
  buffer: { expected: 'an integer from 1 to 1,000,000', is: isFrom(1, 1_000_000) },
  overflow: {
    expected: "'deadLetter' or 'fail'",
    is: (value) => value === 'deadLetter' || value === 'fail',
  },
}

const usualDelay = exponentialBackoff(100, { max: 30_000 })

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function intakeSettings<E>(
  given: IntakeOptions<E, readonly unknown[]>,
  flowName: string,
  source: EventSource<E>,
): IntakeSettings<E> {
  if (typeof given !== 'object' || given === null) refuse('options', 'an object', given)
  for (const [name, value] of Object.entries(given)) {
    const check = checks[name as keyof typeof checks]
    if (check === undefined) refuse(name, `one of ${Object.keys(checks).join(', ')}`, name)
    if (value !== undefined && !check.is(value)) refuse(name, check.expected, value)
  }
  const { deadLetter, name = flowName } = given
  if (!checks.name.is(name)) refuse('name', `given, for ${inWords(flowName)} has a \`/\``, undefined)
  if (typeof deadLetter === 'string' && source.keepsDeadLetters !== true)
    refuse('deadLetter', `a function, for ${source.name} has no place for dead letters`, deadLetter)
  return {
    name,
    parameters: given.parameters,
    key: given.key,
    tags: typeof given.tags === 'function' ? given.tags : given.tags && [...given.tags],
    concurrency: given.concurrency ?? 100,
    ackWhen: given.ackWhen ?? 'recorded',
    deadLetter,
    maxDeliveries: given.maxDeliveries ?? Number.POSITIVE_INFINITY,
    delayOf: compileDelay(given.retryDelay ?? usualDelay),
    buffer: given.buffer ?? 1_000,
    overflow: given.overflow ?? 'deadLetter',
  }
}

/** How long to wait before the next try; a function that can't say so makes it the usual time. */
export function pauseBefore<E>(
  { delayOf }: IntakeSettings<E>,
  tries: number,
  error: unknown,
): { readonly ms: number; readonly trouble?: unknown } {
  try {
    return { ms: toMilliseconds(delayOf(tries, error), 'retryDelay') }
  } catch (trouble) {
    return { ms: usualDelay(tries), trouble }
  }
}

function refuse(option: string, expected: string, got: unknown): never {
  throw new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${inWords(got)}`, {
    details: { option },
  })
}
