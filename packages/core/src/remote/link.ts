import type { Within } from '../base/bodies-within.ts'
import type { Definition } from '../definitions/definition.ts'
import type { BodyFunction } from '../definitions/functions.ts'
import type { Clock } from '../ports/clock.ts'
import type { Answer, Ask, BodyEvent, BodyStart, Parcel, Submitted, Tell } from './protocol.ts'

/** The way from a body to its engine. */
export interface Link {
  /** Time, where it is not this machine's. */
  readonly clock?: Clock
  /** Calls a body where that belongs, by the instrumentation of the node that executes it. */
  readonly within?: Within | undefined
  /** Takes a call without waiting for the engine; where it is missing, that is asked. @throws what is wrong with the call */
  submit?(definition: Definition, args: readonly unknown[], ask: Ask & { readonly ask: 'call' }): Submitted
  /** Blocks until there is an answer. */
  ask(ask: Ask): Answer
  tell(tell: Tell): void
  /** The body has settled. @param asked - Whether it said anything on this way: its end must not overtake that. */
  finished(result: Parcel, asked: boolean): void
  /** Calls `fn` in a later turn of the event loop. */
  turn(fn: () => void): void
}

/** A body that is executed for an engine elsewhere. */
export interface ForeignBody {
  /** Calls the body. It has finished when the link is told so, before this returns or later. */
  run(fn: BodyFunction): void
  event(event: BodyEvent): void
}

/** How a thread executes a definition: of the same copy of the package as the definition. */
export interface Runtime {
  readonly protocol: number
  body(start: BodyStart, link: Link): ForeignBody
}
