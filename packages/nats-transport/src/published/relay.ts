import { DiscardPolicy, RetentionPolicy, type StorageType } from '@nats-io/jetstream'
import { JournalError, TroupeError } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import type { Link } from '../connection/link.ts'
import { messagesFrom } from '../connection/messages.ts'
import type { Outcome } from '../connection/publisher.ts'
import { ensureStream } from '../connection/streams.ts'
import type { NatsJournal } from '../journal/nats-journal.ts'
import { namesOf } from '../names.ts'
import { publishWindowMs, type PublishSettings } from '../options.ts'
import type { Checkpoint } from './checkpoint.ts'
import { publishedPayload } from './payload.ts'
import type { ToPublish, TransitionsOf } from './transitions-of.ts'
import { publishedSubject } from './subjects.ts'

/** Records read at once. */
const mostRecords = 250
/** How often it is looked whether the node that publishes is gone. */
const standByMs = 2_000
/** How often the mark is moved at most; and how often it is written anew at least, as a sign of life. */
const markMs = 500
const aliveMs = 5_000
/** How often it is looked whether there is something that nobody told of. */
const lookMs = 5_000
/** How long to wait after a record that this node can't read, and others perhaps can. */
const othersMs = 15_000
/** How long the last ones may take, when the node is closed. */
const lastMs = 2_000
/** How long to wait after a failure. */
const againMs = 1_000

export interface RelayParts {
  readonly link: Link
  readonly journal: NatsJournal
  readonly checkpoint: Checkpoint
  readonly transitions: TransitionsOf
  readonly settings: PublishSettings & { readonly kept: NonNullable<PublishSettings['kept']> }
}

/**
 * Publishes all transitions of a namespace into a stream, from the journals: so whatever was committed is published, whoever is killed
 * when. One of the nodes does it, and marks how far it is; another one goes on from there. What it published after the mark is published
 * again, and the server knows it by its id.
 */
export class Relay {
  readonly #parts: RelayParts
  readonly #stream: string
  readonly #prefix: string
  #running: Promise<void> | undefined
  #ended = false
  /** Undefined where another node publishes. */
  #done: number | undefined
  #marked = { seq: -1, at: Number.NEGATIVE_INFINITY }
  #news = false
  #unsubscribe: (() => void) | undefined
  #wake: (() => void) | undefined

  constructor(parts: RelayParts) {
    this.#parts = parts
    const { stream, subjects } = namesOf(parts.link.settings.namespace).published
    this.#stream = stream
    this.#prefix = subjects
  }

