import { JournalError, type Append, type AppendRefused } from '@troupe/core'
import { rootOf, summarise } from '@troupe/core/internal'
import type { Connected } from '../connection/connected.ts'
import { troubleWith } from '../connection/errors.ts'
import { isOf, newestOf, store, type Newest } from '../connection/store.ts'
import type { OwnCommit } from './feed.ts'
import type { Entry, Records } from './records.ts'
import type { JournalStream } from './stream.ts'
import { Tails, type Tail } from './tails.ts'
import { isTombstone, placeOf, summaryIn, tombstoneLines, type CarriedSummary } from './wire.ts'

/** Which of the flow runs that have had an id is to be forgotten. */
export interface Seen {
  /** The order of its summary. */
  readonly order: number
}

/** What is to be done about a journal that is forgotten. */
export interface Forgetting {
  /** The flow run that has to be the one of its id still, and to have ended; undefined for whichever is there. */
  readonly seen: Seen | undefined
  /** Called once, while nobody can begin anew under the id. */
  readonly beside: () => Promise<void>
}

/** What came of it: done, or there was nothing to forget, or another flow run than the one that was seen, or one that goes on. */
export type Forgot = 'forgotten' | 'nothing' | 'another'

const nothing: Tail = { seq: 0, record: 0, position: 0, epoch: 0, summary: undefined, entries: undefined }

/**
 * Appends: each is one message, which the server takes only where the message before it is the newest of its flow run. One is in flight
 * for each flow run.
 */
export class JournalWriter {
  readonly #stream: JournalStream
  readonly #records: Records
  readonly #committed: (commit: OwnCommit) => void
  readonly #tails = new Tails()
  /** What is in flight or waits, by flow run. */
  readonly #busy = new Map<string, Promise<unknown>>()
  /** Names of appends, by their entries: a repeated one has the same. */
  readonly #ids = new WeakMap<readonly Entry[], string>()
  readonly #sending = new Map<string, readonly Entry[]>()
  readonly #token: string
  #appended = 0

  constructor(
    stream: JournalStream,
    records: Records,
    { token, committed }: { token: string; committed: (commit: OwnCommit) => void },
  ) {
    this.#stream = stream
    this.#records = records
    this.#token = token
    this.#committed = committed
  }

  append(append: Append): Promise<AppendRefused | undefined> {
    return this.#inTurn(append.flowRunId, () => this.#append(append))
  }

  /** Entries of an append that is not answered yet, by the id of its message. */
  entriesOf(id: string): readonly Entry[] | undefined {
    return this.#sending.get(id)
  }

  /** Leaves a mark in place of a journal. */
  forget(flowRunId: string, forgetting: Forgetting): Promise<Forgot> {
    return this.#inTurn(flowRunId, () => this.#forget(flowRunId, forgetting))
  }

  #inTurn<T>(flowRunId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(flowRunId)
    const result = before === undefined ? work() : before.then(work)
    const settled = result.then(
      () => undefined,
      () => undefined,
    )
    this.#busy.set(flowRunId, settled)
    void settled.then(() => {
      if (this.#busy.get(flowRunId) === settled) this.#busy.delete(flowRunId)
    })
    return result
  }

  async #append(append: Append): Promise<AppendRefused | undefined> {
    const { flowRunId, expected, epoch, entries } = append
    const connected = this.#stream.now ?? (await this.#stream.control())
    const id = this.#idOf(entries)
    let tail = this.#tails.get(flowRunId)
    if (tail?.entries === entries) return undefined
    // A new journal is tried without asking.
    if (tail === undefined && expected === 0 && rootOf(entries) !== undefined) tail = nothing
    if (tail?.position !== expected) {
      const newest = await newestOf(connected, this.#stream.name, this.#stream.subjectOf(flowRunId))
      tail = tailOf(flowRunId, newest)
      if (newest.message !== undefined && isOf(newest.message, id)) {
        this.#tails.set(flowRunId, { ...tail, entries })
        return undefined
      }
    }
    while (tail.position === expected && epoch >= tail.epoch) {
      const stored = await this.#store(connected, append, { tail, id })
      if (stored.kind === 'stored') {
        this.#tails.set(flowRunId, stored.tail)
        this.#committed({ flowRunId, first: expected + 1, entries, seq: stored.tail.seq, before: tail.seq })
        return undefined
      }
      // The same record, with one behind it that does not count, may be gone on from, and what is left of a forgotten journal;
      // anything else is another writer's.
      const { tail: found } = stored
      if (found.record === tail.record && found.record > 0) tail = { ...tail, seq: found.seq }
      else if (found.position === 0) tail = found
      else tail = { ...found, epoch: Number.POSITIVE_INFINITY }
    }
    // What others wrote is not this writer's end.
    this.#tails.forget(flowRunId)
    return { refused: true, position: tail.position }
  }

