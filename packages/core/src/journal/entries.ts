import type { StateName } from '../machines/states.ts'

/**
 * The entries of a journal: the record of one flow run, or of one task run outside any flow (its *root*).
 *
 * A run is named by its index in the journal: the root is 0, every later `submitted` takes the next number. The first
 * state of a run is part of its `submitted` entry, and its outcome part of the transition into its terminal state, so
 * that neither can be in a journal without the other (decision record 0001).
 *
 * The position of an entry is its place in the journal, counted from 1. It is not a field: it follows from the order,
 * so that it can have no gap.
 */

/** A value as journals hold it: by reference in memory, encoded where the journal is durable or values are strict. */
export type StoredValue = unknown

/** How a run ended, with its terminal transition. */
export type Outcome = { readonly value: StoredValue } | { readonly failure: StoredValue }

/**
 * What a run that is Paused or Suspended waits for, besides `resume()`: an input, or (`wait`) whatever its body waits for; the
 * latter goes on by itself.
 */
export type PauseReason = 'input' | 'wait'

interface At {
  /** Wall time of the node that wrote the entry, in milliseconds since 1970. */
  readonly at: number
}

/** A node owns the journal from here on; entries of smaller epochs are refused after it. Always the first entry. */
export interface ClaimedEntry extends At {
  readonly kind: 'claimed'
  readonly epoch: number
  readonly node: string
}

/** A run was submitted, and is in its first state (transition number 1). */
export interface SubmittedEntry extends At {
  readonly kind: 'submitted'
  readonly runKind: 'flow' | 'task'
  readonly runId: string
  /** Index of the run whose body made the call, -1 for the root. */
  readonly parent: number
  /** Attempt of the parent that made the call, 0 for the root. */
  readonly parentAttempt: number
  readonly name: string
  readonly version: string
  readonly runName: string | undefined
  /** Hash of the arguments or of the key; undefined where the journal can't be replayed. */
  readonly identity: string | undefined
  readonly inputs: StoredValue
  readonly to: 'Pending' | 'Scheduled'
  readonly tags: readonly string[] | undefined
  /** Of a root: run id of the parent whose journal is another one (a subflow's). */
  readonly parentRunId?: string
  /** Of a root: hash of name and arguments, where it was started by a key. */
  readonly parametersHash?: string
  /** Of a root: the options of its call, encoded, as far as they are no functions. */
  readonly options?: Uint8Array
  /** Of a root: where it belongs, as instrumentation gave it: W3C Trace Context. */
  readonly traceparent?: string
  readonly tracestate?: string | undefined
}

/** A run changed its state. */
export interface TransitionEntry extends At {
  readonly kind: 'transition'
  readonly run: number
  readonly to: StateName
  /** Number of this transition in its run, from 2 (1 is the submission). */
  readonly seq: number
  readonly attempt: number
  readonly message: string | undefined
  /** Of a terminal state; of Cancelling: what the run is to reject with. */
  readonly outcome: Outcome | undefined
  /** Only of AwaitingRetry: wall time at which the next attempt is to begin. */
  readonly until?: number
  /** The name that the run's arguments gave it, with the first transition after they were known. */
  readonly runName?: string
  /** Where the body runs, if not on the event loop of its engine. */
  readonly host?: string
  /** Only of Paused: what ends the pause, where that is not `resume()` alone. */
  readonly pausedFor?: PauseReason
}

/** A call was answered by a run that an earlier attempt of the caller had completed. */
interface AdoptedEntry extends At {
  readonly kind: 'adopted'
  readonly run: number
  /** Attempt of the run's parent that called again. */
  readonly attempt: number
}

/** A subflow was called (`started`), or has ended. Its own journal has the rest. */
export interface ChildEntry extends At {
  readonly kind: 'child'
  readonly flowRunId: string
  readonly parent: number
  readonly parentAttempt: number
  readonly name: string
  readonly version: string
  readonly identity: string | undefined
  readonly event: 'started' | 'ended' | 'adopted'
}

/** A body drew time, a random number or a UUID. */
export interface DrawEntry extends At {
  readonly kind: 'draw'
  readonly run: number
  readonly attempt: number
  readonly draw: 'now' | 'random' | 'uuid'
  readonly value: number | string
}

/**
 * A body began to wait: for a deadline, for a signal, for an input, or for one of the latter two until a deadline. `wait`
 * counts the waits of one journal from 1.
 */
export interface WaitEntry extends At {
  readonly kind: 'wait'
  readonly run: number
  readonly attempt: number
  readonly wait: number
  /** What message ends it; undefined where only its deadline does. */
  readonly for: 'signal' | 'input' | undefined
  /** Of a signal: its name. */
  readonly name: string | undefined
  /** Wall time at which it ends without one. */
  readonly deadline: number | undefined
}

/** A wait has ended: its deadline was reached, or a message was taken for it. */
export interface WokenEntry extends At {
  readonly kind: 'woken'
  readonly wait: number
  /** Number of the message, from 1; undefined where the deadline came first. */
  readonly message: number | undefined
}

/** A message arrived from outside, and waits to be taken; messages of one journal are counted from 1. */
export interface MessageEntry extends At {
  readonly kind: 'message'
  /** Given by the sender: a message of an id that the journal has is not recorded again. */
  readonly id: string
  readonly for: 'signal' | 'input'
  /** Of a signal: its name. */
  readonly name: string | undefined
  readonly payload: StoredValue
}

/**
 * First attempts of task runs were handed out to other nodes as one offer; offers of one journal are counted from 1. What is
 * handed out alone has no entry: its id follows from the run's.
 */
interface OfferedEntry extends At {
  readonly kind: 'offered'
  readonly offer: number
  readonly runs: readonly number[]
}

/** Something a reader of the journal should know. */
export interface NoteEntry extends At {
  readonly kind: 'note'
  readonly run: number
  readonly note: 'diverged' | 'not called again' | 'leftover' | 'forked' | 'imported'
  readonly message: string
}

/** One record of a journal. */
export type Entry =
  | ClaimedEntry
  | SubmittedEntry
  | TransitionEntry
  | AdoptedEntry
  | ChildEntry
  | DrawEntry
  | WaitEntry
  | WokenEntry
  | MessageEntry
  | OfferedEntry
  | NoteEntry