  /** Publishes from now on, or stands by; calling it again does nothing. */
  start(): void {
    if (!this.#ended) this.#running ??= this.#run()
  }

  /** Publishes what is there still, and lets another node go on. */
  async end(): Promise<void> {
    this.#ended = true
    this.#unsubscribe?.()
    this.#wake?.()
    if (this.#running === undefined) return
    try {
      // A server that does not answer keeps nobody from closing: another node goes on, or this one the next time.
      if (!(await this.#parts.link.bulk()).up) return
      await this.#running
      const until = this.#monotonic() + lastMs
      while (this.#done !== undefined && this.#monotonic() < until)
        if (!(await this.#publishSome(this.#done))) break
      if (this.#done !== undefined) await this.#parts.checkpoint.release(this.#done)
    } catch (error) {
      if (!TroupeError.is(error)) throw error
    }
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      try {
        await this.#turn()
      } catch (error) {
        if (this.#ended) return
        this.#parts.link.host.report(error)
        // Who may not do it leaves it to others.
        if (TroupeError.is(error) && error.details['reason'] === 'permissions') return
        await this.#pause(isForOthers(error) ? await this.#standBack() : againMs)
      }
    }
  }

  /** Another node may be able to. @returns For how long to leave it to others */
  async #standBack(): Promise<number> {
    const done = this.#done
    this.#leave()
    if (done !== undefined) await this.#parts.checkpoint.release(done).catch(() => undefined)
    return othersMs
  }

  #leave(): void {
    this.#done = undefined
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }

  async #turn(): Promise<void> {
    const { checkpoint, journal } = this.#parts
    if (this.#done === undefined) {
      const done = await checkpoint.take()
      if (done === undefined) return this.#pause(standByMs)
      const connected = await journal.stream.bulk()
      await this.#makeStream(connected)
      // Of another stream of journals, which was made in place of the one before, nothing was published.
      this.#done = done > (await journal.stream.newest(connected)) ? 0 : done
      this.#marked = { seq: done, at: this.#monotonic() }
      this.#unsubscribe = journal.subscribe(() => {
        this.#news = true
        this.#wake?.()
      })
    }
    this.#news = false
    // One that stood still for long, and was taken for gone, learns of it first.
    await this.#mark()
    if (this.#done === undefined) return
    const isMore = await this.#publishSome(this.#done)
    await this.#mark()
    if (!isMore && !this.#news) await this.#pause(lookMs)
  }

  /** @returns Whether there was anything */
  async #publishSome(done: number): Promise<boolean> {
    const { journal, transitions } = this.#parts
    const { stream } = journal
    const connected = await stream.bulk()
    const from = { subject: stream.all, seq: done + 1, count: mostRecords }
    const records = await messagesFrom(connected, stream.name, from)
    const last = records.at(-1)
    if (last === undefined) return false
    const found: ToPublish[] = []
    for (const record of records) {
      for (const one of await transitions.read(connected, record)) found.push(one)
    }
    await Promise.all(found.map((one) => this.#publish(connected, one)))
    this.#done = last.seq
    return true
  }

  async #publish(connected: Connected, { transition, id }: ToPublish): Promise<void> {
    const { settings } = this.#parts
    const subject = publishedSubject(this.#prefix, transition)
    const payload = publishedPayload(transition, settings.format)
    for (let name = id, phantoms = 0; ; name = `${id}~${++phantoms}`) {
      const outcome = await connected.publisher.publish(subject, payload, `Nats-Msg-Id: ${name}\r\n`)
      if (outcome.kind !== 'stored') throw await this.#notStored(connected, subject, outcome)
      if (!outcome.duplicate || connected.server.messageTtl) return
      // Old servers may know the id of a message that they never stored.
      if (await this.#isThere(connected, outcome.seq, name)) return
    }
  }

  /** Whether a message is there, or was: it may have gone since. */
  async #isThere({ jsm }: Connected, seq: number, name: string): Promise<boolean> {
    const { state } = await jsm.streams.info(this.#stream)
    if (seq < state.first_seq) return true
    const message = seq > state.last_seq ? null : await jsm.streams.getMessage(this.#stream, { seq })
    return message?.header.get('Nats-Msg-Id') === name
  }

  async #notStored(
    connected: Connected,
    subject: string,
    outcome: Exclude<Outcome, { kind: 'stored' }>,
  ): Promise<JournalError> {
    const isAnswered = outcome.kind === 'refused'
    // Somebody deleted it, perhaps.
    if (!isAnswered && outcome.why === 'no responders') await this.#makeStream(connected)
    const why = isAnswered ? outcome.refusal.description : outcome.why
    const reason = isAnswered ? (outcome.refusal.status === 403 ? 'permissions' : outcome.refusal.code) : why
    const message = `a transition could not be published at ${connected.where} (${why}); it is tried again`
    return new JournalError('TRANSPORT_UNAVAILABLE', message, { details: { subject, reason } })
  }

  /** Marks how far it is, now and then; where another node has taken over, it stands by. */
  async #mark(): Promise<void> {
    const done = this.#done
    if (done === undefined) return
    const age = this.#monotonic() - this.#marked.at
    const isDue = age >= (done === this.#marked.seq ? aliveMs : markMs)
    if (!isDue) return
    this.#marked = { seq: done, at: this.#monotonic() }
    if (!(await this.#parts.checkpoint.mark(done))) this.#leave()
  }

  async #makeStream(connected: Connected): Promise<void> {
    const { replicas, storage } = this.#parts.link.settings
    const { ageMs, bytes } = this.#parts.settings.kept
    await ensureStream(connected, {
      name: this.#stream,
      subjects: [`${this.#prefix}>`],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: storage as StorageType,
      num_replicas: replicas ?? 1,
      duplicate_window: publishWindowMs * 1e6,
      max_age: ageMs * 1e6,
      allow_direct: true,
      ...(bytes === undefined ? undefined : { max_bytes: bytes }),
    })
  }

  #monotonic(): number {
    return this.#parts.link.host.clock.monotonic()
  }

  /** Waits, unless something happens. */
  async #pause(ms: number): Promise<void> {
    if (this.#ended) return
    const { clock } = this.#parts.link.host
    await new Promise<void>((resolve) => {
      const undo = clock.at(clock.now() + ms, resolve)
      this.#wake = () => {
        undo()
        resolve()
      }
    })
    this.#wake = undefined
  }
}

/** Whether a node lacks a key, a codec, or a newer version of Troupe. */
function isForOthers(error: unknown): boolean {
  return TroupeError.is(error, 'DECRYPTION_FAILED') || TroupeError.is(error, 'UNSUPPORTED_FORMAT')
}
