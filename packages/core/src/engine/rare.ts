import type { PauseReason } from '../journal/entries.ts'
import type { Audience } from './audience.ts'

/** What a run holds or waits for outside its body: slots, a result that another run makes, the time of its retry. */
export interface Held {
  /** The body begins. */
  begun(): void
  /** Whether another attempt may begin at once, with what it holds. */
  again(): boolean
  /** Whether it has slots, which others may wait for. */
  readonly hasSlots: boolean
  /** Gives everything back; a second call does nothing. */
  release(): void
}

/** A run whose body was let go, and what makes it go on. */
export interface Parking {
  /** Whether a signal of this name makes it go on. */
  wakesOn(name: string | undefined): boolean
  /** It goes on, or has ended or left. */
  stop(): void
}

/** What few runs have; the others, of which a million may wait, are spared the room. */
export class Rare {
  held: Held | undefined
  /** The name that its arguments gave it. */
  named: string | undefined
  /** Of a run that was restored: all its tags. */
  tags: readonly string[] | undefined
  /** Whether the journal is yet to be told of that name. */
  isNewName = false
  /** Bodies that lent their slot while they wait for a run that they did not submit: each goes on when it has one again. */
  lenders: Map<object, Audience> | undefined
  abandoned = false
  /** When its next attempt is due, of a run that waits for one. */
  until: number | undefined
  /** With what its host was lost last. */
  lastLoss: unknown
  /** The call that started it, where futures stood in its arguments. */
  call: object | undefined
  /** What an earlier execution of its body did, until another one begins. */
  recorded: object | undefined
  /** Paused or Suspended, with no body that could go on: its journal is replayed when it does. */
  parked: Parking | undefined
  /** What it waits for while it is Paused. */
  pausedFor: PauseReason | undefined
  /** Paused from outside while it waits for an input: it stays so when that has come. */
  isHeld = false
  /** Of a flow run: its messages; see `inboxOf`. */
  inbox: object | undefined
  /** What instrumentation is told of it; see `TracedRun`. */
  traced: object | undefined
  /** Told of each of its next states. */
  listeners: Set<() => void> | undefined
}
