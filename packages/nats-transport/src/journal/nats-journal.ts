import type {
  Append,
  AppendRefused,
  CommitListener,
  Journal,
  JournalQuery,
  JournalSummary,
} from '@troupe/core'
import { InternalError, JournalError } from '@troupe/core'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { Link } from '../connection/link.ts'
import { newestOf } from '../connection/store.ts'
import { Feed, type FeedParts, type OwnCommit } from './feed.ts'
import { Marks } from './marks.ts'
import { JournalReader } from './reader.ts'
import { Records, type Entry } from './records.ts'
import { JournalStream } from './stream.ts'
import { Summaries } from './summaries.ts'
import { isTombstone, summaryIn } from './wire.ts'
import { JournalWriter, type Forgot, type Seen } from './writer.ts'

/** So many of those who follow one flow run each look at a time whether they have missed anything. */
const looksAtOnce = 100

/** Journals in a stream of NATS. */
export class NatsJournal implements Journal {
  readonly encodes = true
  readonly stream: JournalStream
  readonly summaries: Summaries
  readonly #link: Link
  readonly #blobs: BlobStore
  readonly #writer: JournalWriter
  readonly #reader: JournalReader
  readonly #marks = new Marks()
  readonly #feedParts: FeedParts
  /** By flow run; the empty text for all of them. */
  readonly #feeds = new Map<string, Feed>()
  #closed = false
  #claimed: (() => void) | undefined
  readonly #clearing: (flowRunId: string) => Promise<() => Promise<void>>

