import type { MessagePort } from 'node:worker_threads'
import type { Ask, BodyEvent, BodyStart, Parcel, Tell } from '@troupe/core'

/** What a pool and its threads say to each other. */

/** A task as it is found in a thread. */
export interface TaskAddress {
  readonly name: string
  readonly version: string
  readonly modules: readonly string[]
}

/** A body that is to begin. */
export interface Order {
  readonly lease: number
  /** Its word in the control memory. */
  readonly slot: number
  /** Number of its task; told of once. */
  readonly task: number
  /** Whether it begins at once, whatever else is there. */
  readonly beside: boolean
  readonly start: BodyStart
  /** Whether it asks for the buffers of its arguments when it begins. */
  readonly moves: boolean
}

/** Orders, packed. */
export interface PackedOrders {
  /** Their numbers, and the lengths of what belongs to them in the text and in the bytes. */
  readonly words: Int32Array
  readonly text: string
  /** The arguments of all, one after the other. */
  readonly bytes: Uint8Array
}

export type ToThread =
  | {
      readonly to: 'orders'
      readonly tasks: readonly (readonly [number, TaskAddress])[]
      readonly orders: PackedOrders
    }
  | { readonly to: 'event'; readonly lease: number; readonly event: BodyEvent }
  /** Say that the event loop turns. */
  | { readonly to: 'echo' }
  /** Load the modules of these, and say so. */
  | { readonly to: 'warm'; readonly id: number; readonly tasks: readonly (readonly [number, TaskAddress])[] }

/** Why a body can't begin. */
export interface Refusal {
  readonly code: 'TASK_NOT_FOUND' | 'AMBIGUOUS_NAME' | 'FLOW_STARTED_IN_WORKER'
  readonly message: string
  readonly cause?: unknown
  /** Fields of the cause. */
  readonly own?: Readonly<Record<string, unknown>>
}

export type FromThread =
  /** There is news in the shared memory. */
  | null
  | { readonly from: 'ask'; readonly lease: number; readonly ask: Ask }
  | { readonly from: 'buffers'; readonly lease: number }
  | { readonly from: 'tell'; readonly lease: number; readonly tell: Tell }
  | { readonly from: 'finished'; readonly lease: number; readonly result: Parcel; readonly micros: number }
  | { readonly from: 'refused'; readonly lease: number; readonly refusal: Refusal }
  /** It can take bodies. */
  | { readonly from: 'ready' }
  | { readonly from: 'echo' }
  | { readonly from: 'warmed'; readonly id: number; readonly refusal: Refusal | undefined }
  | { readonly from: 'flow'; readonly message: string }

/** What a thread is started with. */
export interface ThreadData {
  readonly troupe: typeof mark
  readonly control: Int32Array
  readonly results: SharedArrayBuffer
  readonly answers: MessagePort
  readonly bodies: number
}

/** Tells the threads of a pool from others that load the same entry. */
export const mark = 'task-thread 1'

// --- the control memory: 32-bit words ---------------------------------------------------------------------------------

/** How many bodies may be in a thread at once, those that wait for other runs included. */
export const slots = 1024

export const word = {
  /** 1 while a message is on its way that says that there is news. */
  pinged: 0,
  /** Counts answers; the thread waits for it to change. */
  answered: 1,
  /** Where the next result is written, and read. */
  written: 2,
  read: 3,
  /** Lease of the body whose task is being loaded; 0 for none. */
  loading: 4,
  /** Lease of the body that ends the thread; -1 where it is none of those that are there; 0 where it is not known. */
  culprit: 5,
  /** The first of the slots. */
  slots: 8,
} as const

export const controlWords = word.slots + slots

/** What a slot says: that of the body with this lease, which may have followed another one. */
export const state = {
  queued: (lease: number): number => (lease << 2) | 1,
  begun: (lease: number): number => (lease << 2) | 2,
  withdrawn: (lease: number): number => (lease << 2) | 3,
} as const

/** Calls for attention, unless somebody did and was not heard yet. */
export function ping(control: Int32Array, post: () => void): void {
  if (Atomics.exchange(control, word.pinged, 1) === 0) post()
}
