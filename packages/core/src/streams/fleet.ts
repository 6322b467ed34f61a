import { isTerminal } from '../machines/states.ts'
import type { Journal, JournalSummary } from '../ports/journal.ts'
import { Pushed } from './pushed.ts'
import { isAnother, TransitionReader } from './reader.ts'
import type { Transition } from './transition.ts'

/** Entries per read, and summaries per look at the list. */
const page = 1_000

/** Names that are remembered: of journals with news that were not read yet, and of finished ones. */
const most = 10_000

/** So many more finished ones are remembered before it is looked again which of them need not be. */
const someMore = 1_000

/** Entries of commits that are held for a reader, of all journals together; what is more is read. */
const mostPushed = 1_000

/** A transition, and the tags of the root of its journal. */
export interface Tagged {
  readonly transition: Transition
  readonly tags: readonly string[]
}

/**
 * Reads all journals, each from its beginning, and waits for more. Holds a position and the names for each unfinished one, and
 * about 10,000 names each of those with news, of those that ended lately and of those before, however slowly it is read.
 */
export class Fleet {
  readonly #journal: Journal
  readonly #since: number
  /** Unfinished journals that were read so far. */
  readonly #readers = new Map<string, TransitionReader>()
  /** Every journal up to this place in the order of creation was looked at: it is finished and read, or in `#readers`. */
  #mark = 0
  /** Finished and read, after that mark, with when they were started: a flow run may get the id of one that was deleted. */
  readonly #ended = new Map<string, number>()
  /** Finished and read, before the mark: news of them may still be under way. */
  readonly #past = new Map<string, number>()
  #advanceAt = most
  /** Those that were finished and read at an earlier look at the list, and the newest of the list then. */
  #before: { readonly names: readonly string[]; readonly newest: number } | undefined
  /** Journals that got something, with that as far as there is room. */
  readonly #news = new Map<string, Pushed>()
  #pushed = 0
  /** Whether there was more news than is remembered. */
  #missed = false
  readonly #unsubscribe: () => void
  #wake: (() => void) | undefined
  #stopped = false

  /** @param since - Wall time: what had ended before it is left out. */
  constructor(journal: Journal, since = Number.NEGATIVE_INFINITY) {
    this.#journal = journal
    this.#since = since
    this.#unsubscribe = journal.subscribe((flowRunId, first, entries) => {
      // It was forgotten: where it is not being read, there is nothing to drop.
      if (first === 0 && !this.#readers.has(flowRunId)) return
      let news = this.#news.get(flowRunId)
      if (news === undefined && this.#news.size < most) this.#news.set(flowRunId, (news = new Pushed()))
      if (news === undefined) this.#missed = true
      else {
        const before = news.size
        news.add(first, entries, before + mostPushed - this.#pushed)
        this.#pushed += news.size - before
      }
      this.#wake?.()
    })
  }

  /** How many names of flow runs are held. */
  get held(): number {
    return this.#readers.size + this.#ended.size + this.#past.size + this.#news.size
  }

  /** What is held of it, which is this reader's from now on. */
  #take(flowRunId: string): Pushed | undefined {
    const news = this.#news.get(flowRunId)
    this.#news.delete(flowRunId)
    this.#pushed -= news?.size ?? 0
    return news
  }

