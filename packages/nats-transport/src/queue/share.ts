import type { Lane } from './lane.ts'

/** A pull to send. */
export interface Ask {
  /** Index of the lane. */
  readonly lane: number
  readonly batch: number
  /** Whether it only looks: it ends at once where nothing waits. */
  readonly look: boolean
}

export interface Sharing {
  /** Deliveries that may still come. */
  readonly open: number
  readonly now: number
  /** How long a pull waits. */
  readonly pullMs: number
}

/** So much of what may come is asked for before more is. */
const enough = 0.75
/** How often it is looked into a lane that is not asked while another one has work. */
const lookEveryMs = 100
/** Every so many-th delivery is one of the second and the third lane, where work waits in all. */
const shares = [1, 8, 16] as const

/**
 * Shares what may still come between the lanes of a queue. The first lane that has work comes first; but of 16 deliveries at
 * least one is of each. Where nothing waits, most is asked of the lane that had work last. No more is ever asked for than may come, so
 * where that is less than there are lanes, they are asked in turns.
 */
export class Sharer {
  readonly #lanes: readonly Lane[]
  #turn = 0
  /** Whether work was asked for since other lanes were looked into: on a long way to the server it would be nothing but looks else. */
  #mayLook = true

  /** @param lanes - The first first. */
  constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes
  }

  share(sharing: Sharing): Ask[] {
    const asked = this.#lanes.reduce((sum, lane) => sum + lane.asked, 0)
    const asks = new Asks(this.#lanes.length, sharing.open - asked)
    if (asks.free <= 0 || this.#isEnough(asked, sharing.open)) return []
    if (this.#lanes.some(({ usable, waiting }) => usable && waiting > 0)) this.#shareWork(asks, sharing)
    if (asks.free > 0) this.#shareRest(asks, sharing)
    return asks.list()
  }

  /** Most is asked for already, of all lanes, and nothing waits: one pull later does for what several would do now. */
  #isEnough(asked: number, open: number): boolean {
    const isAsked = ({ usable, waiting, asked: ofLane }: Lane): boolean =>
      !usable || (waiting === 0 && ofLane > 0)
    return asked > open * enough && this.#lanes.every(isAsked)
  }

  #shareWork(asks: Asks, { now }: Sharing): void {
    const isUnknown = ({ usable, waiting, asked, lookedAt }: Lane): boolean =>
      usable && waiting === 0 && asked === 0 && now - lookedAt >= lookEveryMs
    const unknown = new Set(this.#lanes.flatMap((lane, index) => (isUnknown(lane) ? [index] : [])))
    const waiting = this.#lanes.map((lane) => (lane.usable ? lane.waiting : 0))
    const first = waiting.findIndex((count) => count > 0)
    if (this.#mayLook) {
      for (const index of unknown) {
        if (index < first && asks.look(index)) this.#mayLook = false
      }
    }
    while (asks.free > 0) {
      this.#turn++
      const next = this.#next(waiting, unknown)
      if (next === -1) return
      if (unknown.delete(next)) {
        asks.look(next)
      } else {
        waiting[next] = (waiting[next] ?? 0) - 1
        asks.add(next, 1)
        this.#mayLook = true
      }
    }
  }

  #next(waiting: readonly number[], unknown: ReadonlySet<number>): number {
    for (let index = waiting.length - 1; index > 0; index--) {
      const has = (waiting[index] ?? 0) > 0 || unknown.has(index)
      if (has && this.#turn % (shares[index] ?? 1) === 0) return index
    }
    return waiting.findIndex((count) => count > 0)
  }

  #shareRest(asks: Asks, { open, now, pullMs }: Sharing): void {
    const usable = [...this.#lanes.entries()].filter(([, lane]) => lane.usable)
    const favourite = this.#favourite()
    const askedOf = (index: number): number => (this.#lanes[index]?.asked ?? 0) + asks.of(index)
    const others = usable.filter(([index]) => index !== favourite)
    if (open < this.#lanes.length) {
      // Before the favourite waits for a turn: a look at the others, and the more often at those that go first.
      const favouriteAt = this.#lanes[favourite]?.lookedAt ?? -Infinity
      for (const [index, { asked, lookedAt }] of others) {
        const seldom = index < favourite ? lookEveryMs : pullMs * 0.9
        const isItsTurn = lookedAt === -Infinity || lookedAt < favouriteAt
        if (asked === 0 && isItsTurn && now - lookedAt >= seldom) asks.look(index)
      }
    } else {
      const each = Math.max(1, Math.floor(open / 8))
      for (const [index] of others) asks.add(index, Math.min(asks.free, each - askedOf(index)))
    }
    // While a look is on its way, its credit is not free.
    if (this.#lanes[favourite]?.usable === true) asks.add(favourite, asks.free)
  }

  /** The lane that had work last; that of normal priority where none had. */
  #favourite(): number {
    let favourite = 1
    let last = -Infinity
    for (const [index, { deliveredAt, usable }] of this.#lanes.entries()) {
      if (usable && deliveredAt > last) {
        favourite = index
        last = deliveredAt
      }
    }
    return favourite
  }
}

/** Pulls of one sharing out, added up. */
class Asks {
  free: number
  readonly #batches: number[]
  readonly #looks: number[] = []

  constructor(lanes: number, free: number) {
    this.free = free
    this.#batches = Array.from({ length: lanes }, () => 0)
  }

  of(lane: number): number {
    return this.#batches[lane] ?? 0
  }

  add(lane: number, count: number): void {
    if (count <= 0) return
    this.#batches[lane] = this.of(lane) + count
    this.free -= count
  }

  /** @returns Whether there was a credit for it */
  look(lane: number): boolean {
    if (this.free <= 0) return false
    this.#looks.push(lane)
    this.free--
    return true
  }

  list(): Ask[] {
    const pulls = this.#batches.flatMap((batch, lane) => (batch > 0 ? [{ lane, batch, look: false }] : []))
    return [...this.#looks.map((lane) => ({ lane, batch: 1, look: true })), ...pulls]
  }
}
