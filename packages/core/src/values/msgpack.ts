/**
 * The only place that knows msgpackr. It is told to do nothing but numbers, strings, booleans, null, and lists and
 * maps of them.
 *
 * `msgpackr/pack` is the same code as `msgpackr` without the attempt to load a native addon, which is neither
 * needed here nor to be trusted with damaged bytes. Its types don't resolve, hence the second import.
 */
import type { Options, Packr } from 'msgpackr'
import * as msgpackr from 'msgpackr/pack'
import type { Node } from './format.ts'

const options: Options = { useRecords: false, useToJSON: false, structuredClone: false }
const packr = new msgpackr.Packr(options) as Packr
const resetBuffer = msgpackr.RESET_BUFFER_MODE as number

/** What msgpackr writes to grows to the largest tree ever written; above this size it is given back. */
const largestKeptBuffer = 1 << 20

/** Writes a tree. The bytes are valid until the next call. */
export function pack(tree: Node): Uint8Array {
  const packed = packr.pack(tree, resetBuffer)
  if (packed.length > largestKeptBuffer) packr.useBuffer(Buffer.allocUnsafeSlow(8192))
  return packed
}

/** Anything that JSON can say. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain }

/** Writes what JSON can say, for readers other than Troupe: no extension of msgpack is in it. */
export function packPlain(value: Plain): Uint8Array {
  // A copy: the slice of a Buffer would be a view.
  return new Uint8Array(packr.pack(value, resetBuffer))
}

/**
 * What is small is copied to here and read from here: the view of its own that msgpackr would make of it costs more than the
 * reading, as does the buffer that a small array of bytes has only when it is asked for it.
 */
const scratch = Buffer.allocUnsafeSlow(16_384)
const range = { start: 0, end: 0 }

/**
 * Reads a tree. What comes of bytes that {@link pack} did not write may be anything.
 *
 * @throws Error of no certain class, for damaged bytes.
 */
export function unpack(bytes: Uint8Array, start: number, end: number): unknown {
  if (bytes.length <= scratch.length && end > start) {
    scratch.set(bytes)
    range.start = start
    range.end = end
    return packr.unpack(scratch, range)
  }
  // A view of its own: msgpackr leaves a property on what it reads.
  return packr.unpack(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start))
}
