import { toMilliseconds } from '../base/duration.ts'
import { CodecError } from '../base/errors.ts'
import { checkLimit, keyOf, type Limit } from '../engine/limit.ts'
import type { Registered } from '../ports/register.ts'

/** What one engine has of a limit. */
export interface Share {
  /** Ids of runs that have a slot. */
  holds: string[]
  /** Starts that were promised and have not happened yet, by the number of the request: each counts as one that begins now. */
  begins: number[]
  /** How many runs wait, as of the last write of this engine. */
  waits: number
}

/**
 * A limit of the whole cluster, as it stands in the register. Everything in it is a state that may be written again: where
 * an answer was lost, reading it tells what came of the write.
 */
export interface LimitDocument {
  readonly format: 1
  /** Undefined where it was taken away. */
  limit: Limit | undefined
  /** The node that set it. */
  by: string | undefined
  /** By owner. */
  readonly shares: Record<string, Share>
  /** Owners whose runs wait, in the order of their turns. */
  queue: string[]
  /** When attempts began, by the clock of the store, the oldest first. */
  starts: [at: number, count: number][]
  /** Attempts that began before this very write: it tells its time to whoever reads it. */
  fresh: number
}

/** More groups of starts than these are merged, and count as late as the latest of each. */
const mostGroups = 256

function newDocument(): LimitDocument {
  return { format: 1, limit: undefined, by: undefined, shares: {}, queue: [], starts: [], fresh: 0 }
}

/**
 * @param name - Its key in the register.
 * @throws CodecError `MALFORMED_PAYLOAD`, `UNSUPPORTED_FORMAT`
 */
export function readDocument(name: string, registered: Registered | undefined): LimitDocument {
  if (registered === undefined) return newDocument()
  const written = parse(name, registered.value)
  if (typeof written !== 'object' || written === null) throw malformed(name, 'is no object')
  const document: LimitDocument = { ...newDocument(), ...written }
  if (document.format !== 1) {
    const message = `the limit ${name} was written in format ${String(document.format)}, and this version knows format 1; ${waiting}`
    throw new CodecError('UNSUPPORTED_FORMAT', message, { details: { key: name } })
  }
  checkShape(name, document)
  const { writtenAt } = registered
  // All of them were before this write: where one seems to be after it, the clock of the store was set back.
  document.starts = document.starts.map(([at, count]) => [Math.min(at, writtenAt), count])
  if (document.fresh > 0) document.starts.push([writtenAt, document.fresh])
  document.fresh = 0
  return document
}

function parse(name: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown
  } catch (cause) {
    throw malformed(name, 'is no JSON', cause)
  }
}

/** What all the rest takes for granted. */
function checkShape(name: string, { limit, shares, queue, starts }: LimitDocument): void {
  const isWhole =
    typeof shares === 'object' && shares !== null && Array.isArray(queue) && Array.isArray(starts)
  if (!isWhole) throw malformed(name, 'lacks parts')
  if (limit === undefined) return
  try {
    keyOf(limit)
    checkLimit(limit)
  } catch (cause) {
    throw malformed(name, 'is none that this version knows', cause)
  }
}

const waiting = 'runs that it counts wait until it can be read, or is deleted'

function malformed(name: string, what: string, cause?: unknown): CodecError {
  const message = `the limit ${name} in the register ${what}; ${waiting}`
  return new CodecError('MALFORMED_PAYLOAD', message, { cause, details: { key: name } })
}

export function writeDocument(document: LimitDocument): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document))
}

export function copyDocument(document: LimitDocument): LimitDocument {
  const shares: Record<string, Share> = {}
  for (const [owner, { holds, begins, waits }] of Object.entries(document.shares))
    shares[owner] = { holds: [...holds], begins: [...begins], waits }
  return { ...document, shares, queue: [...document.queue], starts: [...document.starts] }
}

/** Nobody has anything of it, and it is not set. */
export function isEmpty({ limit, shares, queue }: LimitDocument): boolean {
  return limit === undefined && queue.length === 0 && Object.keys(shares).length === 0
}

export function heldOf({ shares }: LimitDocument): number {
  let held = 0
  for (const { holds } of Object.values(shares)) held += holds.length
  return held
}

/** Slots that nobody has. */
export function freeSlots(document: LimitDocument): number {
  const { concurrency } = document.limit ?? {}
  return concurrency === undefined ? Number.POSITIVE_INFINITY : concurrency - heldOf(document)
}

/** Runs that wait in engines whose turn comes before that of `owner`. */
export function waitingBefore({ queue, shares }: LimitDocument, owner: string): number {
  let waiting = 0
  for (const before of queue) {
    if (before === owner) break
    waiting += Math.max(1, shares[before]?.waits ?? 1)
  }
  return waiting
}

/** How many attempts may begin at a time of the store. */
export function freeStarts(document: LimitDocument, now: number): number {
  const rate = document.limit?.rate
  if (rate === undefined) return Number.POSITIVE_INFINITY
  const perMs = toMilliseconds(rate.per, 'rate.per')
  let free = rate.count - document.fresh
  for (const { begins } of Object.values(document.shares)) free -= begins.length
  for (const [at, count] of document.starts) if (at + perMs > now) free -= count
  return free
}

/** How long until so many attempts may begin: 0 where they may now, Infinity where that depends on others that may. */
export function waitForStarts(document: LimitDocument, now: number, wanted: number): number {
  const perMs = perMsOf(document)
  let missing = Math.min(wanted, document.limit?.rate?.count ?? wanted) - freeStarts(document, now)
  if (missing <= 0) return 0
  for (const [at, count] of document.starts) {
    if (at + perMs <= now) continue
    missing -= count
    if (missing <= 0) return at + perMs - now
  }
  return Number.POSITIVE_INFINITY
}

function perMsOf({ limit }: LimitDocument): number {
  return limit?.rate === undefined ? 0 : toMilliseconds(limit.rate.per, 'rate.per')
}

/** Forgets starts that count no more, and keeps the others few. */
export function pruneStarts(document: LimitDocument, now: number): void {
  if (document.limit?.rate === undefined) {
    document.starts = []
    document.fresh = 0
    return
  }
  const perMs = perMsOf(document)
  const starts = document.starts.filter(([at]) => at + perMs > now)
  while (starts.length > mostGroups) {
    for (let index = starts.length - 2; index >= 0; index -= 2) {
      const [[, earlier] = [0, 0], [at, later] = [0, 0]] = starts.slice(index, index + 2)
      starts.splice(index, 2, [at, earlier + later])
    }
  }
  document.starts = starts
}

/** Whether two definitions are the same. */
export function isSameLimit(a: Limit | undefined, b: Limit | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  const perOf = ({ rate }: Limit): number => (rate === undefined ? 0 : toMilliseconds(rate.per, 'rate.per'))
  return a.concurrency === b.concurrency && a.rate?.count === b.rate?.count && perOf(a) === perOf(b)
}
