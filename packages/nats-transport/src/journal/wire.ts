/**
 * What is beside the bytes of a record, in headers, so that a list needs no bodies and the newest message of a journal tells all
 * that a writer must know of it:
 *
 * ```
 * Tr        position of the first entry, number of entries, epoch: three numbers with spaces between them
 * Tr-Sum    the root, as it is after these entries: a JSON list, in ASCII
 * Tr-Blobs  names of large values that belong to the record, with commas between them
 * Tr-Names  name of a large value that is such a list, where it would be too long for a header
 * Tr-Body   name of a large value that is the record itself, which is then not in the message
 * Tr-Del    the journal was forgotten: nothing else is there
 * ```
 */
import type { MsgHdrs } from '@nats-io/transport-node'
import { JournalError, type JournalSummary } from '@troupe/core'
import { isTerminal, type EntrySummary } from '@troupe/core/internal'
import { asciiOf } from '../connection/headers.ts'

/** Where a record stands in its journal. */
export interface Place {
  /** Position of its first entry. */
  readonly first: number
  readonly count: number
  readonly epoch: number
}

/** A summary as a record carries it; `order` is 0 in the first record, which is its own order. */
export type CarriedSummary = EntrySummary & { readonly order: number }

/** What the headers of a record are, but for its id. */
export interface RecordHead extends Place {
  /** Undefined where the journal has no root. */
  readonly summary: CarriedSummary | undefined
  readonly blobs: readonly string[]
  readonly body: string | undefined
  /** Where `blobs` are listed, if not in a header. */
  readonly names?: string | undefined
}

/** Headers as lines. */
export function linesOf({ first, count, epoch, summary, blobs, body, names }: RecordHead): string {
  let lines = `Tr: ${first} ${count} ${epoch}\r\n`
  if (summary !== undefined) lines += `Tr-Sum: ${summaryText(summary)}\r\n`
  if (names !== undefined) lines += `Tr-Names: ${names}\r\n`
  else if (blobs.length > 0) lines += `Tr-Blobs: ${blobs.join()}\r\n`
  if (body !== undefined) lines += `Tr-Body: ${body}\r\n`
  return lines
}

/** Headers of what replaces a journal that is forgotten. */
export const tombstoneLines = 'Nats-Rollup: sub\r\nTr-Del: 1\r\n'

export function isTombstone(headers: MsgHdrs): boolean {
  return headers.has('Tr-Del')
}

/** @throws JournalError `JOURNAL_DAMAGED` */
export function placeOf(headers: MsgHdrs | undefined, what: string): Place {
  const numbers = (headers?.get('Tr') ?? '').split(' ').map(Number)
  const [first = 0, count = 0, epoch = 0] = numbers
  if (numbers.length === 3 && numbers.every(Number.isSafeInteger) && first > 0 && count > 0)
    return { first, count, epoch }
  throw new JournalError('JOURNAL_DAMAGED', `${what} is damaged: it has a message that is no record`, {
    details: { reason: 'headers' },
  })
}

export function blobsOf(headers: MsgHdrs): string[] {
  const names = headers.get('Tr-Blobs')
  return names === '' ? [] : names.split(',')
}

export function namesOf(headers: MsgHdrs): string | undefined {
  const name = headers.get('Tr-Names')
  return name === '' ? undefined : name
}

export function bodyOf(headers: MsgHdrs): string | undefined {
  const name = headers.get('Tr-Body')
  return name === '' ? undefined : name
}

type SummaryOnWire = [
  name: string,
  version: string,
  kind: 0 | 1,
  state: string,
  startedAt: number,
  changedAt: number,
  node: string,
  epoch: number,
  order: number,
  runName: string | 0,
  parentRunId: string | 0,
  tags: readonly string[],
]

function summaryText(summary: CarriedSummary): string {
  const { name, version, kind, state, startedAt, changedAt, node, epoch, order } = summary
  const list: SummaryOnWire = [
    name,
    version,
    kind === 'flow' ? 0 : 1,
    state,
    startedAt,
    changedAt,
    node,
    epoch,
    order,
    summary.runName ?? 0,
    summary.parentRunId ?? 0,
    summary.tags,
  ]
  return asciiOf(list)
}

/**
 * The summary that a record carries.
 *
 * @param seq - Stream sequence of the record.
 * @returns Undefined where the journal has no root
 * @throws JournalError `JOURNAL_DAMAGED`
 */
export function summaryIn(headers: MsgHdrs, flowRunId: string, seq: number): JournalSummary | undefined {
  const text = headers.get('Tr-Sum')
  if (text === '') return undefined
  const { first, count } = placeOf(headers, `the journal of ${flowRunId}`)
  let list: SummaryOnWire
  try {
    list = JSON.parse(text) as SummaryOnWire
  } catch (cause) {
    throw new JournalError('JOURNAL_DAMAGED', `the journal of ${flowRunId} is damaged: its summary is`, {
      cause,
      details: { flowRunId, reason: 'headers' },
    })
  }
  const [name, version, kind, state, startedAt, changedAt, node, epoch, order, runName, parentRunId, tags] =
    list
  return {
    flowRunId,
    name,
    version,
    kind: kind === 0 ? 'flow' : 'task',
    runName: runName === 0 ? undefined : runName,
    state: state as JournalSummary['state'],
    tags,
    startedAt,
    changedAt,
    position: first + count - 1,
    ended: isTerminal(state as JournalSummary['state']),
    parentRunId: parentRunId === 0 ? undefined : parentRunId,
    node,
    epoch,
    order: order === 0 ? seq : order,
  }
}
