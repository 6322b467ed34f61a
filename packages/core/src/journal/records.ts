/**
 * How entries of a journal become bytes, in journals that leave this process. Inside the envelope of envelope.ts:
 *
 * ```
 * bytes 0…          length of the tail, seven bits a byte, lowest first, the high bit set on all but the last
 * then              the tree, in MessagePack
 * the rest          the tail: values and wide texts, one after the other
 * ```
 *
 * The tree is a list: the time of the first entry, then a list for each entry. That begins with the number of its kind
 * and its time; what follows is listed in record-writer.ts. As in values/format.ts, the tree holds nothing but null,
 * booleans, numbers, strings and lists, so that no extension of msgpackr changes it:
 *
 * - undefined is null, and missing at the end of a list
 * - a time is a number to be added to the first entry's, or a list of the time itself where that sum is not exact
 * - a text is a string, or a list of the number of its bytes of UTF-16 (little-endian) in the tail
 * - a value is the number of its bytes in the tail, or, where it is kept in a blob, a list of that number; then the 32
 *   bytes of the SHA-256 of the value are in the tail
 * - a state is its index in `stateNames`; other words have their index in the lists of record-words.ts
 *
 * Numbers and places here are frozen by test/journal/golden. A new field needs a new format number. A record is written in the
 * oldest format that has all its fields: format 2 has where a root belongs (`traceparent`, `tracestate`), and is else format 1.
 */
import { hash } from 'node:crypto'
import { TroupeError } from '../base/errors.ts'
import type { PayloadCodec } from '../ports/payload-codec.ts'
import { pack, unpack } from '../values/msgpack.ts'
import type { Entry } from './entries.ts'
import { malformed, seal, unseal } from './envelope.ts'
import { RecordReader } from './record-reader.ts'
import { RecordWriter } from './record-writer.ts'

/** A large value that is kept beside the record. */
export interface RecordBlob {
  /** SHA-256 of the value, as 64 hexadecimal digits. */
  readonly name: string
  /** What to store: the value as the codecs gave it, in an envelope. */
  readonly bytes: Uint8Array
}

/** Entries as bytes. */
export interface PackedEntries {
  readonly bytes: Uint8Array
  /** The large values; they must be stored before the record is. One that is stored already may be kept. */
  readonly blobs: readonly RecordBlob[]
}

const what = 'a record of a journal'

/**
 * Makes bytes of entries whose values are encoded.
 *
 * @param options.codecs - Applied to the record and to each blob, in this order.
 * @param options.largeValue - Values of more bytes than this go into blobs.
 */
export function packEntries(
  entries: readonly Entry[],
  options: { readonly codecs: readonly PayloadCodec[]; readonly largeValue: number },
): PackedEntries {
  const { codecs, largeValue } = options
  const writer = new RecordWriter(largeValue)
  const tree = writer.write(entries)
  let tailLength = 0
  for (const part of writer.tail) tailLength += part.length
  const head = headOf(tailLength)
  const format = entries.some(isOfFormat2) ? 2 : 1
  const bytes = seal([head, pack(tree), ...writer.tail], codecs, format)
  if (writer.large.size === 0) return { bytes, blobs: [] }
  const blobs = [...writer.large].map(([name, value]) => ({ name, bytes: seal([value], codecs) }))
  return { bytes, blobs }
}

/** What versions that read format 1 only would refuse. */
function isOfFormat2(entry: Entry): boolean {
  return entry.kind === 'submitted' && entry.traceparent !== undefined
}

const noTail = Uint8Array.of(0)

function headOf(tailLength: number): Uint8Array {
  if (tailLength === 0) return noTail
  const head: number[] = []
  let rest = tailLength
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) head.push((rest % 0x80) + 0x80)
  head.push(rest)
  return Uint8Array.from(head)
}

/**
 * Makes entries again of what {@link packEntries} made of them. Their values may be views of `bytes`.
 *
 * @param options.codecs - Those of the writer, in any order, and any others.
 * @param options.blob - Gives a blob as it was stored; undefined where there is none of that name. Where it is absent, values that
 * are kept in blobs are left empty, for readers of everything else.
 * @throws CodecError `UNSUPPORTED_FORMAT`: a newer version wrote it, or a codec of it is not configured.
 * @throws CodecError `DECRYPTION_FAILED`: a codec lacks the key.
 * @throws CodecError `MALFORMED_PAYLOAD`: it is damaged or cut off, or a blob of it is or is missing.
 */
export function unpackEntries(
  bytes: Uint8Array,
  options: {
    readonly codecs: readonly PayloadCodec[]
    readonly blob?: (name: string) => Uint8Array | undefined
  },
): Entry[] {
  const { codecs, blob } = options
  const payload = unseal(bytes, codecs, what)
  const { at, tailLength } = readHead(payload)
  const treeEnd = payload.length - tailLength
  if (treeEnd <= at) throw malformed(what, 'it is cut off')
  const large = (name: string, size: number): Uint8Array => {
    if (blob === undefined) return new Uint8Array(0)
    const stored = blob(name)
    if (stored === undefined) throw malformed(what, `the value ${name} that belongs to it is missing`)
    return openBlob(name, stored, { codecs, size })
  }
  try {
    return new RecordReader(payload.subarray(treeEnd), large).read(unpack(payload, at, treeEnd))
  } catch (error) {
    if (TroupeError.is(error)) throw error
    throw malformed(what, 'it was not written by Troupe', error)
  }
}

function readHead(bytes: Uint8Array): { at: number; tailLength: number } {
  let tailLength = 0
  for (let at = 0, unit = 1; at < Math.min(bytes.length, 8); at++, unit *= 0x80) {
    const byte = bytes[at] ?? 0
    tailLength += (byte % 0x80) * unit
    if (byte < 0x80) return { at: at + 1, tailLength }
  }
  throw malformed(what, 'it is cut off')
}

function openBlob(
  name: string,
  stored: Uint8Array,
  { codecs, size }: { readonly codecs: readonly PayloadCodec[]; readonly size: number },
): Uint8Array {
  const title = `the value ${name} of a journal`
  const value = unseal(stored, codecs, title)
  if (value.length === size && hash('sha256', value) === name) return value
  throw malformed(title, 'it holds other bytes; restore it from a backup')
}
