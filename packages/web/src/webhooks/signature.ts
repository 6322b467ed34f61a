/**
 * Signatures of Standard Webhooks.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { UsageError } from '@troupe/core'

const prefix = 'whsec_'
const scheme = 'v1,'

/** A key of as many bytes, by the specification. */
const fewest = 24
const mostBytes = 64

/** @throws UsageError `INVALID_OPTION` */
export function keysOf(secret: string | readonly string[]): readonly Buffer[] {
  const secrets = typeof secret === 'string' ? [secret] : secret
  if (!Array.isArray(secrets) || secrets.length === 0) throw refused()
  return secrets.map((each: unknown) => {
    if (typeof each !== 'string') throw refused()
    const text = each.startsWith(prefix) ? each.slice(prefix.length) : each
    const key = Buffer.from(text, 'base64')
    const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text)
    if (!isBase64 || key.length < fewest || key.length > mostBytes) throw refused()
    return key
  })
}

function refused(): UsageError {
  return new UsageError(
    'INVALID_OPTION',
    `expected \`secret\` to be ${fewest} to ${mostBytes} bytes in base64, after \`${prefix}\`, or a list of such: ` +
      `'${prefix}' + randomBytes(32).toString('base64')`,
    { details: { option: 'secret' } },
  )
}

/** What is signed. */
interface Signed {
  readonly id: string
  /** Seconds since 1970. */
  readonly timestamp: string
  readonly body: string | Uint8Array
}

function digest({ id, timestamp, body }: Signed, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()
}

/** A signature by each key: a receiver that knows only one of them can verify it, so that keys can be changed. */
export function sign(signed: Signed, keys: readonly Buffer[]): string {
  return keys.map((key) => `${scheme}${digest(signed, key).toString('base64')}`).join(' ')
}

/** Whether one of the signatures was made with one of the keys. */
export function isSignedBy(signed: Signed, signatures: string, keys: readonly Buffer[]): boolean {
  const given = signatures
    .split(' ')
    .flatMap((each) => (each.startsWith(scheme) ? [Buffer.from(each.slice(scheme.length), 'base64')] : []))
  return keys.some((key) => {
    const expected = digest(signed, key)
    return given.some((each) => each.length === expected.length && timingSafeEqual(each, expected))
  })
}
