/** Values to bytes and back: what journals, threads and other machines get. */
import { decodeTree } from './decoder.ts'
import type { DecodeOptions } from './decoder.ts'
import { encodeTree } from './encoder.ts'
import type { WalkOptions } from './walk-options.ts'

/** How a value is encoded. @public */
export type EncodeOptions = WalkOptions

/**
 * Turns a value into bytes from which {@link decodeValue} makes an equal one.
 *
 * Values are JSON, undefined, bigint, NaN, infinities, -0, Date, Map, Set, RegExp, URL, typed arrays, Buffer,
 * DataView, ArrayBuffer, errors, plain arrays and objects (also without a prototype), and instances of
 * classes given to `registerValue`. Nothing else is accepted, and nothing is changed or left out in silence,
 * except:
 *
 * - An object that occurs twice comes back as two. A cycle is refused.
 * - A view comes back with the bytes it shows, not with all of the buffer behind it; a Buffer comes back as a
 *   Buffer. Properties that were added to a view, and accessors in place of the items of an array, are not
 *   noticed.
 * - An error is always accepted. Its class comes back if it is built in, Troupe's or registered; else the
 *   error comes back as the nearest such class above it. Name, message, stack, cause, code, `errors` and its
 *   own enumerable properties come back; what of them can't be encoded is left out.
 *
 * @param value - What to encode. It is read at once, and not kept.
 * @param options.at - Name of the value in messages and in `details.path`. Default `value`.
 * @param options.replace - Gives what is written in place of an object, see {@link WalkOptions}.
 * @returns Bytes of their own, which share no memory with the value. The first is the format number.
 * @throws CodecError NOT_ENCODABLE: `details.path` names the place, the message says what to do.
 * @public
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): Uint8Array {
  return encodeTree(value, options)
}

/**
 * Makes the value again that {@link encodeValue} turned into bytes.
 *
 * @param bytes - They are read at once and not kept; the value shares no memory with them.
 * @param options.revive - Needed if `replace` was used.
 * @throws CodecError UNSUPPORTED_FORMAT: written by a newer version of Troupe, or needs a class that this
 *   Node doesn't have.
 * @throws CodecError MALFORMED_PAYLOAD: the bytes are damaged, cut off or followed by others, or hold an
 *   instance of a class that is not registered here or whose `decode` threw (`details.name`, `cause`).
 * @public
 */
export function decodeValue(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  return decodeTree(bytes, options)
}

/**
 * Gives what a durable or remote run would see of a value: it is encoded and decoded, and shares no memory
 * with the copy.
 *
 * @param options - Those of {@link encodeValue} and {@link decodeValue}; give both hooks or none.
 * @throws CodecError NOT_ENCODABLE: the value can't be encoded; `details.path` names the place.
 * @throws CodecError MALFORMED_PAYLOAD: the `decode` of a registered class threw.
 * @public
 */
export function cloneValue<T>(value: T, options: EncodeOptions & DecodeOptions = {}): T {
  return decodeTree(encodeTree(value, options), options) as T
}