  constructor(
    link: Link,
    parts: {
      readonly blobs: BlobStore
      /** Called when this node owns a flow run for the first time. */
      readonly claimed?: () => void
      /** Looks at what others keep of a flow run that is to be forgotten. @returns Clears that, and nothing that comes later */
      readonly clearing?: (flowRunId: string) => Promise<() => Promise<void>>
    },
  ) {
    const { settings, host } = link
    const { clock, random } = host
    this.#link = link
    this.#blobs = parts.blobs
    this.#claimed = parts.claimed
    this.#clearing = parts.clearing ?? (async () => async () => undefined)
    this.stream = new JournalStream(link, (newest) => this.#looked(newest))
    this.summaries = new Summaries(this.stream)
    const records = new Records(settings, parts.blobs)
    const token = Array.from({ length: 2 }, () => random.uint32().toString(36)).join('')
    this.#writer = new JournalWriter(this.stream, records, {
      token,
      committed: (commit) => this.#committed(commit),
    })
    this.#reader = new JournalReader(this.stream, records, this.#marks)
    this.#feedParts = {
      stream: this.stream,
      records,
      later: (ms, run) => clock.at(clock.now() + ms, run),
      report: (error) => host.report(error),
      own: (id) => this.#writer.entriesOf(id),
    }
  }

  /** Sends before it returns, where it can: what is sent next goes behind it. */
  async append(append: Append): Promise<AppendRefused | undefined> {
    this.#link.assertWrites('to start a flow run, or to go on with one,')
    if (!this.#isListening) await this.#listening()
    return this.stream.noticing(this.#writer.append(append))
  }

  async read(flowRunId: string, from: number, limit: number): Promise<readonly Entry[]> {
    await this.#listening()
    return this.stream.noticing(this.#reader.read(flowRunId, from, limit))
  }

  async summary(flowRunId: string): Promise<JournalSummary | undefined> {
    await this.#listening()
    const connected = await this.stream.bulk()
    const { name } = this.stream
    const newest = newestOf(connected, name, this.stream.subjectOf(flowRunId))
    const { message: last } = await this.stream.noticing(newest)
    if (last === undefined || isTombstone(last.header)) return undefined
    const summary = summaryIn(last.header, flowRunId, last.seq)
    if (summary === undefined) throw new InternalError(`the journal of ${flowRunId} has no root`)
    return summary
  }

  async list(query: JournalQuery): Promise<readonly JournalSummary[]> {
    await this.#listening()
    return this.stream.noticing(this.summaries.list(query))
  }

  async delete(flowRunId: string): Promise<void> {
    this.#assertOpen()
    this.#link.assertWrites('to delete a flow run')
    await this.summaries.update()
    // Those below it first: what is left of a family after a crash is found again by its root.
    for (const member of this.summaries.family(flowRunId).toReversed()) await this.forget(member)
  }

  /**
   * Forgets a family that has ended: as it was seen, and not where it was forgotten and begun anew since.
   *
   * @returns Whether that is done
   */
  async forgetEnded(root: JournalSummary): Promise<boolean> {
    this.#assertOpen()
    this.#link.assertWrites('to forget a flow run')
    await this.summaries.update()
    const ids = this.summaries.family(root.flowRunId)
    const family = ids.flatMap((id) => this.summaries.get(id) ?? [])
    if (family[0]?.order !== root.order || family.some(({ ended }) => !ended)) return false
    for (const member of family.toReversed())
      if ((await this.forget(member.flowRunId, member)) === 'another') return false
    return true
  }

  /**
   * Forgets one flow run, and all that is kept of it elsewhere. That goes first: as long as the journal is there, nobody begins anew
   * under its id. And of it goes what was there before the journal was looked at: whoever comes later has its own.
   *
   * @param seen - Only this one of those that have had the id, where it has ended.
   */
  async forget(flowRunId: string, seen?: Seen): Promise<Forgot> {
    const clearing = await Promise.all([this.#blobs.clearing(flowRunId), this.#clearing(flowRunId)])
    const beside = async (): Promise<void> => {
      for (const clear of clearing) await clear()
    }
    const forgot = await this.#writer.forget(flowRunId, { seen, beside })
    this.#marks.forget(flowRunId)
    return forgot
  }

  subscribe(listener: CommitListener, flowRunId = ''): () => void {
    if (this.#closed || this.#link.closed) return () => undefined
    let feed = this.#feeds.get(flowRunId)
    if (feed === undefined) {
      feed = new Feed(this.#feedParts, flowRunId === '' ? undefined : flowRunId)
      this.#feeds.set(flowRunId, feed)
    }
    // A function of its own for each call: the same listener may subscribe twice.
    const own: CommitListener = (...commit) => listener(...commit)
    const its = feed
    its.add(own)
    return () => {
      its.remove(own)
      if (!its.isEmpty) return
      its.end()
      if (this.#feeds.get(flowRunId) === its) this.#feeds.delete(flowRunId)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.stream.close()
    for (const feed of this.#feeds.values()) feed.end()
    this.#feeds.clear()
  }

  /** Resolves when those who subscribed before are told of all that comes: what is read then and what is told leave no gap. */
  async #listening(): Promise<void> {
    this.#assertOpen()
    for (const feed of this.#feeds.values()) {
      const { beginning } = feed
      if (beginning !== undefined) await beginning
    }
  }

  /** Whether nobody has to be waited for. */
  get #isListening(): boolean {
    if (this.#closed || this.#link.closed) return false
    for (const feed of this.#feeds.values()) if (feed.beginning !== undefined) return false
    return true
  }

  #assertOpen(): void {
    this.#link.assertOpen()
    if (this.#closed) throw new JournalError('ENGINE_CLOSED', 'the NATS journal was closed')
  }

  /** Nothing tells of news that were lost where none come after them. */
  #looked(newest: number): void {
    const feeds = [...this.#feeds]
    let looks = 0
    for (const [flowRunId, feed] of feeds) {
      const isOfOne = flowRunId !== ''
      if (isOfOne && looks === looksAtOnce) continue
      if (!feed.reached(newest) || !isOfOne) continue
      looks++
      // Next time it is the turn of the others.
      this.#feeds.delete(flowRunId)
      this.#feeds.set(flowRunId, feed)
    }
  }

  #committed(commit: OwnCommit): void {
    const { flowRunId, first, seq } = commit
    this.#marks.add(flowRunId, first, seq)
    if (
      this.#claimed !== undefined &&
      commit.entries.some((entry) => entry.kind === 'claimed' && entry.node !== '')
    ) {
      this.#claimed()
      this.#claimed = undefined
    }
    this.#feeds.get('')?.committed(commit)
    this.#feeds.get(flowRunId)?.committed(commit)
  }
}
