import { CodecError, type Duration } from '@troupe/core'
import { toMilliseconds } from '@troupe/core/internal'
import { headerOf, type WatchRequest } from '../request.ts'
import type { WebhookEvent } from './event.ts'
import { isSignedBy, keysOf } from './signature.ts'

/** A webhook as it was received. @public */
export interface WebhookMessage {
  readonly headers: WatchRequest['headers']
  /** As it came, byte for byte: what a JSON parser made of it can't be verified. */
  readonly body: string | Uint8Array
}

/** @public */
export interface VerifyOptions {
  /** How old a webhook may be, or how far ahead its clock: an old one may be a recording; default `'5m'`. */
  readonly tolerance?: Duration
  /** The time, in milliseconds since 1970; default now. */
  readonly now?: number
}

/**
 * What a webhook says, once it is certain that who knows the secret sent it, and lately. It may come more than once: its
 * `webhook-id` tells.
 *
 * @param secret - The endpoint's, or several.
 * @throws {@link CodecError} `INVALID_SIGNATURE`; {@link UsageError} `INVALID_OPTION` for a secret that is none
 * @public
 */
export function verifyWebhook(
  { headers, body }: WebhookMessage,
  secret: string | readonly string[],
  { tolerance = '5m', now = Date.now() }: VerifyOptions = {},
): WebhookEvent {
  const keys = keysOf(secret)
  const toleranceMs = toMilliseconds(tolerance, 'tolerance')
  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  const signatures = headerOf(headers, 'webhook-signature')
  if (id === undefined || timestamp === undefined || signatures === undefined)
    throw refused('it lacks webhook-id, webhook-timestamp or webhook-signature')
  if (!isSignedBy({ id, timestamp, body }, signatures, keys))
    throw refused('the signature is not by this secret')
  if (!(Math.abs(now - Number(timestamp) * 1000) <= toleranceMs))
    throw refused('it is too old, or a clock is wrong')
  return JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body)) as WebhookEvent
}

function refused(why: string): CodecError {
  return new CodecError('INVALID_SIGNATURE', `the webhook is refused: ${why}`)
}
