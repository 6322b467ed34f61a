import { JournalError, TroupeError, type DeadLetter } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes, isForbidden, troubleWith } from '../connection/errors.ts'
import { asciiOf } from '../connection/headers.ts'
import { store, type Stored, type ToStore } from '../connection/store.ts'
import { ensureStream } from '../connection/streams.ts'
import { tokenOf } from '../tokens.ts'
import type { EventMessage } from './message.ts'
import { isSubject, type EventsSettings } from './options.ts'

/** For how long a letter is known that is sent again. */
const duplicateWindowNs = 3_600_000 * 1e6
/** Longest text in a header, before what is no ASCII is escaped. */
const longestText = 500
/** Of the largest message that the server takes, so much is left for what is said of it. */
const room = 16_384
/** How long one try may take: the intake tries again. */
const tryForMs = 10_000

/** The place for dead letters of one intake. */
export class Graves {
  readonly #settings: Pick<EventsSettings<unknown>, 'connection' | 'stream' | 'consumer'>
  /** Streams that keep subjects, as far as they are known. */
  readonly #keepers = new Map<string, string>()

  constructor(settings: Pick<EventsSettings<unknown>, 'connection' | 'stream' | 'consumer'>) {
    this.#settings = settings
  }

  /**
   * Keeps a message as a dead letter: it is published with its body and its headers, and why it is dead.
   *
   * @param where - The subject; default `<namespace>.dead.<intake>`, which is kept by a stream that is made for it. `filters` are the
   * subjects that are taken; undefined for all.
   * @throws JournalError `TRANSPORT_UNAVAILABLE`, `TRANSPORT_UNSUPPORTED`
   */
  async bury(
    connected: Connected,
    message: EventMessage,
    letter: DeadLetter,
    where: { readonly place: string | undefined; readonly filters: readonly string[] | undefined },
  ): Promise<void> {
    const subject = where.place ?? `${this.#settings.connection.namespace}.dead.${tokenOf(letter.intake, 64)}`
    const stream = this.#keepers.get(subject) ?? (await this.#keeperOf(connected, subject, where.filters))
    this.#keepers.set(subject, stream)
    try {
      await publish(connected, message, letter, { stream, subject, consumer: this.#settings.consumer })
    } catch (error) {
      // It may have been deleted.
      this.#keepers.delete(subject)
      throw error
    }
  }

  /** The stream that keeps a subject. */
  async #keeperOf(
    connected: Connected,
    subject: string,
    filters: readonly string[] = ['>'],
  ): Promise<string> {
    const { namespace, storage, replicas = 1 } = this.#settings.connection
    if (!isSubject(subject) || /[*>]/.test(subject))
      throw new JournalError('TRANSPORT_UNSUPPORTED', `${subject} is no subject that can be published to`, {
        details: { needed: 'a subject without wildcards' },
      })
    const own = `${namespace}.dead.`
    if (subject.startsWith(own) && !subject.slice(own.length).includes('.')) {
      const name = `${namespace}_DEAD`
      await ensureStream(connected, {
        name,
        subjects: [`${own}*`],
        retention: 'limits',
        storage,
        num_replicas: replicas,
        duplicate_window: duplicateWindowNs,
      })
      return name
    }
    const stream = await streamOf(connected, subject)
    if (stream === this.#settings.stream && filters.some((filter) => covers(filter, subject)))
      throw new JournalError(
        'TRANSPORT_UNSUPPORTED',
        `${subject} is a subject that the intake itself takes from: its dead letters would come again and again`,
        { details: { needed: 'another subject', stream } },
      )
    return stream
  }
}

async function publish(
  connected: Connected,
  message: EventMessage,
  letter: DeadLetter,
  {
    stream,
    subject,
    consumer,
  }: { readonly stream: string; readonly subject: string; readonly consumer: string },
): Promise<void> {
  const { maxPayload } = connected.server
  // Headers that fill a message leave no room for what is to be said of it.
  const own = ownLines(message)
  const kept = Buffer.byteLength(own) > maxPayload / 2 ? '' : own
  const left = maxPayload - Buffer.byteLength(kept)
  const parts = partsOf(message.data, left - Math.min(room, Math.floor(left / 2)))
  for (const [index, payload] of parts.entries()) {
    const part = parts.length === 1 ? undefined : `${index + 1}/${parts.length}`
    // Each consumer of the stream may have a letter of the same message, and one stream may keep them all.
    const id = `${message.stream}/${consumer}/${message.sequence}:${message.storedAtNs}`
    const stored = await storeOnce(connected, {
      stream,
      subject,
      payload,
      id: part === undefined ? id : `${id}:${part}`,
      lines: kept + linesOf(message, letter, part),
      forMs: tryForMs,
    })
    if (stored.kind === 'stored') continue
    const why = stored.kind === 'full' ? stored.refusal.description : 'it takes no messages'
    throw new JournalError('TRANSPORT_UNAVAILABLE', `the stream ${stream} took no dead letter: ${why}`, {
      details: { servers: connected.where, stream, reason: stored.kind },
    })
  }
}

/** Stores a letter, unless it is there: a server may know the id of one that was deleted, or that it never stored. */
async function storeOnce(connected: Connected, letter: ToStore): Promise<Stored> {
  const { id } = letter
  for (let name = id, phantoms = 0; ; name = `${id}~${++phantoms}`) {
    const stored = await store(connected, { ...letter, id: name })
    if (stored.kind !== 'stored' || !stored.duplicate) return stored
    if (await isKept(connected, letter.stream, { seq: stored.seq, id: name })) return stored
  }
}

async function isKept(
  connected: Connected,
  stream: string,
  { seq, id }: { readonly seq: number; readonly id: string },
): Promise<boolean> {
  const what = `can't read message ${seq} of ${stream}`
  try {
    const found = await connected.patiently(
      what,
      () => connected.jsm.streams.getMessage(stream, { seq }),
      tryForMs,
    )
    return found?.header.get('Nats-Msg-Id') === id
  } catch (error) {
    if (codeOf(error) === codes.messageNotFound) return false
    // Who may write there need not be one who may read.
    if (isForbidden(error)) return true
    throw troubleWith(what, connected.where, error)
  }
}

async function streamOf(connected: Connected, subject: string): Promise<string> {
  const what = `can't find the stream that keeps ${subject}`
  try {
    return await connected.patiently(what, () => connected.jsm.streams.find(subject), tryForMs)
  } catch (error) {
    const isNone =
      codeOf(error) === codes.streamNotFound ||
      (error instanceof Error && /no stream matches/.test(error.message))
    if (!isNone) throw troubleWith(what, connected.where, error)
    throw new JournalError(
      'TRANSPORT_UNAVAILABLE',
      `no stream at ${connected.where} keeps ${subject}, where dead letters are to go; make one`,
      { cause: error, details: { servers: connected.where, reason: 'no stream', subject } },
    )
  }
}

/** Whether a subject is one of those that a filter stands for. */
function covers(filter: string, subject: string): boolean {
  const tokens = subject.split('.')
  const wanted = filter.split('.')
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return tokens.length > index
    if (token !== '*' && token !== tokens[index]) return false
  }
  return wanted.length === tokens.length
}

/** A body that fills a message leaves no room for more headers: it goes in two. */
function partsOf(data: Uint8Array, most: number): readonly Uint8Array[] {
  if (data.length <= most) return [data]
  const parts: Uint8Array[] = []
  const size = Math.max(1, Math.min(most, Math.ceil(data.length / 2)))
  for (let at = 0; at < data.length; at += size) parts.push(data.subarray(at, at + size))
  return parts
}

/** Headers of the message, but those that mean something to servers, and those of a letter that it was before. */
function ownLines(message: EventMessage): string {
  return [...message.headers()]
    .filter(([name]) => !/^(nats|troupe)-/i.test(name))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
}

function linesOf(message: EventMessage, letter: DeadLetter, part: string | undefined): string {
  const { error, intake, flow, key, at } = letter
  const facts: Readonly<Record<string, string | undefined>> = {
    'Troupe-Reason': reasonOf(error),
    'Troupe-Error': plain(error instanceof Error ? error.message : String(error)),
    'Troupe-Intake': plain(intake),
    'Troupe-Flow': plain(flow),
    'Troupe-Key': key === undefined ? undefined : plain(key),
    'Troupe-Stream': message.stream,
    'Troupe-Subject': message.subject,
    'Troupe-Sequence': String(message.sequence),
    'Troupe-Deliveries': String(letter.deliveries),
    'Troupe-At': new Date(at).toISOString(),
    'Troupe-Part': part,
  }
  return Object.entries(facts)
    .map(([name, value]) => (value === undefined ? '' : `${name}: ${value}\r\n`))
    .join('')
}

/** Its code, else the name of its class. */
function reasonOf(error: unknown): string {
  if (TroupeError.is(error)) return error.code
  return error instanceof Error ? plain(error.name) : typeof error
}

/** A text as one line of ASCII. */
function plain(text: string): string {
  return asciiOf(text.slice(0, longestText)).slice(1, -1)
}
