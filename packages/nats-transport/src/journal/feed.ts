import type { Msg, Subscription } from '@nats-io/transport-node'
import { TroupeError, type CommitListener } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { messagesFrom } from '../connection/messages.ts'
import { counts, expectedBy, lastOf, messageOf } from '../connection/store.ts'
import type { Entry, RecordRead, Records } from './records.ts'
import type { JournalStream } from './stream.ts'
import { isTombstone, placeOf } from './wire.ts'

/** So many records that were missed are asked for at once. */
const catchUpCount = 500
/** More news than this that wait are let go of, and read again in their turn. */
const mostWaiting = 1_000
/** When it is looked again whether anything was missed, and when a feed that could not begin tries again. */
const lookAgainMs = 1_000

/** What a feed needs. */
export interface FeedParts {
  readonly stream: JournalStream
  readonly records: Records
  /** Calls a function later; returns what takes it back. */
  readonly later: (ms: number, run: () => void) => () => void
  readonly report: (error: unknown) => void
  /** The entries of an append of this process that is not answered yet, by the id of its message. */
  readonly own: (id: string) => readonly Entry[] | undefined
}

/** An append of this process that was confirmed. */
export interface OwnCommit {
  readonly flowRunId: string
  readonly first: number
  readonly entries: readonly Entry[]
  readonly seq: number
  /** Stream sequence of the record before it in the journal, 0 for none. */
  readonly before: number
}

/** A commit, as its message tells of it. */
interface News extends RecordRead {
  /** Sequence of the message before it: in the stream, or of the flow run where it is a feed of one. */
  readonly before: number
  /** Whether it counts: see `ServerFacts.exactSequences`. */
  readonly isCommit: boolean
}

/**
 * Commits of all flow runs, or of one, in the order of the stream, each once, and which were forgotten. The servers tell of each message that they stored, by a
 * message that may be lost; each says which one was before it, and what is missing is read. One subscription, and no consumer.
 */
export class Feed {
  readonly #parts: FeedParts
  readonly #flowRunId: string | undefined
  readonly #listeners = new Set<CommitListener>()
  readonly #undo = new Set<() => void>()
  #subscription: Subscription | undefined
  /** Sequence of the newest commit that was told; undefined until it is known where to begin. */
  #told: number | undefined
  /** Greatest sequence that was heard of, and up to which it is certain to have been stored. */
  #heard = 0
  /** What was missed up to here is read. */
  #missedTo = 0
  #waiting: News[] = []
  #working = false
  #exact = true
  #looking = false
  /** Sequence of the stream when a feed of one flow run looked last. */
  #lookedAt = 0
  #ended = false
  /** The newest try to begin. Resolves when nothing that is committed from then on is missed. */
  #beginning: Promise<void>

  constructor(parts: FeedParts, flowRunId: string | undefined) {
    this.#parts = parts
    this.#flowRunId = flowRunId
    this.#beginning = this.#begin()
  }

  get isEmpty(): boolean {
    return this.#listeners.size === 0
  }

  /** Undefined where it has begun; else resolves when it has, and rejects where it could not. */
  get beginning(): Promise<void> | undefined {
    return this.#told === undefined && !this.#ended ? this.#beginning : undefined
  }

  add(listener: CommitListener): void {
    this.#listeners.add(listener)
  }

  remove(listener: CommitListener): void {
    this.#listeners.delete(listener)
  }

