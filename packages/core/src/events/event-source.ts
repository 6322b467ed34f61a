import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'

/** An event that became no flow run, and why. @public */
export interface DeadLetter<out E = unknown> {
  /** Name of the intake. */
  readonly intake: string
  /** Name of the flow. */
  readonly flow: string
  /** The event; undefined where it could not be read. */
  readonly event: E | undefined
  /** Its idempotency key, where it is known. */
  readonly key: string | undefined
  /** How often it was delivered, as far as its source knows; from 1. */
  readonly deliveries: number
  /** What is wrong with it. */
  readonly error: unknown
  /** When that was found: wall time in milliseconds since 1970. */
  readonly at: number
}

/** An event, which is the taker's until it says what became of it. @public */
export interface EventDelivery<out E> {
  /** An idempotency key that its source gives it; undefined where it has none to give. */
  readonly key: string | undefined
  /** How often it was delivered, this time included, as far as the source knows; from 1. */
  readonly deliveries: number
  /** Whether it would not be delivered again if it were handed back. */
  readonly isLast?: boolean
  /** Why it is a dead letter, whatever it is; undefined for all but those that the source itself has given up. */
  readonly refusal?: unknown
  /** The event. @throws whatever is wrong with it: it is a dead letter then */
  read(): E | Promise<E>
  /** It is dealt with: forgets it. Lost where the connection is; then it is delivered again. */
  done(): void
  /** Gives it back, to be delivered again after `delayMs` milliseconds (default 0). */
  handBack(delayMs?: number): void
  /** It is still being dealt with. */
  keepAlive?(): void
  /**
   * Keeps it at the place for dead letters, then forgets it. Absent where the source has no such place.
   *
   * @param place - Where; default the source's own place.
   * @throws what keeps it from being kept (rejects): it is tried again
   */
  reject?(letter: DeadLetter, place: string | undefined): Promise<void>
}

/** Whoever takes from an event source. @public */
export interface EventTaker<in E> {
  /** Name of the intake. */
  readonly intake: string
  /** Name of the engine as a node. */
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  /** An event. A source delivers no more than is wanted, unless it can't be slowed down. */
  deliver(delivery: EventDelivery<E>): void
  /** There is trouble that may pass; undefined when it has passed. */
  trouble(error: unknown): void
  /** There are no more events. */
  completed(): void
  /** There will be no more events, for a reason that does not pass. */
  failed(error: unknown): void
}

/** An event source that is taken from. @public */
export interface EventTap {
  /** How often {@link EventDelivery.keepAlive} is to be called for what is held, in milliseconds; undefined for never, or not yet. */
  readonly keepAliveMs?: number | undefined
  /** So many events may be delivered from now on, in place of what was wanted before. */
  want(count: number): void
  /** Delivers nothing more: what is on its way goes back. Resolves when that is certain. */
  stop(): Promise<void>
  /** Lets go of everything. Resolves when what was said of deliveries has arrived, or can't. Called once, after `stop`. */
  close(): Promise<void>
}

/**
 * Where events come from that are acknowledged, for `engine.on`. Constructing one connects to nothing. Several engines may
 * take from the same one.
 *
 * @public
 */
export interface EventSource<out E> {
  /** What it is, for messages. */
  readonly name: string
  /** Whether what is handed back, or held by a process that dies, is delivered again. Default true. */
  readonly redelivers?: boolean
  /** Whether it has a place for dead letters. Default false. */
  readonly keepsDeadLetters?: boolean
  /** Begins to take from it: nothing is delivered before something is wanted. Returns at once. */
  open(taker: EventTaker<E>): EventTap
}
