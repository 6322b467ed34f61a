import type { Audience } from './audience.ts'

/** What a run holds or waits for outside its body: slots, a result that another run makes, the time of its retry. */
export interface Held {
  /** The body begins. */
  begun(): void
  /** Whether another attempt may begin at once, with what it holds. */
  again(): boolean
  /** The limits that it waits for a slot of. */
  readonly missing: readonly object[]
  /** Whether the run has a slot of the limit. */
  holds(limit: object): boolean
  /** Gives everything back; a second call does nothing. */
  release(): void
}

/** What few runs have; the others, of which a million may wait, are spared the room. */
export class Rare {
  held: Held | undefined
  /** The name that its arguments gave it. */
  named: string | undefined
  /** Whether the journal is yet to be told of that name. */
  isNewName = false
  /** Bodies that lent their slot while they wait for a run that they did not submit: each goes on when it has one again. */
  lenders: Map<object, Audience> | undefined
  abandoned = false
}