  end(): void {
    this.#ended = true
    for (const undo of this.#undo) undo()
    this.#undo.clear()
    this.#listeners.clear()
    this.#waiting = []
    if (this.#subscription?.isClosed() === false) this.#subscription.unsubscribe()
  }

  /** It is told at once where nothing is missing before it; else when the servers' news of it come, or it is looked for. */
  committed({ flowRunId, first, entries, seq, before }: OwnCommit): void {
    if (this.#flowRunId !== undefined && flowRunId !== this.#flowRunId) return
    this.#hear(seq)
    const expected = this.#flowRunId === undefined ? seq - 1 : before
    if (this.#told === expected && !this.#working) {
      this.#told = seq
      this.#tell(flowRunId, first, entries)
    } else if (this.#told === undefined || this.#told < seq) this.#lookLater()
  }

  /**
   * The stream is at a sequence. Who follows all flow runs knows by that whether anything is missing; who follows one looks, unless
   * nothing was stored since it did.
   *
   * @returns Whether it looks
   */
  reached(newest: number): boolean {
    if (this.#told === undefined || this.#ended) return false
    if (this.#flowRunId !== undefined) {
      if (this.#lookedAt >= newest) return false
      void this.#look(newest)
      return true
    }
    this.#hear(newest)
    // The news may be on their way.
    if (this.#told < newest) this.#lookLater()
    return false
  }

  #begin(): Promise<void> {
    const beginning = this.#tryToBegin()
    beginning.catch((error: unknown) => {
      if (this.#ended) return
      this.#parts.report(error)
      this.#later(() => {
        this.#beginning = this.#begin()
      })
    })
    return beginning
  }

  async #tryToBegin(): Promise<void> {
    const { stream } = this.#parts
    const connected = await stream.bulk()
    if (this.#ended) return
    this.#exact = connected.server.exactSequences
    this.#subscription ??= this.#subscribe(connected)
    // On one connection the server takes the subscription before the question.
    const newest = await this.#newest(connected)
    if (this.#ended) return
    this.#told = newest
    this.#undo.add(connected.onReconnect(() => void this.#look()))
    this.#next()
    // Servers take a moment to tell each other of subscriptions.
    if (connected.nc.info?.cluster !== undefined) this.#later(() => void this.#look())
  }

  #subscribe({ nc }: Connected): Subscription {
    return nc.subscribe(this.#parts.stream.liveOf(this.#flowRunId), {
      callback: (error, message) => {
        if (error === null) this.#came(message)
        else if (!this.#ended) this.#parts.report(error)
      },
    })
  }

  #newest(connected: Connected): Promise<number> {
    const { stream } = this.#parts
    return this.#flowRunId === undefined
      ? stream.newest(connected)
      : lastOf(connected, stream.name, stream.subjectOf(this.#flowRunId)).then((last) => last?.seq ?? 0)
  }

  /**
   * Was anything missed?
   *
   * @param at - Sequence of the stream, where that was asked for before.
   */
  async #look(at = 0): Promise<void> {
    const before = this.#told ?? 0
    try {
      const newest = await this.#newest(await this.#parts.stream.bulk())
      // Even the mark that a journal leaves which was forgotten is cleared in the end.
      if (this.#flowRunId !== undefined && before > 0 && newest === 0) this.#tell(this.#flowRunId, 0, [])
      this.#hear(newest)
      this.#lookedAt = Math.max(this.#lookedAt, at)
      this.#missedTo = Math.max(this.#missedTo, newest)
      this.#next()
    } catch (error) {
      if (this.#ended) return
      this.#parts.report(error)
      this.#lookLater()
    }
  }

  #lookLater(): void {
    if (this.#looking) return
    this.#looking = true
    this.#later(() => {
      this.#looking = false
      if (this.#told === undefined || this.#told >= this.#heard) return
      this.#missedTo = this.#heard
      this.#next()
    })
  }

  #later(run: () => void): void {
    const undo = this.#parts.later(lookAgainMs, () => {
      this.#undo.delete(undo)
      run()
    })
    this.#undo.add(undo)
  }

  #hear(seq: number): void {
    if (seq > this.#heard) this.#heard = seq
    this.#parts.stream.saw(seq)
  }

  #came({ headers, data }: Msg): void {
    if (headers === undefined || this.#ended) return
    const seq = Number(headers.get('Nats-Sequence'))
    const { stream } = this.#parts
    const flowRunId = stream.flowRunOf(headers.get('Nats-Subject'))
    const previous = Number(headers.get('Nats-Last-Sequence'))
    const before = this.#flowRunId === undefined ? seq - 1 : previous
    const expected = expectedBy(headers)
    const isCommit = this.#exact || expected === 0 || expected === previous
    this.#hear(seq)
    if (this.#waiting.length >= mostWaiting) {
      this.#waiting = []
      this.#missedTo = seq
      return
    }
    this.#waiting.push({ flowRunId, seq, before, isCommit, headers, data })
    this.#next()
  }

  /** Tells what can be told. */
  #next(): void {
    while (!this.#working && !this.#ended && this.#told !== undefined) {
      const news = this.#waiting[0]
      if (this.#told < this.#missedTo && (news === undefined || news.before > this.#told))
        return this.#work(this.#catchUp(this.#missedTo))
      if (news === undefined) return
      if (news.seq > this.#told && news.before > this.#told) return this.#work(this.#catchUp(news.before))
      this.#waiting.shift()
      if (news.seq <= this.#told) continue
      if (!news.isCommit) {
        this.#told = news.seq
        continue
      }
      const told = this.#tellOf(news)
      if (told !== undefined) return this.#work(told)
    }
  }

  /** Others wait until it is done. */
  #work(work: Promise<void>): void {
    this.#working = true
    work.then(
      () => {
        this.#working = false
        this.#next()
      },
      (error: unknown) => {
        if (this.#ended) return
        this.#parts.report(error)
        this.#later(() => {
          this.#missedTo = this.#heard
          this.#working = false
          this.#next()
        })
      },
    )
  }

  async #catchUp(upTo: number): Promise<void> {
    const { stream } = this.#parts
    const connected = await stream.bulk()
    const subject = this.#flowRunId === undefined ? stream.all : stream.subjectOf(this.#flowRunId)
    while (this.#told !== undefined && this.#told < upTo && !this.#ended) {
      const from = { subject, seq: this.#told + 1 }
      let missed = await messagesFrom(connected, stream.name, { ...from, count: catchUpCount })
      if (missed.length === 0) {
        // A replica may not have them yet; the leader knows.
        const message = await messageOf(connected, stream.name, { seq: from.seq, next_by_subj: subject })
        if (message === undefined || message.seq > upTo) {
          this.#told = upTo
          return
        }
        missed = [{ ...message, headers: message.header, time: message.time.getTime() }]
      }
      for (const { seq, headers, data, subject: of } of missed) {
        if (this.#ended) return
        if (!(await counts(connected, stream.name, { seq, subject: of, headers }))) {
          this.#told = seq
          continue
        }
        await this.#tellOf({ flowRunId: stream.flowRunOf(of), seq, headers, data })
      }
    }
  }

  /** @returns Where large values have to be fetched first, when it is done */
  #tellOf(record: RecordRead): Promise<void> | undefined {
    const { records, own } = this.#parts
    const { flowRunId, headers, seq } = record
    if (isTombstone(headers)) {
      this.#told = seq
      this.#tell(flowRunId, 0, [])
      return undefined
    }
    const { first } = placeOf(headers, `the journal of ${flowRunId}`)
    const tell = (entries: readonly Entry[]): void => {
      this.#told = seq
      this.#tell(flowRunId, first, entries)
    }
    try {
      const entries = own(headers.get('Nats-Msg-Id')) ?? records.readNow(record)
      if (entries !== undefined) return tell(entries) as undefined
    } catch (error) {
      return tell(unreadable(error)) as undefined
    }
    return records.read(record).catch(unreadable).then(tell)
  }

  #tell(flowRunId: string, first: number, entries: readonly Entry[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(flowRunId, first, entries)
      } catch (error) {
        // It disturbs neither the others nor the journal; the process hears of it.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

/** Whoever reads the journal is told what is wrong with it; here it is only said that something came. */
function unreadable(error: unknown): readonly Entry[] {
  const passing = ['TRANSPORT_UNAVAILABLE', 'JOURNAL_UNAVAILABLE', 'ENGINE_CLOSED'] as const
  if (!TroupeError.is(error) || passing.some((code) => error.code === code)) throw error
  return []
}
