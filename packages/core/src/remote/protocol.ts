/**
 * What a body and its engine say to each other where they are not in the same thread. Values are encoded; everything else
 * is what a structured clone keeps.
 */

import type { TraceCarrier } from '../ports/instrumentation.ts'

/** The version of what follows; both sides must have the same. */
export const protocolVersion = 1

/** A value that is encoded, and buffers that go beside it without a copy. */
export interface Parcel {
  readonly bytes: Uint8Array
  readonly buffers?: readonly ArrayBuffer[]
  /** Whether the buffers are needed again here: then they go as copies. */
  readonly keeps?: boolean
  /** Whether the value was thrown. */
  readonly thrown?: boolean
}

/** What a body is started with. */
export interface BodyStart {
  readonly runId: string
  readonly flowRunId: string
  readonly name: string
  readonly runName: string
  readonly attempt: number
  readonly tags: readonly string[]
  readonly args: Parcel
  /** Where what it does belongs, as instrumentation of its engine says. */
  readonly trace?: TraceCarrier
}

/** What a body asks; it stands still until there is an answer. */
export type Ask =
  | {
      readonly ask: 'call'
      readonly kind: 'flow' | 'task'
      /** How the definition is found. */
      readonly name: string
      readonly version: string
      readonly place: string
      /** Options that were given since. */
      readonly options: Parcel
      readonly args: Parcel
      /** The number that the body knows the run by, where it does not wait for the answer. */
      readonly ref?: number
    }
  | { readonly ask: 'draw'; readonly draw: 'now' | 'random' | 'uuid' }
  | { readonly ask: 'flow' }
  | { readonly ask: 'state'; readonly ref: number }
  | { readonly ask: 'sleep'; readonly ticket: number; readonly ms: number }
  | { readonly ask: 'deadline'; readonly ticket: number; readonly ms: number }

/** What a body tells. */
export type Tell =
  | { readonly tell: 'await'; readonly ref: number; readonly ticket: number; readonly what: 'value' | 'end' }
  | {
      readonly tell: 'steer'
      readonly ref: number
      readonly ticket: number
      readonly what: 'cancel' | 'pause' | 'resume'
      readonly reason?: string | undefined
      /** Of `resume`: an input. */
      readonly input?: Parcel | undefined
    }
  | {
      readonly tell: 'signal'
      readonly ref: number
      readonly ticket: number
      readonly name: string
      readonly payload: Parcel
    }
  /** It has come to rest, and waits. */
  | {
      readonly tell: 'rest'
      /** Events that it has seen: what is on its way will wake it. */ readonly seen: number
    }
  /** Nothing in the thread refers to that run any more. */
  | { readonly tell: 'forget'; readonly ref: number }
  | { readonly tell: 'look'; readonly ref: number }
  | {
      readonly tell: 'watch'
      readonly ref: number
      readonly ticket: number
      readonly what: 'states' | 'transitions'
    }
  /** It waits no more. */
  | { readonly tell: 'stop'; readonly ticket: number }
  | {
      readonly tell: 'log'
      /** Of the run itself, or of the flow run that it is part of. */
      readonly of: 'own' | 'flow'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly fields: Parcel
      readonly message: string | undefined
    }
  | Drew
  /** What called it failed; the body went on. */
  | { readonly tell: 'failed'; readonly error: Parcel }
  | {
      readonly tell: 'progress'
      readonly of: 'own' | 'flow'
      readonly fraction: number
      readonly message: string | undefined
    }

/** What a body drew by itself. */
export interface Drew {
  readonly tell: 'drew'
  readonly draw: 'now' | 'random' | 'uuid'
  readonly value: number | string
}

/** The answer to what a body asked: what it is depends on the question. */
export type Answer = { readonly value: Parcel } | { readonly error: Parcel }

/** A run that the body submitted. What is not known at once may change. */
export interface Submitted {
  readonly ref: number
  readonly id: string
  readonly runName: string
}

/** What a body may know of the flow run that it is part of. */
export interface FlowFacts {
  readonly id: string
  readonly name: string
  readonly runName: string
  readonly flowRunId: string
  readonly attempt: number
  /** Or why they can't be sent. */
  readonly parameters: { readonly value: readonly unknown[] } | { readonly error: unknown }
  readonly tags: readonly string[]
}

/** What a body must be told at once where it can't wait for answers later. */
export interface BodyFacts {
  /** The attempt with which its try began. */
  readonly tryFrom: number
  /** Whether it may act while it is being cancelled. */
  readonly cleanup: boolean
  /** What it drew when it ran before. */
  readonly draws: readonly (readonly [Drew['draw'], number | string])[]
  /** Ids of the runs that it submitted before, each with the key of its call; see `keyOfCall`. */
  readonly ids: readonly (readonly [string, string])[]
}

/** What the engine tells a body. */
export type BodyEvent =
  /** What it waited for is there. */
  | { readonly ticket: number; readonly value: Parcel }
  | { readonly ticket: number; readonly error: Parcel }
  | { readonly ticket: number; readonly complete: true }
  /** It is to stop. */
  | { readonly abort: Parcel }

/** The engine's side of a body that is executed elsewhere. */
export interface BodyServer {
  /** What a body needs to know besides where it can't wait for answers. */
  facts(): BodyFacts
  /** What it may know of the flow run that it is part of, as `packFlow` makes it; undefined where there is none. */
  flow(): Uint8Array | undefined
  /** How large its arguments are, in bytes. */
  readonly size: number
  /** @throws CodecError `NOT_ENCODABLE` */
  start(): BodyStart
  answer(ask: Ask): Answer
  told(tell: Tell): void
  /** What the body found. */
  result(parcel: Parcel): { readonly value: unknown } | { readonly error: unknown }
}
