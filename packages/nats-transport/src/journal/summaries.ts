import type { JournalQuery, JournalSummary } from '@troupe/core'
import { flowRunIdOf, isAskedFor } from '@troupe/core/internal'
import type { Connected } from '../connection/connected.ts'
import { scan, type StreamMessage } from '../connection/messages.ts'
import { expectedBy, messageOf } from '../connection/store.ts'
import type { JournalStream } from './stream.ts'
import { isTombstone, summaryIn } from './wire.ts'

/** So long ago at most is the last time that an index may be brought up to date by what came since: marks of what was forgotten are kept for longer. */
const freshMs = 20 * 60_000

/** What is left of a forgotten journal. */
export interface Forgotten {
  readonly flowRunId: string
  readonly seq: number
  /** When, by the clock of the server. */
  readonly time: number
}

/**
 * Summaries of all journals: read once from the newest record of each, without bodies, and then brought up to date by the records that
 * came since. Nothing is done between two questions.
 */
export class Summaries {
  readonly #stream: JournalStream
  readonly #byId = new Map<string, JournalSummary>()
  /** Flow runs right below each. */
  readonly #below = new Map<string, Set<string>>()
  readonly #forgotten = new Map<string, Forgotten>()
  /** Sequence of each one's newest record, where not every record counts: see `ServerFacts.exactSequences`. */
  readonly #newest = new Map<string, number>()
  /** Up to which sequence of the stream this is. */
  #upTo = 0
  #at = Number.NEGATIVE_INFINITY
  #sorted: JournalSummary[] | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(stream: JournalStream) {
    this.#stream = stream
  }

  async list(query: JournalQuery): Promise<readonly JournalSummary[]> {
    await this.update()
    const { limit, newestFirst = false, after } = query
    const all = this.inOrder()
    const found: JournalSummary[] = []
    if (newestFirst) {
      const from = after === undefined ? all.length : firstAfter(all, after - 1)
      for (let at = from - 1; at >= 0 && found.length < limit; at--) add(found, all[at], query)
    } else {
      const from = after === undefined ? 0 : firstAfter(all, after)
      for (let at = from; at < all.length && found.length < limit; at++) add(found, all[at], query)
    }
    return found
  }

  /** By order of creation, as far as this is. */
  inOrder(): readonly JournalSummary[] {
    this.#sorted ??= [...this.#byId.values()].sort((a, b) => a.order - b.order)
    return this.#sorted
  }

  forgotten(): readonly Forgotten[] {
    return [...this.#forgotten.values()]
  }

  /** The mark of a forgotten journal is gone. */
  cleared(flowRunId: string): void {
    this.#forgotten.delete(flowRunId)
  }

  get(flowRunId: string): JournalSummary | undefined {
    return this.#byId.get(flowRunId)
  }

  /** A flow run and those below it. */
  family(flowRunId: string): string[] {
    const family = new Set([flowRunId])
    for (const member of family) for (const child of this.#below.get(member) ?? []) family.add(child)
    return [...family]
  }

  /** Resolves when all that was committed before the call is in it. */
  update(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#update().finally(() => (this.#running = undefined))
      return this.#running
    }
    // What runs now may have looked already.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.update()
      })
    return this.#next
  }

  async #update(): Promise<void> {
    const connected = await this.#stream.bulk()
    const now = connected.monotonic()
    const newest = await this.#stream.newest(connected)
    // Each record counts as one here, and the newest of each journal there.
    const missing = newest - this.#upTo
    if (now - this.#at > freshMs || missing > 1_000 + 2 * this.#byId.size)
      await this.#readAnew(connected, newest)
    else if (missing > 0) await this.#readOn(connected, newest)
    this.#at = now
  }

  async #readAnew(connected: Connected, newest: number): Promise<void> {
    this.#byId.clear()
    this.#below.clear()
    this.#forgotten.clear()
    this.#newest.clear()
    this.#sorted = undefined
    this.#upTo = 0
    const { name, all: subject } = this.#stream
    const { exactSequences } = connected.server
    await scan(connected, name, {
      subject,
      // Whether the newest one counts can't be told without those before it.
      seq: exactSequences ? undefined : 1,
      headersOnly: true,
      tell: (message) => this.#put(message, exactSequences),
    })
    await this.#readOn(connected, newest)
  }

  async #readOn(connected: Connected, newest: number): Promise<void> {
    const { name, all: subject } = this.#stream
    for (let tries = 0; this.#upTo < newest; tries++) {
      await scan(connected, name, {
        subject,
        seq: this.#upTo + 1,
        headersOnly: true,
        tell: (message) => this.#put(message, connected.server.exactSequences),
      })
      if (this.#upTo >= newest) return
      // The last ones were purged, or a replica has not got them yet: the leader knows.
      const next = await messageOf(connected, name, { seq: this.#upTo + 1, next_by_subj: subject })
      if (next === undefined) this.#upTo = newest
      else await connected.pause(tries)
    }
  }

  #put({ subject, headers, seq, time }: StreamMessage, exact: boolean): void {
    if (seq > this.#upTo) this.#upTo = seq
    const flowRunId = this.#stream.flowRunOf(subject)
    if (!exact) {
      const [newest, expected] = [this.#newest.get(flowRunId), expectedBy(headers)]
      this.#newest.set(flowRunId, seq)
      if (newest !== undefined && expected !== 0 && expected !== newest) return
    }
    const before = this.#byId.get(flowRunId)
    if (isTombstone(headers)) {
      this.#forgotten.set(flowRunId, { flowRunId, seq, time })
      if (before === undefined) return
      this.#byId.delete(flowRunId)
      this.#sorted = undefined
      this.#leave(before)
      return
    }
    this.#forgotten.delete(flowRunId)
    const summary = summaryIn(headers, flowRunId, seq)
    if (summary === undefined) return
    if (before !== undefined) this.#leave(before)
    this.#byId.set(flowRunId, summary)
    this.#join(summary)
    if (this.#sorted === undefined) return
    const last = this.#sorted.at(-1)
    if (before === undefined && summary.order > (last?.order ?? 0)) this.#sorted.push(summary)
    else if (before?.order === summary.order)
      this.#sorted[firstAfter(this.#sorted, summary.order - 1)] = summary
    else this.#sorted = undefined
  }

  #join({ flowRunId, parentRunId }: JournalSummary): void {
    if (parentRunId === undefined) return
    const parent = flowRunIdOf(parentRunId)
    const siblings = this.#below.get(parent)
    if (siblings === undefined) this.#below.set(parent, new Set([flowRunId]))
    else siblings.add(flowRunId)
  }

  #leave({ flowRunId, parentRunId }: JournalSummary): void {
    if (parentRunId === undefined) return
    const parent = flowRunIdOf(parentRunId)
    const siblings = this.#below.get(parent)
    siblings?.delete(flowRunId)
    if (siblings?.size === 0) this.#below.delete(parent)
  }
}

function add(found: JournalSummary[], summary: JournalSummary | undefined, query: JournalQuery): void {
  if (summary !== undefined && isAskedFor(summary, query)) found.push(summary)
}

/** Index of the first that was created after `order`. */
function firstAfter(sorted: readonly JournalSummary[], order: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle]?.order ?? 0) > order) high = middle
    else low = middle + 1
  }
  return low
}
