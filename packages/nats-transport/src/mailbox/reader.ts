import type { MailMessage } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { lastOf, messageOf } from '../connection/store.ts'
import { addressOf, ownerOf, type MailNames } from './names.ts'

/** A message, and where it is. */
export interface Mail {
  readonly message: MailMessage
  readonly seq: number
  readonly subject: string
  /** The message before it on its subject, 0 for none. */
  readonly previous: number
}

/**
 * Messages of a filter, as the stream's leader has them, oldest first: all that were stored before the call.
 *
 * @param after - Those that come after this sequence.
 */
export async function readMail(
  connected: Connected,
  names: MailNames,
  filter: string,
  after = 0,
): Promise<Mail[]> {
  const newest = await lastOf(connected, names.stream, filter)
  const mail: Mail[] = []
  if (newest === undefined || newest.seq <= after) return mail
  const previous = new Map<string, number>()
  for (let seq = after + 1; seq <= newest.seq;) {
    const query = { seq, next_by_subj: filter }
    const found = seq === newest.seq ? newest : await messageOf(connected, names.stream, query)
    // The rest was confirmed meanwhile.
    if (found === undefined || found.seq > newest.seq) break
    const { subject } = found
    mail.push({
      message: mailOf(names, subject, found.header.get('Nats-Msg-Id'), found.data),
      seq: found.seq,
      subject,
      previous: previous.get(subject) ?? (after === 0 ? 0 : unknownPrevious),
    })
    previous.set(subject, found.seq)
    seq = found.seq + 1
  }
  return mail
}

/** Greater than any sequence: nothing is known of what comes before. */
const unknownPrevious = Number.MAX_SAFE_INTEGER

export function mailOf(names: MailNames, subject: string, messageId: string, data: Uint8Array): MailMessage {
  const owner = ownerOf(names, subject)
  // The client's bytes are part of a larger buffer, which would live on with them.
  const message = { ...addressOf(messageId), body: data.slice() }
  return owner === undefined ? message : { ...message, owner }
}
