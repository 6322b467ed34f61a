import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'

/** The runs that a limit counts: task runs with a tag, runs of a task, or runs of a flow, over all flow runs of an engine. @public */
export type LimitTarget =
  | { readonly tag: string; readonly task?: never; readonly flow?: never }
  | { readonly task: string; readonly tag?: never; readonly flow?: never }
  | { readonly flow: string; readonly tag?: never; readonly task?: never }

/** How many runs may be there at once, and how many attempts may begin in a time. @public */
export type Limit = LimitTarget & {
  /** Slots, at least 1: a run holds one from its start to its end, or to its wait for a retry. */
  readonly concurrency?: number
  /** At most `count` attempts begin in any `per`. */
  readonly rate?: { readonly count: number; readonly per: Duration }
}

/** A limit and how it is used. @public */
export type LimitState = Limit & {
  /** Runs that hold a slot. */
  readonly held: number
  /** Runs that wait for one. */
  readonly waiting: number
}

const kinds = ['tag', 'task', 'flow'] as const
const options: readonly string[] = [...kinds, 'concurrency', 'rate']

/** @returns Milliseconds of the time of its rate, 0 where it has none. @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function checkLimit(limit: Limit): number {
  const { concurrency, rate } = limit
  for (const name of Object.keys(limit))
    if (!options.includes(name)) invalid(name, `one of ${options.join(', ')}`, name)
  if (rate !== undefined && (typeof rate !== 'object' || rate === null))
    invalid('rate', "a count and a time, such as { count: 10, per: '1s' }", rate)
  if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1))
    invalid('concurrency', 'an integer of at least 1', concurrency)
  if (rate !== undefined && (!Number.isInteger(rate.count) || rate.count < 1))
    invalid('rate.count', 'an integer of at least 1', rate.count)
  if (concurrency === undefined && rate === undefined) invalid('concurrency', 'given, or `rate`', concurrency)
  const perMs = rate === undefined ? 0 : toMilliseconds(rate.per, 'rate.per')
  if (rate !== undefined && perMs === 0) invalid('rate.per', 'a duration above 0', rate.per)
  return perMs
}

/** The caller may go on to use the object. */
export function copyOf(limit: Limit): Limit {
  return limit.rate === undefined ? { ...limit } : { ...limit, rate: { ...limit.rate } }
}

/** @throws UsageError `INVALID_OPTION` */
export function keyOf(target: LimitTarget): string {
  const given =
    typeof target === 'object' && target !== null ? kinds.filter((kind) => target[kind] !== undefined) : []
  const [kind, second] = given
  const name = kind === undefined ? undefined : target[kind]
  if (kind === undefined || second !== undefined || typeof name !== 'string' || name === '')
    invalid(
      'limit',
      "for one of `tag`, `task` and `flow`, such as { tag: 'database', concurrency: 5 }",
      target,
    )
  return `${kind} ${name}`
}

export function invalid(option: string, expected: string, got: unknown): never {
  throw new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${inWords(got)}`, {
    details: { option },
  })
}

/** What it allows, such as `5 at once, 10 per 1000 ms`. */
export function wordsOf({ concurrency, rate }: Limit): string {
  const slots = concurrency === undefined ? [] : [`${concurrency} at once`]
  const starts = rate === undefined ? [] : [`${rate.count} per ${inWords(rate.per)}`]
  return [...slots, ...starts].join(', ')
}
