import type { MailMessage } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { messageOf } from '../connection/store.ts'
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
  const mail: Mail[] = []
  const previous = new Map<string, number>()
  for (let seq = after + 1; ;) {
    // Not up to the newest one: old servers don't find that when the newest of before was deleted.
    const found = await messageOf(connected, names.stream, { seq, next_by_subj: filter })
    if (found === undefined) return mail
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
}

/** How far a stream has come. */
export interface Extent {
  /** The newest sequence that it has given to a message, also where that is not there any more. */
  readonly seq: number
  /** When it was made: another one where somebody deleted it. */
  readonly created: string
}

export async function extentOf(connected: Connected, stream: string): Promise<Extent> {
  const what = `can't read the stream ${stream}`
  const { state, created } = await connected.patiently(what, () => connected.jsm.streams.info(stream))
  return { seq: state.last_seq, created }
}

/** Greater than any sequence: nothing is known of what comes before. */
const unknownPrevious = Number.MAX_SAFE_INTEGER

export function mailOf(names: MailNames, subject: string, messageId: string, data: Uint8Array): MailMessage {
  const owner = ownerOf(names, subject)
  // The client's bytes are part of a larger buffer, which would live on with them.
  const message = { ...addressOf(messageId), body: new Uint8Array(data) }
  return owner === undefined ? message : { ...message, owner }
}
