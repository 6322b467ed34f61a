import type { Entry } from '../journal/entries.ts'

/** What is asked to be written. */
export interface Append {
  readonly flowRunId: string
  /** Position of the newest entry that the writer knows, 0 for a journal that is to be created. */
  readonly expected: number
  /** Epoch of the writer's claim. */
  readonly epoch: number
  /** At least one entry; they are stored all or none. */
  readonly entries: readonly Entry[]
}

/** Why an append was refused: the journal has moved on, or (with `expected` 0) exists already. */
export interface AppendRefused {
  readonly refused: true
  /** Position of its newest entry. */
  readonly position: number
}

/** A summary of a journal, for lists and recovery. */
export interface JournalSummary {
  readonly flowRunId: string
  /** Name of the root's flow or task. */
  readonly name: string
  readonly kind: 'flow' | 'task'
  readonly position: number
  readonly ended: boolean
  readonly parentRunId: string | undefined
}

/** Told after every commit. */
export type CommitListener = (flowRunId: string, firstPosition: number, entries: readonly Entry[]) => void

/**
 * Where the journals of flow runs are kept. One journal has one writer at a time; an append says which position and
 * epoch it builds on, and the journal refuses it where another writer was there before.
 *
 * Every adapter is held to `journalConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface Journal {
  /**
   * Whether values must be encoded: true where entries leave this process's memory.
   */
  readonly encodes: boolean
  /**
   * Appends entries after position `expected`, all or none. What it resolved for is kept as the adapter promises.
   *
   * Resolves with `undefined` when stored. Repeating an append that was stored, with the very same entries (the same
   * array), is answered in the same way and stores nothing.
   *
   * @returns {@link AppendRefused} where the journal is not at `expected`, or an entry of a later epoch is in it.
   */
  append(append: Append): Promise<AppendRefused | undefined> | AppendRefused | undefined
  /**
   * The entries from position `from` (1 is the first) on, at most `limit`, in order; empty past the end and for a
   * journal that does not exist.
   */
  read(flowRunId: string, from: number, limit: number): Promise<readonly Entry[]>
  /** A summary, or undefined where there is no such journal. */
  summary(flowRunId: string): Promise<JournalSummary | undefined>
  /** Summaries in the order of creation, from after the journal `after`. */
  list(query: {
    readonly ended?: boolean
    readonly after?: string
    readonly limit: number
  }): Promise<readonly JournalSummary[]>
  /** Forgets a journal; nothing where it does not exist. */
  delete(flowRunId: string): Promise<void>
  /** Calls `listener` after every commit to any journal, in commit order. @returns A function that ends it. */
  subscribe(listener: CommitListener): () => void
  /** Lets go of what the adapter holds. Calls after it reject. */
  close(): Promise<void>
}
