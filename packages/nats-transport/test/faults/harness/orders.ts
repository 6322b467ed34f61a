/** What the processes of a test are told, and what they answer. */
import type { Limit } from '@troupe/core'
import type { Step } from './plan-tasks.ts'

/** How a process begins. */
export interface NodeOrder {
  readonly node: string
  readonly servers: readonly string[]
  readonly namespace: string
  /** Names of flows that it serves. */
  readonly flows: readonly string[]
  /** Queues that it works for. */
  readonly tasks: Readonly<Record<string, number>>
  /** Folder of the ledger. */
  readonly ledger: string
  readonly settings: Settings
  /** How far its clock is ahead, in milliseconds. */
  readonly skewMs: number
  /** What bodies may take after SIGTERM. */
  readonly grace: string
  readonly limits: readonly Limit[]
  /** Default as in production. */
  readonly suspendAfter?: string
}

/** Of the transport, alike on all nodes of a test. */
export interface Settings {
  readonly replicas?: number
  readonly maxBlocked?: string
  readonly maxBytes?: number
  readonly largeValue?: number
  /** How long things take, in milliseconds; default as in production. */
  readonly times?: Readonly<Record<string, number>>
}

export interface Start {
  readonly flow: string
  readonly steps: readonly Step[]
  readonly id?: string
  readonly idempotencyKey?: string
  /** On this node, or on any that serves the flow; default here. */
  readonly on?: 'here' | 'any'
}

/** What is asked of a process. */
export type Ask =
  | ({ readonly do: 'start' } & Start)
  | { readonly do: 'result' | 'cancel' | 'state' | 'pause' | 'resume' | 'release'; readonly id: string }
  | { readonly do: 'signal'; readonly id: string; readonly name: string; readonly payload: unknown }
  | { readonly do: 'health' | 'close' }

export type Question = Ask & { readonly number: number }

export type Said =
  | { readonly said: 'ready' }
  | { readonly said: 'error'; readonly error: string }
  | { readonly said: 'answer'; readonly number: number; readonly value: unknown }
  | { readonly said: 'refusal'; readonly number: number; readonly error: Refusal }

export interface Refusal {
  readonly name: string
  readonly message: string
  readonly code: unknown
}
