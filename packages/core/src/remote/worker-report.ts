import { copyOf } from '../base/bytes.ts'
import { CodecError } from '../base/errors.ts'
import { pack, unpack } from '../values/msgpack.ts'
import type { Parcel } from './protocol.ts'

/**
 * What a worker reports of an attempt: that its body has begun, or how it ended, or both where that took a moment.
 */
export interface WorkerReport {
  readonly runId: string
  readonly attempt: number
  /** The worker: name of its node. */
  readonly node: string
  /** How the body ended; undefined where it has only begun. */
  readonly result: Parcel | undefined
  /** It did not begin, and can't: error code and message. */
  readonly refused: { readonly code: string; readonly message: string } | undefined
  /** Whether the body has called tasks, slept, or said anything else: its end must not overtake that. */
  readonly asked: boolean
}

/** Message ids of reports begin so; others are letters. */
export const reportPrefix = 'report:'

/**
 * Reports of one worker on runs of one flow run, as the body of a message to its mailbox: length of the tree, the tree, and
 * the values one after the other.
 */
export function packReports(reports: readonly WorkerReport[]): Uint8Array {
  const parts: Uint8Array[] = []
  let length = 0
  const rows = reports.map(({ runId, attempt, result, refused, asked }) => {
    if (result !== undefined) parts.push(result.bytes)
    length += result?.bytes.length ?? 0
    return [
      runId,
      attempt,
      (asked ? 1 : 0) + (result?.thrown === true ? 2 : 0),
      result === undefined ? null : result.bytes.length,
      refused === undefined ? null : [refused.code, refused.message],
    ]
  })
  const tree = pack([format, reports[0]?.node ?? '', rows])
  const bytes = new Uint8Array(headBytes + tree.length + length)
  new DataView(bytes.buffer).setUint32(0, tree.length)
  bytes.set(tree, headBytes)
  let at = headBytes + tree.length
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

type Row = readonly [string, number, number, number | null, readonly [string, string] | null]

/** @throws CodecError `MALFORMED_PAYLOAD`, `UNSUPPORTED_FORMAT` */
export function unpackReports(bytes: Uint8Array): WorkerReport[] {
  if (bytes.length < headBytes) throw malformedReport('it is cut off')
  const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  let at = headBytes + head
  if (at > bytes.length) throw malformedReport('it is cut off')
  const [found, node, rows] = readTree(bytes, headBytes, at)
  if (found !== format) {
    const message = `can't read the report of a worker: it has format ${String(found)}, and this version of Troupe reads ${format}`
    throw new CodecError('UNSUPPORTED_FORMAT', message)
  }
  const reports = rows.map(([runId, attempt, bits, length, refused]): WorkerReport => {
    const from = at
    at += length ?? 0
    if (at > bytes.length) throw malformedReport('it is cut off')
    return {
      runId,
      attempt,
      node,
      asked: (bits & 1) === 1,
      // A copy: what was received may be part of something larger.
      result: length === null ? undefined : { bytes: copyOf(bytes, from, at), thrown: (bits & 2) === 2 },
      refused: refused === null ? undefined : { code: refused[0], message: refused[1] },
    }
  })
  if (at !== bytes.length) throw malformedReport('it is cut off')
  return reports
}

const format = 1
const headBytes = 4

function readTree(bytes: Uint8Array, start: number, end: number): [unknown, string, readonly Row[]] {
  let read: unknown
  try {
    read = unpack(bytes, start, end)
  } catch (cause) {
    throw malformedReport('it is damaged', cause)
  }
  const isReport =
    Array.isArray(read) && typeof read[1] === 'string' && Array.isArray(read[2]) && read[2].every(isRow)
  if (!isReport) throw malformedReport('it was not written by Troupe')
  return read as [unknown, string, readonly Row[]]
}

function isRow(row: unknown): boolean {
  if (!Array.isArray(row)) return false
  const [runId, attempt, bits, length] = row as unknown[]
  const isLength = length === null || (typeof length === 'number' && length >= 0)
  return typeof runId === 'string' && typeof attempt === 'number' && typeof bits === 'number' && isLength
}

function malformedReport(why: string, cause?: unknown): CodecError {
  return new CodecError('MALFORMED_PAYLOAD', `can't read the report of a worker: ${why}`, { cause })
}
