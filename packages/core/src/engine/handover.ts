import { Fifo } from '../base/fifo.ts'
import type { Clock } from '../ports/clock.ts'
import type { HandedOver } from './handed-over.ts'

/**
 * How long a replayed body may take to make a call whose end its journal has, before it counts as having taken another
 * path: far more than a body's own I/O should take, and short enough not to look like a hang.
 */
const patienceMs = 10_000

/** What the handovers of an engine share. */
export interface HandoverHost {
  readonly clock: Clock
  /** See the same of the ledger's host. */
  readonly freshTurn: number
}

/** A place in the order of what a body is handed; while its body is replayed, what belongs there may not be asked for yet. */
export interface Place {
  item: HandedOver | undefined
  /** What the journal says of it, for messages. */
  readonly recorded: string
}

/**
 * The order in which one body sees what it waits for. **Here a body's next value is decided.**
 *
 * Everything that the journal hands to a body, the ends of runs, of waits and of subflows, goes through here in the
 * order of the journal, each after the body has come to rest from the one before: one a turn of the event loop. The
 * places of what an earlier execution was handed are reserved first (`reserve`), and a place whose call has not been
 * made again stops all that come after it. So a body whose effects are all in tasks takes the same path each time.
 */
export class Handover {
  readonly #host: HandoverHost
  readonly #onStalled: (expected: string) => void
  readonly #queue = new Fifo<Place>()
  #scheduled = false
  #held = false
  #over = false
  /** Turn in which something was handed over last without a turn of its own. */
  #lastTurn = 0
  /** Reserved places whose call has not been made. */
  #uncalled = 0

  /** Whether the body has begun, and may make its calls. */
  #begun = false
  #stopWaiting: (() => void) | undefined

  /** @param onStalled - Told when the body has not made the call whose end comes next for a long time. */
  constructor(host: HandoverHost, onStalled: (expected: string) => void) {
    this.#host = host
    this.#onStalled = onStalled
  }

  /** The body begins: from here on it is expected to make its calls. */
  begin(): void {
    this.#begun = true
    this.#awaitCall()
  }

  /** How many recorded ends wait for a call that the body has not made. */
  get uncalled(): number {
    return this.#uncalled
  }

  /** Whether nothing is on its way to the body. */
  get isEmpty(): boolean {
    return this.#queue.size === 0 && !this.#scheduled
  }

  /** Whether the next value is handed over in one of the next turns. */
  get isHanding(): boolean {
    return this.#scheduled
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
    this.#awaitCall()
    return place
  }

  /** The body has made the call that the place was kept for. */
  fill(place: Place, item: HandedOver): void {
    place.item = item
    this.#uncalled--
    this.#awaitCall()
    this.#schedule()
  }

  /** Hands `item` over after all that came before. */
  push(item: HandedOver): void {
    const { freshTurn } = this.#host
    const idle = this.#queue.size === 0 && !this.#scheduled && !this.#held && !this.#over
    if (idle && freshTurn !== 0 && freshTurn !== this.#lastTurn) {
      // The body rests, and goes on in the microtasks of this turn: no other turn is needed for it.
      this.#lastTurn = freshTurn
      this.#scheduled = true
      item.deliver(this.#handedOver)
      return
    }
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
    this.#awaitCall()
    this.#schedule()
  }

  /** A body that waits for I/O of its own may make its next call late; one that took another path never does. */
  #awaitCall(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
    if (this.#uncalled === 0 || this.#over || !this.#begun) return
    this.#stopWaiting = this.#host.clock.at(this.#host.clock.now() + patienceMs, () => {
      this.#stopWaiting = undefined
      const expected = this.stalledAt
      if (expected !== undefined && !this.#held) this.#onStalled(expected)
    })
  }

  /** Paused: nothing is handed over until `resume`. */
  hold(): void {
    this.#held = true
  }

  resume(): void {
    this.#held = false
    this.#schedule()
  }

  /** The body has ended: what is left is given to whoever else holds it, with no order to keep. */
  flush(): void {
    this.#over = true
    this.#stopWaiting?.()
    for (let place = this.#queue.shift(); place !== undefined; place = this.#queue.shift())
      place.item?.deliver(nothing)
  }

  /** Hands nothing over any more. */
  stop(): void {
    this.#over = true
    this.#stopWaiting?.()
    this.#queue.clear()
  }

  #schedule(): void {
    if (this.#scheduled || this.#held || this.#over) return
    if (this.#queue.peek()?.item === undefined) return
    this.#scheduled = true
    this.#host.clock.turn(this.#next)
  }

  /** What nobody waits for makes nobody go on, and needs no turn of its own. */
  readonly #next = (): void => {
    for (;;) {
      const item = this.#held || this.#over ? undefined : this.#queue.peek()?.item
      if (item === undefined) {
        this.#scheduled = false
        return
      }
      this.#queue.shift()
      if (item.wanted) {
        // It goes on from here: its next call is expected anew.
        this.#awaitCall()
        item.deliver(this.#handedOver)
        return
      }
      item.deliver(nothing)
    }
  }

  readonly #handedOver = (): void => {
    this.#scheduled = false
    this.#schedule()
  }
}

function nothing(): void {
  // Nobody waits for it.
}
