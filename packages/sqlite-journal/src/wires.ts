/** What the journal and its thread say to each other; without a thread, too. */
import type { JournalQuery, JournalSummary } from '@troupe/core'

/** What a thread is started with. */
export interface ThreadData {
  readonly folder: string
  readonly durability: 'process' | 'power'
  readonly readOnly: boolean
  readonly driver: DriverName | undefined
  /** Milliseconds between looks for commits of other processes, where no event tells of them. */
  readonly pollMs: number
  /** Newest commit and message that listeners were told of by a thread that has ended. */
  readonly told: Told | undefined
  /** Names that this journal's engines have announced. */
  readonly nodes: readonly string[]
}

/** Which implementation of SQLite. */
export type DriverName = 'node:sqlite' | 'libsql'

/** How far listeners have been told: sequence numbers of rows. */
export interface Told {
  readonly commits: number | undefined
  readonly mail: number | undefined
}

/** A large value, beside the record that refers to it. */
export interface BlobOnWire {
  readonly name: string
  readonly bytes: Uint8Array
}

/** What an append says of its journal's root, for summaries; only what changes. */
export interface RootChange {
  readonly state?: string
  readonly changedAt?: number
  readonly node?: string
  readonly epoch?: number
  readonly runName?: string | undefined
  readonly ended?: boolean
}

/** What the root's submission says. */
export interface RootFacts {
  readonly name: string
  readonly version: string
  readonly kind: 'flow' | 'task'
  readonly runName: string | undefined
  readonly state: string
  readonly tags: readonly string[]
  readonly startedAt: number
  readonly parentRunId: string | undefined
  /** Flow run in whose journal the parent is. */
  readonly parentFlowRunId: string | undefined
}

/** Calls that write: they share transactions. */
export type Write =
  | {
      readonly op: 'append'
      readonly flowRunId: string
      readonly expected: number
      readonly epoch: number
      /** Tells a repeated append. */
      readonly token: string
      readonly count: number
      readonly bytes: Uint8Array
      readonly blobs: readonly BlobOnWire[]
      readonly root: RootFacts | undefined
      readonly change: RootChange
    }
  | { readonly op: 'delete'; readonly flowRunId: string }
  | { readonly op: 'putBlob'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly op: 'deleteBlob'; readonly name: string }
  | { readonly op: 'send'; readonly flowRunId: string; readonly message: string; readonly bytes: Uint8Array }
  | { readonly op: 'confirm'; readonly flowRunId: string; readonly message: string }
  | { readonly op: 'clear'; readonly flowRunId: string }
  | {
      readonly op: 'putCache'
      readonly key: string
      readonly bytes: Uint8Array
      readonly runId: string
      readonly expires: number | undefined
    }
  | { readonly op: 'deleteCache'; readonly key: string }
  | { readonly op: 'announce'; readonly node: string; readonly monotonic: number }
  | { readonly op: 'withdraw'; readonly node: string }

/** Calls that only read, and those that do their own writing. */
export type Read =
  | { readonly op: 'read'; readonly flowRunId: string; readonly from: number; readonly limit: number }
  | { readonly op: 'summary'; readonly flowRunId: string }
  | { readonly op: 'list'; readonly query: JournalQuery }
  | { readonly op: 'getBlob'; readonly name: string }
  | { readonly op: 'pending'; readonly flowRunId: string }
  | { readonly op: 'getCache'; readonly key: string }
  | { readonly op: 'gone'; readonly nodes: readonly string[]; readonly monotonic: number }
  | { readonly op: 'follow'; readonly commits: boolean; readonly mail: boolean }
  | { readonly op: 'open' }
  | {
      readonly op: 'sweep'
      readonly keep: KeepOnWire | undefined
      readonly now: number
      readonly monotonic: number
      readonly compact: boolean
    }
  | { readonly op: 'backup'; readonly folder: string }
  | { readonly op: 'close' }

/** What is kept of ended runs, for one type of end. */
export interface KeepRule {
  readonly ageMs: number | undefined
  readonly count: number | undefined
}

/** By names of states. */
export interface KeepOnWire {
  readonly rules: readonly { readonly states: readonly string[]; readonly rule: KeepRule }[]
}

export interface Call {
  readonly id: number
  readonly ask: Write | Read
}

/** A record as the thread read it, checked. */
export interface RecordOnWire {
  /** Position of its first entry. */
  readonly position: number
  readonly count: number
  readonly bytes: Uint8Array
  readonly blobs: readonly BlobOnWire[] | undefined
}

export interface CommitOnWire extends RecordOnWire {
  readonly flowRunId: string
}

export interface MailOnWire {
  readonly flowRunId: string
  readonly message: string
  readonly bytes: Uint8Array
}

/** A summary as its row has it: the thread does not know which states there are. */
export type SummaryOnWire = Omit<JournalSummary, 'state'> & { readonly state: string }

/** Why a call failed; the journal makes an error of it. */
export interface Failure {
  readonly code:
    | 'NOT_A_JOURNAL'
    | 'JOURNAL_DAMAGED'
    | 'JOURNAL_UNAVAILABLE'
    | 'UNSUPPORTED_FORMAT'
    | 'NODE_IN_USE'
    | 'RUN_NOT_FOUND'
    | 'ENGINE_CLOSED'
    | 'INTERNAL'
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** What an append came to. */
export type AppendAnswer = { readonly stored: 'now' | 'before' } | { readonly refused: number }

export interface SweepAnswer {
  readonly runs: number
  readonly freedBytes: number
}

export type ThreadEvent =
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }
  /** Commits of other processes, in order. */
  | { readonly kind: 'commits'; readonly commits: readonly CommitOnWire[] }
  /** Flow runs that a sweep of this process has forgotten. */
  | { readonly kind: 'forgotten'; readonly flowRunIds: readonly string[] }
  /** Messages that were sent: by other processes, and by this one. */
  | { readonly kind: 'mail'; readonly mail: readonly MailOnWire[] }
  /** A transaction was committed; the answers that follow came of it. */
  | { readonly kind: 'committed'; readonly told: Told }

/** What the thread says in one message; things happened in this order. */
export interface Report {
  readonly events: readonly ThreadEvent[]
}
