import { Fifo } from '../base/fifo.ts'
import type { HandedOver } from './run.ts'

/** A place in the order of what a body is handed; while its body is replayed, what belongs there may not be asked for yet. */
export interface Place {
  item: HandedOver | undefined
  /** What the journal says of it, for messages. */
  readonly recorded: string
}

/**
 * The order in which one body sees what it waits for. **Here a body's next value is decided.**
 *
 * Everything that the journal hands to a body, the ends of runs, of timers and of subflows, goes through here in the
 * order of the journal, each after the body has come to rest from the one before: one a turn of the event loop. The
 * places of what an earlier execution was handed are reserved first (`reserve`), and a place whose call has not been
 * made again stops all that come after it. So a body whose effects are all in tasks takes the same path each time.
 */
export class Handover {
  readonly #turn: (fn: () => void) => void
  readonly #queue = new Fifo<Place>()
  #scheduled = false
  #held = false
  #over = false
  /** Reserved places whose call has not been made. */
  #uncalled = 0

  constructor(turn: (fn: () => void) => void) {
    this.#turn = turn
  }

  /** How many recorded ends wait for a call that the body has not made. */
  get uncalled(): number {
    return this.#uncalled
  }

  /** The first recorded end that nobody has asked for, in the words of the journal. */
  get stalledAt(): string | undefined {
    const first = this.#queue.peek()
    return first !== undefined && first.item === undefined ? first.recorded : undefined
  }

  /** Keeps the next place for something that an earlier execution of the body was handed. */
  reserve(recorded: string): Place {
    const place: Place = { item: undefined, recorded }
    this.#queue.push(place)
    this.#uncalled++
    return place
  }

  /** The body has made the call that the place was kept for. */
  fill(place: Place, item: HandedOver): void {
    place.item = item
    this.#uncalled--
    this.#schedule()
  }

  /** Hands `item` over after all that came before. */
  push(item: HandedOver): void {
    this.#queue.push({ item, recorded: '' })
    this.#schedule()
  }

  /** Gives up the reserved places that nobody asked for: the body took another path and may go on. */
  skipUncalled(): void {
    const rest: Place[] = []
    for (let place = this.#queue.shift(); place !== undefined; place = this.#queue.shift()) {
      if (place.item !== undefined) rest.push(place)
    }
    for (const place of rest) this.#queue.push(place)
    this.#uncalled = 0
    this.#schedule()
  }

  /** Paused: nothing is handed over until `resume`. */
  hold(): void {
    this.#held = true
  }

  resume(): void {
    this.#held = false
    this.#schedule()
  }

  /** Hands nothing over any more. */
  stop(): void {
    this.#over = true
    this.#queue.clear()
  }

  #schedule(): void {
    if (this.#scheduled || this.#held || this.#over) return
    if (this.#queue.peek()?.item === undefined) return
    this.#scheduled = true
    this.#turn(this.#next)
  }

  /** What nobody waits for makes nobody go on, and needs no turn of its own. */
  readonly #next = (): void => {
    this.#scheduled = false
    if (this.#held || this.#over) return
    for (;;) {
      const item = this.#queue.peek()?.item
      if (item === undefined) return
      this.#queue.shift()
      const { wanted } = item
      item.deliver()
      if (wanted) break
    }
    this.#schedule()
  }
}
