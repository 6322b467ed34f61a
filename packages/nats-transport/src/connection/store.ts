import type { StoredMsg } from '@nats-io/jetstream'
import type { MsgHdrs } from '@nats-io/transport-node'
import { JournalError, TroupeError } from '@troupe/core'
import { patienceMs, type Connected } from './connected.ts'
import { codeOf, codes, troubleWith, unavailable } from './errors.ts'
import type { Outcome, Refusal } from './publisher.ts'

/** What is to be stored once. */
export interface ToStore {
  readonly stream: string
  readonly subject: string
  readonly payload: Uint8Array
  /** Names the message: one that is sent again has the same. In the header `Nats-Msg-Id`. */
  readonly id: string
  /** Stream sequence of the newest message of the subject, 0 for none; undefined where it does not matter. */
  readonly expected?: number
  /** Further headers, each `name: value\r\n`. */
  readonly lines?: string
  /** For how long it is tried. Default 30 s: longer than an election. */
  readonly forMs?: number
}

/** What came of it. */
export type Stored =
  | { readonly kind: 'stored'; readonly seq: number; readonly duplicate: boolean }
  /** Another message is the newest of the subject; undefined where there is none. */
  | { readonly kind: 'moved'; readonly last: StoredMsg | undefined }
  /** The stream, its account or the server has no room; or there is a message of the subject, and only one may be. */
  | { readonly kind: 'full'; readonly refusal: Refusal }

/**
 * The newest message of a subject, as its leader has it: every write that was answered is seen.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`, `ENGINE_CLOSED`; `JOURNAL_UNAVAILABLE` where the stream is gone
 */
export async function lastOf(
  connected: Connected,
  stream: string,
  subject: string,
  forMs?: number,
): Promise<StoredMsg | undefined> {
  return messageOf(connected, stream, { last_by_subj: subject }, forMs)
}

/**
 * One message, as the leader has it; undefined where there is none.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`, `ENGINE_CLOSED`; `JOURNAL_UNAVAILABLE` where the stream is gone
 */
export async function messageOf(
  connected: Connected,
  stream: string,
  query: { last_by_subj: string } | { seq: number; next_by_subj: string },
  forMs?: number,
): Promise<StoredMsg | undefined> {
  const what = `can't read the stream ${stream}`
  try {
    const ask = (): Promise<StoredMsg | null> =>
      // The client's type of a query has the sequence alone; the server takes both.
      connected.jsm.streams.getMessage(stream, query as { last_by_subj: string })
    return (await connected.patiently(what, ask, forMs)) ?? undefined
  } catch (error) {
    if (codeOf(error) === codes.messageNotFound) return undefined
    if (codeOf(error) === codes.streamNotFound) throw streamGone(stream, connected.where, error)
    throw troubleWith(what, connected.where, error)
  }
}

/** Whether a stream is not there any more. */
export function isStreamGone(error: unknown): boolean {
  return TroupeError.is(error) && error.details['reason'] === 'stream-gone'
}

export function streamGone(stream: string, where: string, cause?: unknown): JournalError {
  return new JournalError(
    'JOURNAL_UNAVAILABLE',
    `the stream ${stream} at ${where} is gone: somebody deleted it, or the server lost it; restore it from a backup, or start the nodes again to begin with an empty one`,
    { cause, details: { stream, reason: 'stream-gone' } },
  )
}

/**
 * Stores a message once, however often it has to be sent: an answer that does not come is asked for again with the same id, and
 * where the server then speaks of another message, it is looked at whose that is. So it holds whether this server remembers ids
 * first or looks at sequences first, and also where it remembers an id of a message that it never stored.
 *
 * @throws JournalError `TRANSPORT_UNAVAILABLE`, `ENGINE_CLOSED`; CodecError `PAYLOAD_TOO_LARGE`; JournalError
 *   `JOURNAL_UNAVAILABLE` where the stream is gone
 */
