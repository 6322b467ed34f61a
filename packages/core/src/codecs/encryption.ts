import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { CodecError } from '../base/errors.ts'
import type { PayloadCodec } from '../ports/payload-codec.ts'
import { refuse, refuseUnknown } from './check.ts'

/** A key of 256 bits: 32 bytes, or a text of them in hexadecimal (64 digits) or base64 (43 characters and `=`). @public */
export type EncryptionKey = Uint8Array | string

/** How {@link encryption} encrypts: with one key, or with one of several, of which the others are for reading. @public */
export type EncryptionOptions =
  | {
      /** The only key. Its id is `key`. */
      readonly key: EncryptionKey
    }
  | {
      /**
       * Keys by their ids. An id is stored in clear with what its key encrypted: 1 to 64 of `A`–`Z`, `a`–`z`, `0`–`9`,
       * `.`, `_` and `-`. Keep a key as long as something that it encrypted is to be read.
       */
      readonly keys: Readonly<Record<string, EncryptionKey>>
      /** Id of the key that encrypts from now on. */
      readonly current: string
    }

/*
 * byte 0            form: 1
 * byte 1            length of the key's id
 * then              the key's id, in ASCII
 * 12 bytes          the nonce, drawn anew each time
 * …                 the payload in AES-256-GCM; all bytes up to the nonce are authenticated with it
 * the last 16       the tag
 */
const form = 1
const nonceLength = 12
const tagLength = 16
const keyId = /^[A-Za-z0-9._-]{1,64}$/
const algorithm = 'aes-256-gcm'

/**
 * A codec that encrypts with AES-256-GCM: nobody without the key can read or change what is stored without notice.
 *
 * Each call draws a random nonce of 96 bits. Change the key before it has encrypted 2^32 payloads: from then on, the chance
 * that a nonce was drawn twice is no longer negligible, and that would give content away.
 *
 * @example
 * ```ts
 * encryption({ keys: { 2026: oldKey, 2027: newKey }, current: '2027' })
 * ```
 * @throws UsageError `INVALID_OPTION`: a key is not 32 bytes, an id is none, or `current` is not among `keys`.
 * @public
 */
export function encryption(options: EncryptionOptions): PayloadCodec {
  const { keys, current } = keysOf(options)
  const key = keys.get(current) ?? refuseCurrent(current, keys)
  const head = Buffer.concat([Uint8Array.of(form, current.length), Buffer.from(current, 'latin1')])
  return {
    name: algorithm,
    encode(bytes) {
      const nonce = randomBytes(nonceLength)
      const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagLength })
      cipher.setAAD(head)
      const encrypted = cipher.update(bytes)
      cipher.final() // of a stream cipher: nothing is left
      const result = new Uint8Array(head.length + nonceLength + encrypted.length + tagLength)
      let at = 0
      for (const part of [head, nonce, encrypted, cipher.getAuthTag()]) {
        result.set(part, at)
        at += part.length
      }
      return result
    },
    decode: (bytes) => decrypt(bytes, keys),
  }
}

function decrypt(bytes: Uint8Array, keys: ReadonlyMap<string, KeyObject>): Uint8Array {
  if (bytes[0] !== form) throw notEncrypted(bytes[0])
  const headLength = 2 + (bytes[1] ?? 0)
  const end = bytes.length - tagLength
  if (end < headLength + nonceLength) throw malformed('they are cut off')
  const head = bytes.subarray(0, headLength)
  const id = String.fromCharCode(...head.subarray(2))
  if (!keyId.test(id)) throw malformed('they name no key')
  const key = keys.get(id)
  if (key === undefined) {
    const why = `they were encrypted with the key "${id}", which is not configured here`
    throw failed(id, `${why}; give that key to \`encryption\`, in \`keys\` under this id`)
  }
  const nonce = bytes.subarray(headLength, headLength + nonceLength)
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagLength })
  decipher.setAAD(head)
  decipher.setAuthTag(bytes.subarray(end))
  const payload = decipher.update(bytes.subarray(headLength + nonceLength, end))
  try {
    decipher.final()
  } catch {
    const why = `the key "${id}" that is configured here is not the one that encrypted them, or they were changed`
    throw failed(id, `${why}; give \`encryption\` the key that had this id then, or restore the bytes`)
  }
  return new Uint8Array(payload.buffer, payload.byteOffset, payload.length)
}

