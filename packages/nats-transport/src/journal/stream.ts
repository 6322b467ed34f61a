import { DiscardPolicy, RetentionPolicy, type StorageType, type StreamInfo } from '@nats-io/jetstream'
import { JournalError, TroupeError } from '@troupe/core'
import { catchingUpMs, type Connected } from '../connection/connected.ts'
import { codeOf, codes, troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { isStreamGone, streamGone } from '../connection/store.ts'
import { ensureStream, unlimited } from '../connection/streams.ts'
import { namesOf } from '../names.ts'

/**
 * For how long the server knows the ids of messages. Longer than an append is tried; what comes later is told by its sequence.
 */
const duplicateWindowNs = 120_000 * 1e6

/** How often it is looked whether the stream is there, and still the one that it was. */
const lookMs = 15_000

/** The stream of all journals of a namespace: one subject for each flow run. */
export class JournalStream {
  readonly name: string
  readonly all: string
  readonly #link: Link
  readonly #looked: (newest: number) => void
  readonly #names: ReturnType<typeof namesOf>['journal']
  #made: Promise<void> | undefined
  #isMade = false
  /** When the server made it; another time is another stream. */
  #created: string | undefined
  /** The greatest sequence that a server told of. */
  #seen = 0
  #broken: JournalError | undefined
  /** It is not there just now. */
  #gone: TroupeError | undefined
  #stopLooking: (() => void) | undefined
  #isClosed = false

  /** @param looked - Called with its newest sequence, whenever that was looked for. */
  constructor(link: Link, looked: (newest: number) => void) {
    this.#link = link
    this.#looked = looked
    this.#names = namesOf(link.settings.namespace).journal
    this.name = this.#names.stream
    this.all = `${this.#names.subjects}>`
  }

  subjectOf(flowRunId: string): string {
    return this.#names.subjects + flowRunId
  }

  /** The subject on which a commit is told; of all flow runs where none is given. */
  liveOf(flowRunId?: string): string {
    return this.#names.live + (flowRunId ?? '>')
  }

  flowRunOf(subject: string): string {
    return subject.slice(subject.lastIndexOf('.') + 1)
  }

  /** For appends. @throws JournalError `TRANSPORT_UNAVAILABLE`, `TRANSPORT_UNSUPPORTED`, `JOURNAL_DAMAGED`, `ENGINE_CLOSED` */
  async control(): Promise<Connected> {
    return this.#ready(await this.#link.control())
  }

  /** The same, where nothing has to be waited for. */
  get now(): Connected | undefined {
    return this.#isMade && this.#broken === undefined ? this.#link.made : undefined
  }

  /** For what is read. @throws as `control` */
  async bulk(): Promise<Connected> {
    return this.#ready(await this.#link.bulk())
  }

  /** A server told of a message with this sequence. */
  saw(seq: number): void {
    if (seq > this.#seen) this.#seen = seq
  }

  /**
   * The newest sequence of the stream.
   *
   * @throws JournalError `JOURNAL_DAMAGED` where it is older than what a server told of, or another stream
   */
  async newest(connected: Connected): Promise<number> {
    const seen = this.#seen
    const until = connected.monotonic() + catchingUpMs
    for (let tries = 0; ; tries++) {
      const { state, created } = await this.#info(connected)
      this.#created ??= created
      if (created !== this.#created) throw this.#break('it was deleted and made again', state.last_seq)
      if (state.last_seq >= seen) {
        this.saw(state.last_seq)
        return state.last_seq
      }
      // A new leader may answer before it has read its own log to the end. A server alone has no such moment.
      if (connected.nc.info?.cluster === undefined || connected.monotonic() >= until)
        throw this.#break('it has lost what it had stored', state.last_seq)
      await connected.pause(tries)
    }
  }

  /** What keeps journals from being written, in words; nothing where they can be. */
  get obstacles(): readonly string[] {
    const error = this.#broken ?? this.#gone
    return error === undefined ? [] : [error.message]
  }

  /** What is asked of it may find that it is gone: people are told once, for nobody may hear of it where nothing is asked. */
  async noticing<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (TroupeError.is(error) && isStreamGone(error)) this.#isGone(error)
      throw error
    }
  }

  /** Looks no more. */
  close(): void {
    this.#isClosed = true
    this.#stopLooking?.()
  }

  #isGone(error: TroupeError): void {
    if (this.#gone === undefined && !this.#isClosed) this.#link.host.report(error)
    this.#gone ??= error
  }

  #lookLater(): void {
    // Where nothing more is written anyway, that was told.
    if (this.#isClosed || this.#broken !== undefined) return
    const { clock } = this.#link.host
    this.#stopLooking = clock.at(clock.now() + lookMs, () => void this.#look())
  }

  async #look(): Promise<void> {
    let newest: number | undefined
    try {
      newest = await this.newest(await this.#link.control())
      this.#gone = undefined
    } catch (error) {
      if (TroupeError.is(error) && isStreamGone(error)) this.#isGone(error)
      // Where no server is there, that is told by whoever has something to ask.
    }
    if (newest !== undefined && !this.#isClosed) this.#looked(newest)
    this.#lookLater()
  }

  /** Nothing more is written: what is lost must not be gone on from as if it had never been. */
  lost(flowRunId: string): JournalError {
    return this.#break(`it has lost records of ${flowRunId} that it had confirmed`, 0)
  }

  async #info(connected: Connected): Promise<StreamInfo> {
    const what = `can't look at the stream ${this.name}`
    try {
      return await connected.patiently(what, () => connected.jsm.streams.info(this.name))
    } catch (error) {
      if (codeOf(error) === codes.streamNotFound) throw streamGone(this.name, connected.where, error)
      throw troubleWith(what, connected.where, error)
    }
  }

  async #ready(connected: Connected): Promise<Connected> {
    this.#made ??= this.#make(connected).catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    await this.#made
    this.#isMade = true
    if (this.#broken !== undefined) throw this.#broken
    return connected
  }

  async #make(connected: Connected): Promise<void> {
    const { replicas, storage, maxBytes } = this.#link.settings
    const info = await ensureStream(connected, {
      ...unlimited,
      name: this.name,
      subjects: [this.all],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      storage: storage as StorageType,
      num_replicas: replicas ?? 1,
      duplicate_window: duplicateWindowNs,
      allow_rollup_hdrs: true,
      allow_direct: true,
      republish: { src: this.all, dest: this.liveOf() },
      ...(maxBytes === undefined ? undefined : { max_bytes: maxBytes }),
    })
    if (info === undefined) return
    this.#created = info.created
    this.saw(info.state.last_seq)
    this.#lookLater()
  }

  #break(why: string, newest: number): JournalError {
    this.#broken = damaged(
      this.name,
      `${why}; nothing more is written. Restore the server's data, or start the nodes again to go on from what is there`,
      { newest, seen: this.#seen, reason: 'backwards' },
    )
    this.#link.host.report(this.#broken)
    return this.#broken
  }
}

function damaged(stream: string, why: string, details: Readonly<Record<string, unknown>>): JournalError {
  return new JournalError('JOURNAL_DAMAGED', `the stream ${stream} is damaged: ${why}`, {
    details: { stream, reason: 'backwards', ...details },
  })
}