  async #store(
    connected: Connected,
    append: Append,
    { tail, id }: { readonly tail: Tail; readonly id: string },
  ): Promise<{ readonly kind: 'stored' | 'moved'; readonly tail: Tail }> {
    const { flowRunId, expected, epoch, entries } = append
    const summary = summaryAfter(append, tail.summary)
    const writing = this.#records.write(append, summary, {
      maxPayload: connected.server.maxPayload,
      // Behind a mark, what is there may be of the flow run before, and somebody about to purge it.
      anew: expected === 0 && tail.seq > 0,
    })
    const record = writing instanceof Promise ? await writing : writing
    const { name: stream } = this.#stream
    const subject = this.#stream.subjectOf(flowRunId)
    const { payload, lines } = record
    this.#sending.set(id, entries)
    const storing = store(connected, { stream, subject, payload, lines, id, expected: tail.seq })
    const stored = await storing.finally(() => this.#sending.delete(id))
    if (stored.kind === 'moved') return { kind: 'moved', tail: await this.#found(connected, append, tail) }
    if (stored.kind === 'full') {
      throw new JournalError(
        'JOURNAL_UNAVAILABLE',
        `the stream ${stream} takes nothing: ${stored.refusal.description}; give it more room, or forget ended runs with \`keep\``,
        { details: { stream, reason: 'full' } },
      )
    }
    const { seq } = stored
    this.#stream.saw(seq)
    const position = expected + entries.length
    const order = summary?.order === 0 ? seq : summary?.order
    return {
      kind: 'stored',
      tail: {
        seq,
        record: seq,
        position,
        epoch,
        entries,
        summary: summary === undefined || order === undefined ? undefined : { ...summary, order },
      },
    }
  }

  /** What the leader has in place of the end that was expected. */
  async #found(connected: Connected, { flowRunId }: Append, tail: Tail): Promise<Tail> {
    const { name } = this.#stream
    const subject = this.#stream.subjectOf(flowRunId)
    const newest = await newestOf(connected, name, subject)
    if (newest.seq >= tail.seq) return tailOf(flowRunId, newest)
    // Older than what was confirmed: lost, or forgotten by others long ago, or a leader that has not read all of its log.
    await this.#stream.newest(connected)
    const again = await newestOf(connected, name, subject)
    if (again.seq === 0 || again.seq >= tail.seq) return tailOf(flowRunId, again)
    throw this.#stream.lost(flowRunId)
  }

  async #forget(flowRunId: string, { seen, beside }: Forgetting): Promise<Forgot> {
    const connected = await this.#stream.control()
    const { name: stream } = this.#stream
    const subject = this.#stream.subjectOf(flowRunId)
    let order = seen?.order
    for (let [isBare, isCut] = [false, false]; ;) {
      const { seq: expected, message } = await newestOf(connected, stream, subject)
      this.#tails.forget(flowRunId)
      if (message === undefined || isTombstone(message.header)) return 'nothing'
      const summary = summaryIn(message.header, flowRunId, message.seq)
      if (summary !== undefined) {
        // It may have been forgotten, and begun anew, since it was looked at.
        order ??= summary.order
        if (summary.order !== order || (seen !== undefined && !summary.ended)) return 'another'
      }
      if (!isBare) await beside()
      isBare = true
      const stored = await store(connected, {
        stream,
        subject,
        payload: new Uint8Array(0),
        lines: tombstoneLines,
        id: this.#nextId(),
        expected,
      })
      if (stored.kind === 'stored') {
        this.#stream.saw(stored.seq)
        return 'forgotten'
      }
      if (stored.kind === 'moved') continue
      if (isCut)
        throw new JournalError(
          'JOURNAL_UNAVAILABLE',
          `the stream ${stream} can't forget ${flowRunId}: ${stored.refusal.description}`,
          { details: { stream, reason: 'full' } },
        )
      // The mark needs room before it makes some.
      await this.#cut(connected, flowRunId, message.seq)
      isCut = true
    }
  }

  /**
   * Purges all records of a journal but its newest, `seq`. That one stays until the mark is in its place: by it the journal is found
   * again, its other owners are refused, and nodes that have listed it hear that it is gone.
   */
  async #cut(connected: Connected, flowRunId: string, seq: number): Promise<void> {
    // There is nothing before the first message of the stream.
    if (seq <= 1) return
    const what = `can't forget the journal of ${flowRunId}`
    const filter = this.#stream.subjectOf(flowRunId)
    try {
      await connected.patiently(what, () => connected.jsm.streams.purge(this.#stream.name, { filter, seq }))
    } catch (error) {
      throw troubleWith(what, connected.where, error)
    }
  }

  #idOf(entries: readonly Entry[]): string {
    let id = this.#ids.get(entries)
    if (id === undefined) this.#ids.set(entries, (id = this.#nextId()))
    return id
  }

  #nextId(): string {
    return `${this.#token}.${(++this.#appended).toString(36)}`
  }
}

function tailOf(flowRunId: string, { seq, message }: Newest): Tail {
  if (message === undefined || isTombstone(message.header)) return { ...nothing, seq }
  const { header } = message
  const { first, count, epoch } = placeOf(header, `the journal of ${flowRunId}`)
  const summary = summaryIn(header, flowRunId, message.seq)
  return { seq, record: message.seq, position: first + count - 1, epoch, summary, entries: undefined }
}

/** Undefined for a journal without a root. */
function summaryAfter(
  { flowRunId, entries }: Append,
  before: CarriedSummary | undefined,
): CarriedSummary | undefined {
  if (before !== undefined) return { ...summarise(flowRunId, before, entries), order: before.order }
  if (rootOf(entries) === undefined) return undefined
  return { ...summarise(flowRunId, undefined, entries), order: 0 }
}
