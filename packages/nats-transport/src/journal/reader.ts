import { JournalError, TroupeError } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { messagesFrom, type StreamMessage } from '../connection/messages.ts'
import { counts, expectedBy, messageOf, newestOf } from '../connection/store.ts'
import type { Mark, Marks } from './marks.ts'
import type { Entry, RecordRead, Records } from './records.ts'
import type { JournalStream } from './stream.ts'
import { isTombstone, placeOf, summaryIn } from './wire.ts'

/** Farther than this from a known place, the right one is searched for. */
const nearby = 500
/** Records asked for at once. */
const mostRecords = 500
/** Entries of a record, until it is known better. */
const usualEntries = 2

interface Run {
  readonly connected: Connected
  readonly flowRunId: string
  readonly subject: string
  /** The newest record. */
  readonly last: RecordRead
  readonly lastFirst: number
  readonly order: number
  /** Whether the leader is asked for each record. Many at once come from any replica. */
  readonly byLeader: boolean
}

/** Reads journals by position. */
export class JournalReader {
  readonly #stream: JournalStream
  readonly #records: Records
  readonly #marks: Marks

  constructor(stream: JournalStream, records: Records, marks: Marks) {
    this.#stream = stream
    this.#records = records
    this.#marks = marks
  }

  /** As {@link Journal.read}. The leader is asked for the newest record first: so nothing that was confirmed is missed. */
  async read(flowRunId: string, from: number, limit: number): Promise<Entry[]> {
    const connected = await this.#stream.bulk()
    const subject = this.#stream.subjectOf(flowRunId)
    const { message } = await newestOf(connected, this.#stream.name, subject)
    if (message === undefined || isTombstone(message.header) || limit < 1) return []
    const { header: headers, data, seq } = message
    const last: RecordRead = { flowRunId, seq, headers, data }
    const { first, count } = placeOf(headers, `the journal of ${flowRunId}`)
    this.#marks.add(flowRunId, first, seq)
    const until = Math.min(from + limit, first + count)
    if (from >= until) return []
    const order = summaryIn(headers, flowRunId, seq)?.order ?? 1
    const run: Run = { connected, flowRunId, subject, last, lastFirst: first, order, byLeader: false }
    if (from >= first) return (await this.#records.read(last)).slice(from - first, until - first)
    try {
      return await this.#between(run, from, until)
    } catch (error) {
      if (!TroupeError.is(error, 'JOURNAL_DAMAGED')) throw error
      this.#marks.forget(flowRunId)
      // What is missing may have been forgotten in the meantime, or a replica has not caught up: the leader has the last word.
      if (await this.#isForgotten(run)) return this.read(flowRunId, from, limit)
      return this.#between({ ...run, byLeader: true }, from, until)
    }
  }

  async #isForgotten({ connected, flowRunId, subject, order }: Run): Promise<boolean> {
    const { message: now } = await newestOf(connected, this.#stream.name, subject)
    if (now === undefined || isTombstone(now.header)) return true
    return (summaryIn(now.header, flowRunId, now.seq)?.order ?? 1) !== order
  }

  /** Entries from position `from` to the one before `until`, which are there. */
  async #between(run: Run, from: number, until: number): Promise<Entry[]> {
    const entries: Entry[] = []
    const add = (first: number, record: readonly Entry[]): void => {
      const end = Math.min(record.length, until - first)
      for (let i = Math.max(0, from - first); i < end; i++) entries.push(record[i] as Entry)
    }
    const start = await this.#seek(run, from)
    let [{ position, seq }, read] = [start, 0]
    while (position < until && position < run.lastFirst) {
      // All that there can be, or about as many as hold the rest of the page.
      const perRecord = read === 0 ? usualEntries : (position - start.position) / read
      const wanted =
        until > run.lastFirst ? run.lastFirst - position : Math.ceil((until - position) / perRecord) + 1
      for (const record of await this.#next(run, { position, seq }, Math.min(wanted, mostRecords))) {
        const { first, count } = placeOf(record.headers, nameOf(run))
        if (first !== position || position >= until) break
        if (first + count > from) add(first, await this.#records.read(record))
        ;[position, seq] = [first + count, record.seq + 1]
        read++
      }
    }
    if (position < until) add(run.lastFirst, await this.#records.read(run.last))
    return entries
  }

  /** Records from a place on: one at least, and the first of them is the one of the position. */
  async #next(run: Run, place: Mark, count: number): Promise<RecordRead[]> {
    const { connected, flowRunId, subject, last } = run
    const atOnce = run.byLeader ? 1 : count
    for (let { seq } = place; ;) {
      let found = await messagesFrom(connected, this.#stream.name, { subject, seq, count: atOnce })
      if (found.length === 0) {
        // A replica may not have it yet.
        const message = await messageOf(connected, this.#stream.name, { seq, next_by_subj: subject })
        if (message !== undefined)
          found = [{ ...message, headers: message.header, time: message.time.getTime() }]
      }
      const end = found.at(-1)?.seq ?? last.seq
      const records = (await this.#counting(run, found)).filter((record) => record.seq < last.seq)
      const places = records.map((record) => placeOf(record.headers, nameOf(run)).first)
      if (places[0] === place.position) {
        for (const [index, record] of records.entries())
          this.#marks.add(flowRunId, places[index] ?? 0, record.seq)
        return records
      }
      if (records.length > 0 || end >= last.seq) throw holed(run, place.position)
      seq = end + 1
    }
  }

  /** Those that count: see `ServerFacts.exactSequences`. */
  async #counting({ connected, flowRunId }: Run, found: readonly StreamMessage[]): Promise<RecordRead[]> {
    const counting: RecordRead[] = []
    let before: number | undefined
    for (const message of found) {
      const { seq, headers, data } = message
      const isNext =
        before === undefined
          ? await counts(connected, this.#stream.name, message)
          : connected.server.exactSequences || expectedBy(headers) === before
      before = seq
      if (isNext) counting.push({ flowRunId, seq, headers, data })
    }
    return counting
  }

  /** A place at or shortly before a position: what is known, or found by halving the way. */
  async #seek(run: Run, position: number): Promise<Mark> {
    const { connected, flowRunId, subject, order, last, lastFirst } = run
    let low = this.#marks.before(flowRunId, position) ?? { position: 1, seq: order }
    let high = this.#marks.after(flowRunId, position) ?? { position: lastFirst, seq: last.seq }
    for (let tries = 0; position - low.position > nearby && high.seq - low.seq > 1; tries++) {
      // Where it is if records are alike, and a little before; where they are not, in the middle.
      const even = (position - low.position - nearby / 2) / (high.position - low.position)
      const part = tries % 3 === 2 ? 0.5 : even
      const guess = low.seq + Math.floor((high.seq - low.seq) * Math.min(Math.max(part, 0.02), 0.98))
      const seq = Math.min(Math.max(guess, low.seq + 1), high.seq - 1)
      const message = await messageOf(connected, this.#stream.name, { seq, next_by_subj: subject })
      if (message === undefined) break
      const { header: headers } = message
      if (!(await counts(connected, this.#stream.name, { seq: message.seq, subject, headers }))) break
      const { first } = placeOf(headers, nameOf(run))
      this.#marks.add(flowRunId, first, message.seq)
      if (first <= position) low = { position: first, seq: message.seq }
      // There is none between `seq` and this one.
      else high = { position: first, seq }
    }
    return low
  }
}

function nameOf({ flowRunId }: Run): string {
  return `the journal of ${flowRunId}`
}

function holed({ flowRunId }: Run, position: number): JournalError {
  return new JournalError(
    'JOURNAL_DAMAGED',
    `the journal of flow run ${flowRunId} is damaged: entry ${position} is missing`,
    { details: { flowRunId, position, reason: 'hole' } },
  )
}