  async *transitions(): AsyncGenerator<Tagged, void, undefined> {
    yield* this.#lookThrough()
    while (!this.#stopped) {
      if (this.#missed) {
        this.#missed = false
        this.#news.clear()
        this.#pushed = 0
        for (const flowRunId of this.#readers.keys()) yield* this.#read(flowRunId)
        yield* this.#lookThrough()
      }
      for (const flowRunId of this.#news.keys()) {
        yield* this.#read(flowRunId, this.#take(flowRunId))
        // News may come faster than it is read, and for ever.
        if (this.#ended.size >= this.#advanceAt || this.#missed) break
      }
      if (this.#ended.size >= this.#advanceAt) await this.#advance()
      if (this.#news.size > 0 || this.#missed || this.#stopped) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Reads the journals after the mark, and moves it to the newest of them. */
  async *#lookThrough(): AsyncGenerator<Tagged, void, undefined> {
    for await (const summary of this.#listed()) {
      const { flowRunId, ended, changedAt, startedAt } = summary
      if (!(ended && changedAt < this.#since)) yield* this.#read(flowRunId, undefined, startedAt)
      if (this.#stopped) return
      this.#pass(summary)
    }
  }

  /** Moves the mark as far as everything was read, so that finished journals need not be remembered. */
  async #advance(): Promise<void> {
    const names = [...this.#ended.keys()]
    const [last] = await this.#journal.list({ limit: 1, newestFirst: true })
    const now = { names, newest: last?.order ?? 0 }
    const before = this.#before ?? now
    /** Whatever is in the list before it was read. */
    let unread = Number.POSITIVE_INFINITY
    for await (const summary of this.#listed()) {
      const { flowRunId, order } = summary
      if (!this.#readers.has(flowRunId) && !this.#ended.has(flowRunId)) {
        unread = order
        break
      }
      this.#pass(summary)
    }
    // What was read before a look, and is not in the list up to what was the newest then, was deleted.
    if (unread > before.newest) for (const flowRunId of before.names) this.#forget(flowRunId)
    this.#before = unread > before.newest ? now : before
    this.#advanceAt = Math.max(most, this.#ended.size + someMore)
  }

  async *#listed(): AsyncGenerator<JournalSummary, void, undefined> {
    for (;;) {
      const found = await this.#journal.list({ limit: page, after: this.#mark })
      yield* found
      if (found.length < page || this.#stopped) return
    }
  }

  #pass({ flowRunId, order }: JournalSummary): void {
    this.#mark = order
    this.#forget(flowRunId)
  }

  #forget(flowRunId: string): void {
    const startedAt = this.#ended.get(flowRunId)
    if (startedAt === undefined) return
    this.#ended.delete(flowRunId)
    this.#past.set(flowRunId, startedAt)
    for (const oldest of this.#past.keys()) {
      if (this.#past.size <= most) break
      this.#past.delete(oldest)
      this.#take(oldest)
    }
  }

  /** Whether it was read to its end, and is not another one that was started since. */
  #isRead(flowRunId: string, startedAt: number | undefined): boolean {
    const known = this.#ended.get(flowRunId) ?? this.#past.get(flowRunId)
    if (known === undefined) return false
    if (!isAnother(startedAt, known)) return true
    this.#ended.delete(flowRunId)
    this.#past.delete(flowRunId)
    return false
  }

  /** @param startedAt - When the flow run was started that has the id now, where that is known. */
  async *#read(
    flowRunId: string,
    pushed?: Pushed,
    startedAt = pushed?.startedAt,
  ): AsyncGenerator<Tagged, void, undefined> {
    if (this.#isRead(flowRunId, startedAt)) return
    const known = this.#readers.get(flowRunId)
    const reader =
      known === undefined || isAnother(startedAt, known.startedAt) ? new TransitionReader(flowRunId) : known
    this.#readers.set(flowRunId, reader)
    for (;;) {
      const given = pushed?.take(reader.position + 1)
      const entries = given ?? (await this.#journal.read(flowRunId, reader.position + 1, page))
      // One that was deleted before it was read to its end has no more to tell.
      if (entries.length === 0 && (await this.#journal.summary(flowRunId)) === undefined) {
        this.#readers.delete(flowRunId)
        return
      }
      for (const entry of entries) {
        const transition = reader.read(entry)
        if (transition === undefined) continue
        if (transition.runId === flowRunId && isTerminal(transition.to.name)) {
          this.#readers.delete(flowRunId)
          this.#ended.set(flowRunId, reader.startedAt ?? 0)
        }
        yield { transition, tags: reader.tags }
        if (this.#stopped) return
      }
      if (given !== undefined || entries.length < page) return
    }
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe()
    this.#wake?.()
  }
}
