import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { CodecError } from '../base/errors.ts'
import type { PayloadCodec } from '../ports/payload-codec.ts'
import { refuse, refuseUnknown } from './check.ts'

/** How {@link compression} compresses. @public */
export interface CompressionOptions {
  /** Fewer bytes than this are left as they are. An integer ≥ 0, default 512. */
  readonly threshold?: number
  /** From 1, the fastest, to 9, which makes the fewest bytes. Default 6. */
  readonly level?: number
}

/**
 * What the first byte says of the rest:
 *
 * - plain: it is the payload
 * - deflated: the length of the payload, seven bits a byte, lowest first, the high bit set on all but the last; then the
 *   payload in raw DEFLATE (RFC 1951)
 *
 * Append only: the number is on disk.
 */
const Form = { plain: 0, deflated: 1 } as const

/** DEFLATE makes at most so many bytes of one; a length that tells of more is wrong, and no memory is taken for it. */
const mostOfOne = 1032

/**
 * A codec that compresses. Payloads that are small or would not become smaller are left as they are.
 *
 * What is encrypted can't be compressed: put it before `encryption`. The length of what is stored then tells how well the
 * content could be compressed.
 *
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function compression(options: CompressionOptions = {}): PayloadCodec {
  refuseUnknown(options, ['threshold', 'level'], 'compression')
  const { threshold = 512, level = 6 } = options
  if (!Number.isInteger(threshold) || threshold < 0) {
    refuse('threshold', `expected \`threshold\` to be an integer of at least 0, got ${String(threshold)}`)
  }
  if (!Number.isInteger(level) || level < 1 || level > 9) {
    refuse('level', `expected \`level\` to be an integer from 1 to 9, got ${String(level)}`)
  }
  return {
    name: 'deflate',
    encode(bytes) {
      if (bytes.length < threshold) return framed([Form.plain], bytes)
      const deflated = deflateRawSync(bytes, { level })
      const head = [Form.deflated, ...lengthBytes(bytes.length)]
      return head.length + deflated.length < 1 + bytes.length
        ? framed(head, deflated)
        : framed([Form.plain], bytes)
    },
    decode,
  }
}

function framed(head: readonly number[], rest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + rest.length)
  bytes.set(head)
  bytes.set(rest, head.length)
  return bytes
}

function lengthBytes(length: number): number[] {
  const bytes: number[] = []
  let rest = length
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  bytes.push(rest)
  return bytes
}

function decode(bytes: Uint8Array): Uint8Array {
  const form = bytes[0]
  if (form === Form.plain) return bytes.slice(1)
  if (form === undefined) throw damaged()
  if (form !== Form.deflated) {
    const why = `they have form ${form}, which this version does not know; upgrade Troupe`
    throw new CodecError('UNSUPPORTED_FORMAT', `can't decompress these bytes: ${why}`, { details: { form } })
  }
  let length = 0
  let at = 1
  for (let unit = 1; ; unit *= 0x80) {
    const byte = bytes[at++]
    if (byte === undefined || at > 9) throw damaged()
    length += (byte % 0x80) * unit
    if (byte < 0x80) break
  }
  const deflated = bytes.subarray(at)
  if (length === 0 || length > deflated.length * mostOfOne) throw damaged()
  const payload = inflate(deflated, length)
  if (payload.length !== length) throw damaged()
  return new Uint8Array(payload.buffer, payload.byteOffset, length)
}

function inflate(deflated: Uint8Array, maxOutputLength: number): Buffer {
  try {
    return inflateRawSync(deflated, { maxOutputLength })
  } catch (cause) {
    throw damaged(cause)
  }
}

function damaged(cause?: unknown): CodecError {
  return new CodecError(
    'MALFORMED_PAYLOAD',
    `can't decompress these bytes: they are damaged, or were not compressed by Troupe`,
    { cause },
  )
}
