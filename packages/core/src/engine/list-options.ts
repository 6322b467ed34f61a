import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { namesOfStates, type StateName, type StateType } from '../machines/states.ts'
import type { JournalQuery } from '../ports/journal.ts'
import type { AnyRunHandle } from '../runs/types.ts'

/** Which runs to list. All given conditions must hold. @public */
export interface ListOptions {
  /** Only runs that have ended, or only those that have not; default both. */
  readonly ended?: boolean
  /** Names or types of states, such as `'Paused'` or `'FAILED'`: only runs that are in one of them. */
  readonly state?: StateName | StateType | readonly (StateName | StateType)[]
  /** Name of the flow, or of the task of a task run outside any flow. */
  readonly flow?: string
  /** A tag that the run has. */
  readonly tag?: string
  /** Id of a run: only the subflows that it started itself. Without it, only runs that no other run started. */
  readonly parent?: string
  /** Started at this time or later: a date, or milliseconds since 1970. */
  readonly since?: Date | number
  /** Started before this time. */
  readonly before?: Date | number
  /** Default false: the oldest first. */
  readonly newestFirst?: boolean
  /** Most handles to give, 1 to 10,000; default 100. */
  readonly limit?: number
  /** `next` of the page before. */
  readonly cursor?: string | undefined
}

/** Handles, and where the next page begins. @public */
export interface RunPage extends Array<AnyRunHandle> {
  /** For `cursor`; undefined where this page is the last. A run that is deleted meanwhile does not disturb it. */
  readonly next: string | undefined
}

/**
 * Which runs a live query has: as for `list`, but for `cursor`. There are the first `limit` of them at any time, in the order of
 * their start, the newest first where `newestFirst`; default 1,000.
 *
 * @public
 */
export type RunsQuery = Omit<ListOptions, 'cursor'>

const runsNames = 'ended, state, flow, tag, parent, since, before, newestFirst, limit'.split(', ')
const names = [...runsNames, 'cursor']

/** @throws UsageError `INVALID_OPTION` */
export function queryOf(options: ListOptions): JournalQuery {
  return checked(options, 'list', names)
}

/** @throws UsageError `INVALID_OPTION` */
export function runsQueryOf(query: RunsQuery): JournalQuery {
  return checked({ limit: 1_000, ...query }, 'runs', runsNames)
}

function checked(options: ListOptions, what: string, known: readonly string[]): JournalQuery {
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw invalid(name, `${what} has no option \`${name}\`; it takes ${known.join(', ')}`)
  }
  const { ended, state, flow, tag, parent, since, before, newestFirst, limit = 100, cursor } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
    throw expected('limit', 'an integer from 1 to 10,000', limit)
  return {
    limit,
    parent: parent ?? null,
    ...(ended === undefined ? undefined : { ended }),
    ...(state === undefined ? undefined : { states: statesOf(state) }),
    ...(flow === undefined ? undefined : { name: flow }),
    ...(tag === undefined ? undefined : { tag }),
    ...(since === undefined ? undefined : { since: timeOf('since', since) }),
    ...(before === undefined ? undefined : { before: timeOf('before', before) }),
    ...(newestFirst === undefined ? undefined : { newestFirst }),
    ...(cursor === undefined ? undefined : { after: placeOf(cursor) }),
  }
}

function statesOf(asked: Exclude<ListOptions['state'], undefined>): readonly StateName[] {
  return namesOfStates(typeof asked === 'string' ? [asked] : asked, 'state')
}

function timeOf(option: string, time: Date | number): number {
  const ms = Number(time)
  if (Number.isNaN(ms) || !(typeof time === 'number' || time instanceof Date))
    throw expected(option, 'a date or milliseconds since 1970', time)
  return ms
}

function placeOf(cursor: string): number {
  const place = typeof cursor === 'string' && /^\d+$/.test(cursor) ? Number(cursor) : Number.NaN
  if (Number.isSafeInteger(place)) return place
  throw expected('cursor', '`next` of the page before', cursor)
}

/** The page that ends with the journal at `last`. */
export function pageOf(handles: AnyRunHandle[], last: number | undefined): RunPage {
  return Object.assign(handles, { next: last === undefined ? undefined : `${last}` })
}

function expected(option: string, what: string, got: unknown): UsageError {
  return invalid(option, `expected \`${option}\` to be ${what}, got ${inWords(got)}`)
}

function invalid(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