function failed(id: string, why: string): CodecError {
  return new CodecError('DECRYPTION_FAILED', `can't decrypt these bytes: ${why}`, { details: { key: id } })
}

function malformed(why: string): CodecError {
  return new CodecError('MALFORMED_PAYLOAD', `can't decrypt these bytes: ${why}`)
}

function notEncrypted(found: number | undefined): CodecError {
  if (found === undefined || found === 0) return malformed('they were not encrypted by Troupe')
  const why = `they have form ${found}, which this version does not know; upgrade Troupe`
  return new CodecError('UNSUPPORTED_FORMAT', `can't decrypt these bytes: ${why}`, {
    details: { form: found },
  })
}

interface Keys {
  readonly keys: ReadonlyMap<string, KeyObject>
  readonly current: string
}

function keysOf(options: EncryptionOptions): Keys {
  if (typeof options !== 'object' || options === null)
    refuse('key', 'encryption needs `key`, or `keys` and `current`')
  if ('key' in options) {
    refuseUnknown(options, ['key'], 'encryption with `key`')
    return { keys: new Map([['key', secretOf(options.key, 'key')]]), current: 'key' }
  }
  refuseUnknown(options, ['keys', 'current'], 'encryption')
  const { keys, current } = options
  if (typeof keys !== 'object' || keys === null)
    refuse('keys', '`keys` must be an object of keys by their ids')
  const secrets = new Map<string, KeyObject>()
  for (const [id, key] of Object.entries(keys)) {
    if (!keyId.test(id)) {
      refuse(
        'keys',
        `\`keys\`: an id is 1 to 64 of A–Z, a–z, 0–9, ".", "_" and "-", got ${JSON.stringify(id)}`,
      )
    }
    secrets.set(id, secretOf(key, `keys.${id}`))
  }
  return { keys: secrets, current }
}

function refuseCurrent(current: unknown, keys: ReadonlyMap<string, unknown>): never {
  const ids = [...keys.keys()].map((id) => `"${id}"`).join(', ')
  refuse(
    'current',
    `\`current\` must be the id of one of \`keys\`: ${ids || 'there are none'}; got ${idText(current)}`,
  )
}

/** Whoever mistakes the id for the key must not find the key in a log. */
function idText(current: unknown): string {
  return typeof current === 'string' && keyId.test(current) && current.length < 32
    ? `"${current}"`
    : `another ${typeof current}`
}

const hex = /^[\da-f]{64}$/i
const base64 = /^[\w+/-]{43}=?$/

function secretOf(key: EncryptionKey, option: string): KeyObject {
  if (key instanceof Uint8Array) {
    if (key.length !== 32) refuseKey(option, `${key.length} bytes`)
    return createSecretKey(key)
  }
  if (typeof key !== 'string') refuseKey(option, key === null ? 'null' : `a ${typeof key}`)
  if (hex.test(key)) return createSecretKey(Buffer.from(key, 'hex'))
  if (base64.test(key)) return createSecretKey(Buffer.from(key, 'base64'))
  refuseKey(option, `a text of ${key.length} characters`)
}

/** Says what is wrong with a key without a word of it. */
function refuseKey(option: string, got: string): never {
  const expected = '32 bytes, 64 hexadecimal digits or 44 characters of base64'
  const how = `make one with \`node -p "crypto.randomBytes(32).toString('base64')"\``
  refuse(option, `\`${option}\` must be a key of 256 bits: ${expected}; got ${got}; ${how}`)
}
