import type { Entry } from '../journal/entries.ts'
import type { StateName } from '../machines/states.ts'
import type { Cache } from './cache.ts'
import type { Mailbox } from './mailbox.ts'
import type { Nodes } from './nodes.ts'

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

/** A summary of a journal, for lists and recovery. @public */
export interface JournalSummary {
  readonly flowRunId: string
  /** Name of the root's flow or task. */
  readonly name: string
  readonly version: string
  readonly kind: 'flow' | 'task'
  /** The root's name for people, where it was given one. */
  readonly runName: string | undefined
  /** Newest state of the root. */
  readonly state: StateName
  readonly tags: readonly string[]
  /** When the root was submitted, and when it reached its newest state: wall time in milliseconds since 1970. */
  readonly startedAt: number
  readonly changedAt: number
  readonly position: number
  readonly ended: boolean
  readonly parentRunId: string | undefined
  /** The engine that claimed it last. */
  readonly node: string
  readonly epoch: number
  /** Place in the order of creation: greater than that of every journal created before. */
  readonly order: number
}

/** Which journals to list. All given conditions must hold. @public */
export interface JournalQuery {
  readonly ended?: boolean
  /** Newest state of the root: one of these. */
  readonly states?: readonly StateName[]
  /** Name of the root's flow or task. */
  readonly name?: string
  /** A tag that the root has. */
  readonly tag?: string
  /** The node that claimed it last. */
  readonly node?: string
  /** `null`: only those that no other run started; an id: only those that this run started. */
  readonly parent?: string | null
  /** Submitted at this wall time or later. */
  readonly since?: number
  /** Submitted before this wall time. */
  readonly before?: number
  /** Only those whose `order` is greater, or less where `newestFirst`. */
  readonly after?: number
  /** Default false. */
  readonly newestFirst?: boolean
  readonly limit: number
}

/**
 * Told after every commit; and of a journal that was forgotten, with position 0 and without entries: then it is looked whether it is
 * there, for that may be told more than once, and when another one has the id.
 */
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
  /** What comes with the journal, for engines that share it; absent where it has no such thing. */
  readonly mailbox?: Mailbox
  readonly nodes?: Nodes
  readonly cache?: Cache
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
  /** Summaries in the order of creation. */
  list(query: JournalQuery): Promise<readonly JournalSummary[]>
  /** Forgets a journal, with those below it; nothing where it does not exist. Whoever follows them here is told. */
  delete(flowRunId: string): Promise<void>
  /**
   * Calls `listener` after every commit to any journal, by any engine, in commit order; where `flowRunId` is given, an adapter
   * may leave out the others. It is called for each journal that is forgotten, too, also because it is not kept any longer; where
   * another process forgets it, as far as the adapter hears of that. @returns A function that ends it.
   */
  subscribe(listener: CommitListener, flowRunId?: string): () => void
  /**
   * Keeps the process alive, for what others that share the journal may send or write. An engine calls it while it has live
   * runs or waits for an answer. Absent where there are no others. @returns A function that ends it.
   */
  hold?(): () => void
  /** Lets go of what the adapter holds. Calls after it reject. */
  close(): Promise<void>
}
