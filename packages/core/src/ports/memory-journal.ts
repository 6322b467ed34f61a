import { JournalError, UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import type { Entry } from '../journal/entries.ts'
import { isTerminal } from '../machines/states.ts'
import { isAskedFor, summarise, type EntrySummary } from '../journal/summary.ts'
import type {
  Append,
  AppendRefused,
  CommitListener,
  Journal,
  JournalQuery,
  JournalSummary,
} from './journal.ts'
import { memoryMailbox } from './mailbox.ts'

const none: readonly string[] = []

interface Stored {
  readonly entries: Entry[]
  readonly order: number
  /** The newest summary, and how many entries it covers: it is made when it is asked for. */
  summary: EntrySummary | undefined
  epoch: number
  ended: boolean
  last: readonly Entry[] | undefined
}

/** @public */
export interface MemoryJournalOptions {
  /** How many journals of finished runs are kept, the newest; default 1,000. A subflow's goes with its root's. */
  keep?: number
}

/**
 * A journal in this process's memory: fast, by reference, gone with the process.
 *
 * @throws {@link UsageError} `INVALID_OPTION`
 * @public
 */
export function memoryJournal(options: MemoryJournalOptions = {}): Journal {
  const keep = options.keep ?? 1000
  if (!Number.isInteger(keep) || keep < 0) {
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`keep\` to be an integer of at least 0, got ${String(keep)}`,
    )
  }
  return new MemoryJournal(keep)
}

class MemoryJournal implements Journal {
  readonly encodes = false
  readonly mailbox = memoryMailbox()
  readonly #journals = new Map<string, Stored>()
  /** Ended journals that no unfinished one needs, oldest first. */
  readonly #finished = new Set<string>()
  /** Subflows' journals, by root. */
  readonly #families = new Map<string, string[]>()
  readonly #listeners = new Set<CommitListener>()
  /** Those that follow one flow run: a commit costs the same however many others are followed. */
  readonly #followers = new Map<string, Set<CommitListener>>()
  readonly #keep: number
  #created = 0
  #closed = false

  constructor(keep: number) {
    this.#keep = keep
  }

  append({ flowRunId, expected, epoch, entries }: Append): AppendRefused | undefined {
    this.#check()
    let stored = this.#journals.get(flowRunId)
    if (stored?.last === entries) return undefined
    const position = stored?.entries.length ?? 0
    if (position !== expected || (stored !== undefined && epoch < stored.epoch))
      return { refused: true, position }
    if (stored === undefined) {
      stored = {
        entries: [],
        order: ++this.#created,
        summary: undefined,
        epoch,
        ended: false,
        last: undefined,
      }
      this.#journals.set(flowRunId, stored)
      this.#adopt(flowRunId, entries)
    }
    let forgotten = none
    for (const entry of entries) {
      stored.entries.push(entry)
      if (entry.kind === 'transition' && entry.run === 0 && isTerminal(entry.to))
        forgotten = this.#end(flowRunId, stored)
    }
    stored.epoch = epoch
    stored.last = entries
    this.#tell(flowRunId, position + 1, entries)
    for (const one of forgotten) this.#tell(one, 0, [])
    return undefined
  }

  async read(flowRunId: string, from: number, limit: number): Promise<readonly Entry[]> {
    this.#check()
    return this.#journals.get(flowRunId)?.entries.slice(from - 1, from - 1 + limit) ?? []
  }

  async summary(flowRunId: string): Promise<JournalSummary | undefined> {
    this.#check()
    const stored = this.#journals.get(flowRunId)
    return stored === undefined ? undefined : summaryOf(flowRunId, stored)
  }

  async list(query: JournalQuery): Promise<readonly JournalSummary[]> {
    this.#check()
    const { limit, newestFirst = false, after = newestFirst ? Number.POSITIVE_INFINITY : 0 } = query
    const found: JournalSummary[] = []
    const journals = newestFirst ? [...this.#journals].reverse() : this.#journals
    for (const [flowRunId, stored] of journals) {
      if (found.length >= limit) break
      if (newestFirst ? stored.order >= after : stored.order <= after) continue
      if (query.ended !== undefined && query.ended !== stored.ended) continue
      const summary = summaryOf(flowRunId, stored)
      if (isAskedFor(summary, query)) found.push(summary)
    }
    return found
  }

  async delete(flowRunId: string): Promise<void> {
    this.#check()
    this.#finished.delete(flowRunId)
    for (const one of this.#forget(flowRunId)) this.#tell(one, 0, [])
  }

  subscribe(listener: CommitListener, flowRunId?: string): () => void {
    if (flowRunId === undefined) {
      this.#listeners.add(listener)
      return () => void this.#listeners.delete(listener)
    }
    const followers = this.#followers.get(flowRunId) ?? new Set()
    this.#followers.set(flowRunId, followers.add(listener))
    return () => {
      followers.delete(listener)
      if (followers.size === 0 && this.#followers.get(flowRunId) === followers)
        this.#followers.delete(flowRunId)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#listeners.clear()
    this.#followers.clear()
  }

  #tell(flowRunId: string, first: number, entries: readonly Entry[]): void {
    for (const listener of this.#listeners) listener(flowRunId, first, entries)
    const followers = this.#followers.get(flowRunId)
    if (followers !== undefined) for (const listener of followers) listener(flowRunId, first, entries)
  }

  #check(): void {
    if (this.#closed) throw new JournalError('ENGINE_CLOSED', 'the memory journal was closed')
  }

  /** A subflow's journal is dropped with its root's: a parent that is replayed reads its children's outcomes. */
  #adopt(flowRunId: string, entries: readonly Entry[]): void {
    const submitted = entries.find((entry) => entry.kind === 'submitted')
    const parent = submitted?.kind === 'submitted' ? submitted.parentRunId : undefined
    if (parent === undefined) return
    const root = flowRunIdOf(parent)
    const family = this.#families.get(root)
    if (family === undefined) this.#families.set(root, [flowRunId])
    else family.push(flowRunId)
  }

  /** @returns Those that are not kept any more */
  #end(flowRunId: string, stored: Stored): readonly string[] {
    stored.ended = true
    const submitted = stored.entries.find((entry) => entry.kind === 'submitted')
    if (submitted?.kind === 'submitted' && submitted.parentRunId !== undefined) return none
    this.#finished.add(flowRunId)
    if (this.#finished.size <= this.#keep) return none
    const forgotten: string[] = []
    for (const oldest of this.#finished) {
      if (this.#finished.size <= this.#keep) break
      this.#finished.delete(oldest)
      for (const one of this.#forget(oldest)) forgotten.push(one)
    }
    return forgotten
  }

  /** With what is below it. @returns Those that were there */
  #forget(flowRunId: string): readonly string[] {
    const family = [flowRunId]
    for (const member of family) {
      const below = this.#families.get(member)
      this.#families.delete(member)
      for (const child of below ?? []) family.push(child)
    }
    return family.filter((member) => this.#journals.delete(member))
  }
}

function summaryOf(flowRunId: string, stored: Stored): JournalSummary {
  const { summary, entries, order } = stored
  stored.summary =
    summary?.position === entries.length
      ? summary
      : summarise(flowRunId, summary, entries.slice(summary?.position ?? 0))
  return { ...stored.summary, order }
}
