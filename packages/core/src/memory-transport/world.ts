import type { Clock } from '../ports/clock.ts'
import { Deadlines } from '../ports/deadlines.ts'
import { seededRandom, type Random } from '../ports/random.ts'
import type { MemorySettings } from './options.ts'

/** A node, as far as it keeps the world's time. */
interface Sleeper {
  readonly clock: Clock
  /** Calls `fire` at that moment of the world's time, in place of the one before. */
  arm(at: number, fire: () => void): void
}

/** What is late by turns is late by so many at most. */
const mostTurns = 8

function afterTurns(clock: Clock, turns: number, fn: () => void): void {
  clock.turn(() => (turns > 1 ? afterTurns(clock, turns - 1, fn) : fn()))
}

/** What lies between the nodes: chance, and time that goes on while any node lives. */
export class World {
  readonly settings: MemorySettings
  readonly wires = new Set<Sleeper>()
  readonly #random: Random
  readonly #deadlines = new Deadlines()
  #now = 0

  constructor(settings: MemorySettings) {
    this.settings = settings
    this.#random = seededRandom(settings.seed)
  }

  /** Whether it happens this time. What never happens takes no chance. */
  happens(rate: number): boolean {
    return rate > 0 && this.#random.number() < rate
  }

  /** Now, or, by chance, some turns or some time later than it would. */
  late(clock: Clock, fn: () => void): void {
    const { delay, delayMs } = this.settings.faults
    if (!this.happens(delay)) fn()
    else if (this.happens(0.5)) afterTurns(clock, 1 + this.choose(mostTurns), fn)
    else this.after(1 + this.choose(delayMs), fn)
  }

  /** One of so many, from 0 on. */
  choose(count: number): number {
    return Math.floor(this.#random.number() * count)
  }

  /** Milliseconds that never go back: those of the nodes, which share one time. */
  now(): number {
    for (const { clock } of this.wires) {
      this.#now = Math.max(this.#now, clock.monotonic())
      break
    }
    return this.#now
  }

  /** Calls `fn` after so many milliseconds, whichever node lives by then. @returns A function that takes it back. */
  after(ms: number, fn: () => void): () => void {
    const takeBack = this.#deadlines.add(this.now() + ms, fn)
    this.arm()
    return () => {
      takeBack()
      this.arm()
    }
  }

  /** Every node that lives wakes the world at its next deadline: whoever is first. */
  arm(): void {
    const next = this.#deadlines.next()
    for (const wire of this.wires) wire.arm(next, () => this.#fire())
  }

  #fire(): void {
    this.#deadlines.fire(this.now())
    this.arm()
  }
}
