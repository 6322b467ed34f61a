import type { Assignment, BodyServer, Parcel } from '@troupe/core'
import type { Refusal, TaskAddress } from './wires.ts'

/** A body that was given to a thread. */
export interface Placed<Thread> {
  readonly assignment: Assignment
  /** What it is called between the thread and the pool: leases grow beyond what fits into a word. */
  readonly key: number
  readonly thread: Thread
  readonly slot: number
  readonly server: BodyServer
  /** Whether it begins whatever else is there. */
  readonly beside: boolean
  /** Whether the engine knows that it has begun. */
  isReported: boolean
  /** Whether it waits for another run, and does not count. */
  isLent: boolean
  /** Takes back that its thread is ended soon. */
  stopKilling: (() => void) | undefined
}

/** What a thread tells the pool of. */
export interface ThreadEvents<Thread> {
  begun(placed: Placed<Thread>): void
  finished(placed: Placed<Thread>, result: Parcel): void
  refused(placed: Placed<Thread>, refusal: Refusal): void
  warmed(thread: Thread, id: number, refusal: Refusal | undefined): void
  /** There is more room. */
  changed(): void
  /** What it said could not be understood. */
  failed(error: unknown): void
  /** A thread can take bodies. */
  ready(): void
  /** It is gone, and all its bodies with it. */
  exited(thread: Thread, exit: Exit<Thread>): void
}

/** How a thread ended, and what it leaves. */
export interface Exit<Thread> {
  /** Bodies that had not begun. */
  readonly queued: readonly Placed<Thread>[]
  readonly begun: readonly Placed<Thread>[]
  /** The body that ended it, where that is known. */
  readonly culprit: Placed<Thread> | undefined
  /** One whose module ended it while it was loaded. */
  readonly loading: Placed<Thread> | undefined
  /** Whether the pool ended it. */
  readonly wasEnded: boolean
  /** Whether it could take bodies at all. */
  readonly hasStarted: boolean
  /** What its code was told that wanted to start a flow there. */
  readonly refusal: string | undefined
  /** What it threw. */
  readonly failure: unknown
  readonly error: unknown
}

const addresses = new WeakMap<readonly string[], TaskAddress>()

/** The same object for the same definition. */
export function addressOf(name: string, version: string, modules: readonly string[]): TaskAddress {
  let address = addresses.get(modules)
  if (address === undefined) {
    address = { name, version, modules }
    addresses.set(modules, address)
  }
  return address
}