export async function store(connected: Connected, message: ToStore): Promise<Stored> {
  const { subject, payload, id, expected, lines = '' } = message
  const expectation = expected === undefined ? '' : `Nats-Expected-Last-Subject-Sequence: ${expected}\r\n`
  const rest = expectation + lines
  const first = await connected.publisher.publish(subject, payload, `Nats-Msg-Id: ${id}\r\n${rest}`)
  // Nearly always the only one.
  const stored =
    first.kind === 'stored' && !first.duplicate
      ? first
      : await new Repeated(connected, message, rest).until(first)
  return connected.server.exactSequences ? stored : looked(connected, message, stored)
}

/** Of several that were all stored behind one message, the first counts: this one, or another. */
async function looked(
  connected: Connected,
  { stream, subject, expected = 0 }: ToStore,
  stored: Stored,
): Promise<Stored> {
  if (stored.kind !== 'stored' || expected === 0 || stored.seq === expected + 1) return stored
  const first = await messageOf(connected, stream, { seq: expected + 1, next_by_subj: subject })
  if (first?.seq === stored.seq) return stored
  return { kind: 'moved', last: await lastOf(connected, stream, subject) }
}

/** The newest message of a subject that counts, and the newest sequence of the subject, 0 for none. */
export interface Newest {
  readonly seq: number
  readonly message: StoredMsg | undefined
}

/**
 * The newest message of a subject that counts, as the leader has it. See {@link ServerFacts.exactSequences}: a message counts where the
 * one that it expected is the one before it.
 *
 * @throws as {@link lastOf}
 */
export async function newestOf(connected: Connected, stream: string, subject: string): Promise<Newest> {
  const last = await lastOf(connected, stream, subject)
  if (last === undefined) return { seq: 0, message: undefined }
  const message = connected.server.exactSequences ? last : await countingUpTo(connected, stream, last)
  return { seq: last.seq, message }
}

/** A message, or where it does not count, the newest one before it that does. */
async function countingUpTo(
  connected: Connected,
  stream: string,
  last: StoredMsg,
): Promise<StoredMsg | undefined> {
  if (await counts(connected, stream, { seq: last.seq, subject: last.subject, headers: last.header }))
    return last
  const { subject } = last
  const from = expectedBy(last.header)
  const base = await messageOf(connected, stream, { seq: from, next_by_subj: subject })
  let newest = base?.seq === from ? await countingUpTo(connected, stream, base) : undefined
  for (let before = from; before < last.seq;) {
    const next = await messageOf(connected, stream, { seq: before + 1, next_by_subj: subject })
    if (next === undefined) break
    if (expectedBy(next.header) === before) newest = next
    before = next.seq
  }
  return newest
}

/** Whether a message counts. */
export async function counts(
  connected: Connected,
  stream: string,
  { seq, subject, headers }: { readonly seq: number; readonly subject: string; readonly headers: MsgHdrs },
): Promise<boolean> {
  if (connected.server.exactSequences) return true
  const expected = expectedBy(headers)
  if (expected === 0 || seq === expected + 1) return true
  const first = await messageOf(connected, stream, { seq: expected + 1, next_by_subj: subject })
  return first?.seq === seq
}

/** Sequence of the message that a message expected before it on its subject; 0 where it expected none, or did not say. */
export function expectedBy(headers: MsgHdrs): number {
  return Number(headers.get('Nats-Expected-Last-Subject-Sequence'))
}

/** A message that was not stored at the first try, or may have been. */
class Repeated {
  readonly #connected: Connected
  readonly #message: ToStore
  readonly #lines: string
  readonly #until: number
  #tries = 0
  /** How often the server knew the id of a message that it did not have. */
  #phantoms = 0

  constructor(connected: Connected, message: ToStore, lines: string) {
    this.#connected = connected
    this.#message = message
    this.#lines = lines
    this.#until = connected.monotonic() + (message.forMs ?? patienceMs)
  }

