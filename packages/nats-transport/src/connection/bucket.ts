import { DiscardPolicy, RetentionPolicy, type StorageType } from '@nats-io/jetstream'
import type { Connected } from './connected.ts'
import { ensureStream, type WantedStream } from './streams.ts'
import type { Bucket } from '../names.ts'
import type { Settings } from '../options.ts'

/**
 * Makes the stream of a key-value bucket as the client does, with two things that its `create` has not: it changes what is there where
 * it has to, and tells of each change after it was stored.
 *
 * @param more - What else is wanted of it.
 * @throws JournalError `TRANSPORT_UNAVAILABLE`, `TRANSPORT_UNSUPPORTED`
 */
export async function ensureBucket(
  connected: Connected,
  { stream, subject, live }: Bucket,
  settings: Settings,
  more: Partial<WantedStream> = {},
): Promise<void> {
  await ensureStream(connected, {
    ...more,
    name: stream,
    subjects: [`${subject}>`],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    storage: settings.storage as StorageType,
    num_replicas: settings.replicas ?? 1,
    // Where several may be stored at once, the first of them is to be told.
    max_msgs_per_subject: connected.server.exactSequences ? 1 : 32,
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_delete: true,
    republish: { src: `${subject}>`, dest: `${live}>` },
  })
}

/** A key as a part of a subject: what subjects do not take is written as the hexadecimal digits of its UTF-8. */
export function tokenOf(key: string): string {
  if (key === '') return '='
  return key.replace(/[^\w.-]|^\.|\.$|\.(?=\.)/gu, (character) =>
    Array.from(new TextEncoder().encode(character), (byte) => `=${byte.toString(16).padStart(2, '0')}`).join(
      '',
    ),
  )
}

export function keyOf(token: string): string {
  if (token === '=') return ''
  return decodeURIComponent(token.replaceAll('%', '%25').replaceAll('=', '%'))
}
