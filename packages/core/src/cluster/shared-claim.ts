import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { SharedLimit } from './shared-limit.ts'
import type { SlotRequest } from './slot-request.ts'

/** Who waits for slots of limits of the cluster. */
export interface SlotClaimant {
  /** Id of the run. */
  readonly run: string
  /** Whether its attempt has begun already, elsewhere: it wants no starts. */
  readonly hasBegun: boolean
  /** It has a slot of each, and may begin. */
  granted(): void
  /** It can't begin now. */
  waits(): void
}

/** One thing to be had: a slot of a limit, a start of its rate, or both. */
interface Part {
  readonly limit: SharedLimit
  readonly slot: boolean
  readonly start: boolean
}

/** How long some slots are held while others are waited for, at first and at the most. */
const heldMs = [200, 10_000] as const

/**
 * What one run has of limits of the cluster. Of one limit it is a single request. Of several they come one after the other:
 * all slots, then all starts. Where one is long in coming, what came before is given back, so that nobody who waits for that
 * waits for ever.
 */
export class SharedClaim {
  readonly #claimant: SlotClaimant
  readonly #clock: Clock
  readonly #random: Random
  /** In the order in which they are asked for. */
  #parts: readonly Part[]
  readonly #requests = new Map<Part, SlotRequest>()
  #waitsFor: Part | undefined
  #stopTimer: (() => void) | undefined
  #heldInVain = 0

  constructor(
    limits: readonly SharedLimit[],
    claimant: SlotClaimant,
    time: { clock: Clock; random: Random },
  ) {
    this.#claimant = claimant
    this.#clock = time.clock
    this.#random = time.random
    this.#parts = partsOf(limits, claimant.hasBegun)
    this.#next()
  }

  /** The limit that it waits for; undefined where it has all. */
  get waitsFor(): SharedLimit | undefined {
    return this.#waitsFor?.limit
  }

  #next(): void {
    const part = this.#parts.find((each) => !this.#requests.has(each))
    this.#waitsFor = part
    if (part === undefined) {
      this.#claimant.granted()
      return
    }
    const request = part.limit.ask({
      run: this.#claimant.run,
      slot: part.slot,
      start: part.start,
      granted: () => {
        this.#stopHolding()
        this.#next()
      },
      waits: () => {
        this.#holdForAWhile(part)
        this.#claimant.waits()
      },
    })
    this.#requests.set(part, request)
  }

  #holdForAWhile(part: Part): void {
    if (this.#requests.size === 1) return
    const [first, most] = heldMs
    const ms = Math.min(most, first * 2 ** this.#heldInVain) * (0.5 + this.#random.number())
    this.#stopTimer = this.#clock.at(this.#clock.now() + ms, () => this.#giveBackAllBut(part))
  }

  /** The one that is waited for comes first from now on, and keeps its place in the queue. */
  #giveBackAllBut(part: Part): void {
    this.#heldInVain++
    for (const [each, request] of this.#requests) {
      if (each === part) continue
      this.#requests.delete(each)
      request.release()
    }
    this.#parts = [part, ...this.#parts.filter((each) => each !== part)]
  }

  #stopHolding(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  /** Its attempt begins now. */
  begun(): void {
    for (const request of this.#requests.values()) request.begun()
  }

  /** Gives everything back. */
  release(): void {
    this.#stopHolding()
    for (const request of this.#requests.values()) request.release()
    this.#requests.clear()
  }
}

function partsOf(limits: readonly SharedLimit[], hasBegun: boolean): readonly Part[] {
  const inOrder = limits.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  if (!hasBegun && limits.length === 1) return inOrder.map((limit) => ({ limit, slot: true, start: true }))
  const slots = inOrder.map((limit) => ({ limit, slot: true, start: false }))
  return hasBegun ? slots : [...slots, ...inOrder.map((limit) => ({ limit, slot: false, start: true }))]
}