  async until(first: Outcome): Promise<Stored> {
    const { subject, payload, id } = this.#message
    for (let outcome = first; ;) {
      const stored = await this.#judge(outcome)
      if (stored !== undefined) return stored
      await this.#pause(outcome)
      const name = this.#phantoms === 0 ? id : `${id}~${this.#phantoms}`
      const { publisher } = this.#connected
      outcome = await publisher.publish(subject, payload, `Nats-Msg-Id: ${name}\r\n${this.#lines}`)
    }
  }

  /** @returns Undefined where it is to be tried again */
  async #judge(outcome: Outcome): Promise<Stored | undefined> {
    const { expected } = this.#message
    if (outcome.kind === 'unanswered') return undefined
    if (outcome.kind === 'stored') {
      if (!outcome.duplicate || expected === undefined) return outcome
      return this.#look(true)
    }
    const { refusal } = outcome
    if (refusal.code === codes.wrongLastSequence) return this.#look(false)
    if (refusal.code === codes.sequenceInFlight || refusal.code === codes.duplicateInFlight) return undefined
    if (isFull(refusal)) return { kind: 'full', refusal }
    if (refusal.status === 503) return undefined
    throw new JournalError(
      'TRANSPORT_UNAVAILABLE',
      `the server at ${this.#connected.where} refused a message on ${this.#message.subject}: ${refusal.description}`,
      {
        details: {
          reason: refusal.status === 403 ? 'permissions' : refusal.code,
          subject: this.#message.subject,
        },
      },
    )
  }

  /** Whose message is the newest of the subject? */
  async #look(duplicate: boolean): Promise<Stored | undefined> {
    const { stream, subject, id, expected = 0 } = this.#message
    const last = await lastOf(this.#connected, stream, subject, this.#left())
    if (last !== undefined && isOf(last, id)) return { kind: 'stored', seq: last.seq, duplicate: true }
    // One that does not count may have come behind it.
    if (last !== undefined && last.seq > expected && !this.#connected.server.exactSequences) {
      const { message } = await newestOf(this.#connected, stream, subject)
      if (message !== undefined && isOf(message, id))
        return { kind: 'stored', seq: message.seq, duplicate: true }
    }
    // Nothing has changed: the server erred, as replicated ones may under load, or remembers what it never stored.
    if ((last?.seq ?? 0) === expected) {
      if (duplicate) this.#phantoms++
      return undefined
    }
    return { kind: 'moved', last }
  }

  #left(): number {
    return Math.max(this.#until - this.#connected.monotonic(), 1)
  }

  async #pause(outcome: Outcome): Promise<void> {
    const connected = this.#connected
    const { stream, subject } = this.#message
    if (connected.monotonic() >= this.#until) {
      const why = outcome.kind === 'unanswered' ? outcome.why : 'refused'
      throw unavailable(`no answer to a message on ${subject} (${why})`, connected.where, { reason: why })
    }
    await connected.pause(this.#tries++)
    if (!connected.up) await connected.whenUp(this.#left())
    // Nobody listens while a leader is elected, and also where the stream is gone.
    const nobody = outcome.kind === 'unanswered' && outcome.why === 'no responders'
    if (nobody && this.#tries % 4 === 0 && (await isGone(connected, stream)))
      throw streamGone(stream, connected.where)
  }
}

/** Whether a message is the one of an id. */
export function isOf(message: StoredMsg, id: string): boolean {
  const stored = message.header.get('Nats-Msg-Id')
  return stored === id || stored.startsWith(`${id}~`)
}

const full: readonly unknown[] = [codes.notStored, codes.noStorage, codes.accountFull, codes.noResources]

function isFull({ code }: Refusal): boolean {
  return full.includes(code)
}

async function isGone({ jsm }: Connected, stream: string): Promise<boolean> {
  try {
    await jsm.streams.info(stream)
    return false
  } catch (error) {
    return codeOf(error) === codes.streamNotFound
  }
}
