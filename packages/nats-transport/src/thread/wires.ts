/** What a node and its presence say to each other. */
import type { NodeInfo } from '@troupe/core'
import type { DialOptions } from '../connection/dial.ts'
import type { Times } from '../times.ts'

/** How to be there. */
export interface PresenceData {
  readonly namespace: string
  readonly inboxPrefix: string
  /** Name of the node, for the server's list of connections. */
  readonly label: string
  readonly replicas: number
  readonly storage: 'file' | 'memory'
  readonly times: Times
  readonly maxBlockedMs: number
  /** Two words: see below. */
  readonly pulse: SharedArrayBuffer
}

/** What a thread is started with. */
export interface ThreadData extends PresenceData {
  readonly dial: DialOptions
}

/** Words of the pulse: counts up while the node's event loop turns; whether the node is away, as `Away` says. */
export const beatWord = 0
export const awayWord = 1
export const pulseWords = 2

/** Why a node is away: it was blocked, it was cut off, or another one has its name. 0 while it is there. */
export const awayFor = { there: 0, blocked: 1, cutOff: 2, replaced: 3 } as const
export type Away = (typeof awayFor)[keyof typeof awayFor]

/** Part of a key's life after which a node that could not write it lets go: before others may count it as gone. */
export const fencedAfter = 0.8

/** What a node asks of its presence. */
export type Ask =
  | {
      readonly op: 'announce'
      readonly node: string
      readonly session: string
      readonly info: NodeInfo
      /** Whether it was there before, by a thread that has ended. */
      readonly isAgain: boolean
    }
  | { readonly op: 'withdraw'; readonly node: string }
  | { readonly op: 'gone'; readonly nodes: readonly string[] }
  | { readonly op: 'list' }
  /** Resolves when news of other nodes are heard. */
  | { readonly op: 'listen' }
  /** The node has let go of what it held, and is back. */
  | { readonly op: 'back' }
  | { readonly op: 'close' }

export type ToPresence =
  | { readonly kind: 'ask'; readonly id: number; readonly ask: Ask }
  | { readonly kind: 'table'; readonly table: SharedArrayBuffer }

export type FromPresence =
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'lost'; readonly node: string }
  | { readonly kind: 'away'; readonly why: Away }
  | { readonly kind: 'report'; readonly failure: Failure }

/** An error, as it goes from thread to thread. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}
