/**
 * What is around every record and every blob of a journal:
 *
 * ```
 * byte 0            format number
 * bytes 1…4         CRC-32 of all that follows, lowest byte first
 * byte 5            number of payload codecs
 * then              of each, in the order in which they were applied: length of its name, its name
 * the rest          the payload, as the last codec gave it
 * ```
 *
 * Frozen by test/journal/golden.
 */
import { crc32 } from 'node:zlib'
import { CodecError, TroupeError, UsageError } from '../base/errors.ts'
import type { PayloadCodec } from '../ports/payload-codec.ts'

/** The newest format that this version reads. */
const newestFormat = 2

const headLength = 6
const codecName = /^[a-z0-9-]{1,32}$/

/** Codecs whose names are known to be right. */
const checked = new WeakSet<readonly PayloadCodec[]>()

/**
 * Refuses codecs that can't be told apart, or whose names can't be written.
 *
 * @param option - What the list is called where it was given.
 * @throws UsageError `INVALID_OPTION`
 */
export function checkCodecs(codecs: readonly PayloadCodec[], option: string): void {
  if (checked.has(codecs)) return
  const names = new Set<string>()
  for (const { name } of codecs) {
    if (typeof name !== 'string' || !codecName.test(name)) {
      refuse(option, `the codec ${JSON.stringify(name)} needs a name of 1 to 32 of a–z, 0–9 and -`)
    }
    if (names.has(name)) refuse(option, `two codecs are called "${name}"; give them different names`)
    names.add(name)
  }
  if (codecs.length > 0xff) refuse(option, 'at most 255 codecs can be applied')
  if (Object.isFrozen(codecs)) checked.add(codecs)
}

function refuse(option: string, why: string): never {
  throw new UsageError('INVALID_OPTION', `\`${option}\`: ${why}`, { details: { option } })
}

/**
 * Applies the codecs to a payload, given in parts, and puts the envelope around it.
 *
 * @param format - The oldest that has what the payload holds: earlier versions read all but that.
 */
export function seal(
  parts: readonly Uint8Array[],
  codecs: readonly PayloadCodec[],
  format: 1 | 2 = 1,
): Uint8Array {
  let payload = parts
  let headEnd = headLength
  if (codecs.length > 0) {
    checkCodecs(codecs, 'codecs')
    let encoded = concat(parts, 0)
    for (const codec of codecs) {
      encoded = codec.encode(encoded)
      headEnd += 1 + codec.name.length
    }
    payload = [encoded]
  }
  const bytes = concat(payload, headEnd)
  bytes[0] = format
  bytes[5] = codecs.length
  let at = headLength
  for (const { name } of codecs) {
    bytes[at++] = name.length
    for (let i = 0; i < name.length; i++) bytes[at++] = name.charCodeAt(i)
  }
  const sum = crc32(bytes.subarray(5))
  for (let i = 0; i < 4; i++) bytes[1 + i] = sum >>> (8 * i)
  return bytes
}

function concat(parts: readonly Uint8Array[], start: number): Uint8Array {
  let length = start
  for (const part of parts) length += part.length
  const bytes = new Uint8Array(length)
  let at = start
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/**
 * Gives the payload back. Where no codec was applied it is a view of `bytes`.
 *
 * @param codecs - Those that are configured, in any order; also such as were not applied.
 * @param what - What the bytes are, for messages.
 * @throws CodecError `UNSUPPORTED_FORMAT`, `MALFORMED_PAYLOAD`, `DECRYPTION_FAILED`
 */
export function unseal(bytes: Uint8Array, codecs: readonly PayloadCodec[], what: string): Uint8Array {
  const format = bytes[0] ?? 0
  if (format === 0) throw malformed(what, 'it has no format number')
  if (format > newestFormat) {
    const why = `it has format ${format}, and this version of Troupe reads up to ${newestFormat}`
    const message = `can't read ${what}: ${why}; upgrade Troupe`
    throw new CodecError('UNSUPPORTED_FORMAT', message, { details: { format } })
  }
  if (bytes.length < headLength) throw malformed(what, 'it is cut off')
  const sum = (bytes[1] ?? 0) | ((bytes[2] ?? 0) << 8) | ((bytes[3] ?? 0) << 16) | ((bytes[4] ?? 0) << 24)
  if (sum >>> 0 !== crc32(bytes.subarray(5))) {
    throw malformed(what, 'its checksum is wrong; it is damaged or cut off, restore it from a backup')
  }
  let at = headLength
  const names: string[] = []
  for (let left = bytes[5] ?? 0; left > 0; left--) {
    const end = at + 1 + (bytes[at] ?? 0)
    if (end > bytes.length) throw malformed(what, 'it is cut off')
    names.push(String.fromCharCode(...bytes.subarray(at + 1, end)))
    at = end
  }
  const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + at, bytes.length - at)
  return names.length === 0 ? payload : decode(payload, names, { codecs, what })
}

interface Decoding {
  readonly codecs: readonly PayloadCodec[]
  readonly what: string
}

function decode(payload: Uint8Array, names: readonly string[], { codecs, what }: Decoding): Uint8Array {
  let decoded = payload
  for (const name of names.toReversed()) {
    const codec = codecs.find((candidate) => candidate.name === name)
    if (codec === undefined) {
      const why = `it was written with the payload codec "${name}", which is not configured here`
      const message = `can't read ${what}: ${why}; give that codec, too`
      throw new CodecError('UNSUPPORTED_FORMAT', message, { details: { codec: name } })
    }
    try {
      decoded = codec.decode(decoded)
    } catch (cause) {
      if (TroupeError.is(cause)) throw cause
      throw malformed(what, `the payload codec "${name}" could not decode it`, cause)
    }
  }
  return decoded
}

/** The error for bytes that are not what they should be. */
export function malformed(what: string, why: string, cause?: unknown): CodecError {
  return new CodecError('MALFORMED_PAYLOAD', `can't read ${what}: ${why}`, { cause })
}
