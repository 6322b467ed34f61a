import { Fifo } from '../base/fifo.ts'
import { Heap } from '../base/heap.ts'
import { inWords } from '../base/words.ts'
import type { Clock } from '../ports/clock.ts'
import { checkLimit, copyOf, invalid, keyOf, type Limit, type LimitState, type LimitTarget } from './limit.ts'
import { Deadlocks, type Need, type Wait } from './deadlocks.ts'

/** The limits of an engine. @public */
export interface Limits {
  /**
   * Sets or changes a limit. One that is raised lets waiting runs go on at once; one that is lowered takes nothing from
   * runs that hold a slot. A new limit counts runs that come to it from now on.
   *
   * @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`
   */
  set(limit: Limit): void
  /** Takes a limit away: what waits for it alone goes on. @returns Whether there was one. @throws UsageError `INVALID_OPTION` */
  remove(target: LimitTarget): boolean
  list(): readonly LimitState[]
}

/** A run as limits see it. */
interface Counted {
  readonly kind: 'flow' | 'task'
  readonly name: string
  readonly tags: readonly string[]
}

/** A run that wants slots, or has them. */
export interface Claimant {
  readonly run: object
  readonly priority: number
  readonly order: number
  /** It has a slot of each of its limits. */
  slotsGranted(): void
  /** See {@link Wait}. */
  holding(): readonly object[]
  /** What it waits for can't come before it has ended. */
  deadlocked(words: string): void
}

/** What a claimant has asked for. */
export interface Claim {
  readonly granted: boolean
  /** What it waits for, in words. */
  readonly waitsFor: string
  /** Begins another attempt with the slots it has. @returns False where a rate does not allow it now. */
  again(): boolean
  /** Its attempt begins now. */
  begun(): void
  /** Gives everything back, granted or not; a second call does nothing. */
  release(): void
}

/**
 * Limits on how many runs there are at once, and how often they begin.
 *
 * A run that needs slots of several limits gets all of them in one step, when it comes first in the queue of each; all
 * queues have the same order, by priority and then by submission, so that two runs never wait for each other's slots.
 * Everything happens when a slot is given back, a limit is changed or a rate's time has come: nothing polls.
 */
export class Limiter implements Limits {
  readonly #clock: Clock
  readonly #limits = new Map<string, OneLimit>()
  readonly #changed: OneLimit[] = []
  readonly #deadlocks: Deadlocks
  #granting = false

  /** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
  constructor(clock: Clock, limits: readonly Limit[], deadlocks = new Deadlocks()) {
    this.#clock = clock
    this.#deadlocks = deadlocks
    if (!Array.isArray(limits)) invalid('limits', 'a list of limits', limits)
    for (const limit of limits as readonly Limit[]) {
      if (this.#limits.has(keyOf(limit))) invalid('limits', 'a list with one limit for each target', limit)
      this.set(limit)
    }
  }

  set(limit: Limit): void {
    const key = keyOf(limit)
    const perMs = checkLimit(limit)
    const one = this.#limits.get(key) ?? new OneLimit(this.#clock, key, () => this.#look(one))
    this.#limits.set(key, one)
    one.change(copyOf(limit), perMs)
    this.#look(one)
    // With fewer slots, those that wait may now wait for ever.
    this.#deadlocks.check()
  }

  remove(target: LimitTarget): boolean {
    const one = this.#limits.get(keyOf(target))
    if (one?.limit === undefined) return false
    // What holds its slots still does: a limit that is set again soon counts them.
    one.change(undefined, 0)
    const waiting = one.takeWaiting()
    for (const claim of waiting) claim.leaves(one)
    this.#look(one, ...waiting.flatMap(({ needs }) => needs))
    return true
  }

  list(): readonly LimitState[] {
    const states: LimitState[] = []
    for (const { limit, held, waiting } of this.#limits.values())
      if (limit !== undefined) states.push({ ...copyOf(limit), held, waiting })
    return states
  }

  /** The limits that count a run; undefined where none does. */
  of(run: Counted): readonly object[] | undefined {
    if (this.#limits.size === 0) return undefined
    let found: OneLimit[] | undefined
    const add = (key: string): void => {
      const one = this.#limits.get(key)
      if (one?.limit !== undefined) (found ??= []).push(one)
    }
    add(`${run.kind} ${run.name}`)
    if (run.kind === 'task') for (const tag of new Set(run.tags)) add(`tag ${tag}`)
    return found
  }

  /** Asks for a slot of each limit; `claimant.slotsGranted()` is called only where that takes time. */
  claim(limits: readonly object[], claimant: Claimant): Claim {
    const claim = new Claiming(limits as readonly OneLimit[], claimant, {
      look: (changed) => this.#look(...changed),
      deadlocks: this.#deadlocks,
    })
    claim.enqueue()
    this.#look(...claim.needs)
    claim.settleIn()
    return claim
  }

  #look(...changed: readonly OneLimit[]): void {
    this.#changed.push(...changed)
    if (this.#granting) return
    this.#granting = true
    // There is room somewhere, and it is not plain that the first in the queue comes to it.
    let isBlocked = false
    try {
      for (let one = this.#changed.pop(); one !== undefined; one = this.#changed.pop()) {
        while (one.grantFirst(this.#changed)) continue
        isBlocked ||= one.isFree && one.first()?.comesPlainly(this.#deadlocks) === false
        if (one.limit === undefined && one.claims === 0) this.#limits.delete(one.key)
      }
    } finally {
      this.#granting = false
    }
    if (isBlocked) this.#deadlocks.check()
  }
}

class OneLimit implements Need {
  readonly key: string
  readonly #clock: Clock
  readonly #timeCame: () => void
  /** Undefined where it was taken away. */
  limit: Limit | undefined
  perMs = 0
  readonly hasQueue = true
  /** Runs that have a slot. */
  readonly #holders = new Set<object>()
  waiting = 0
  readonly #queue = new Heap<Claiming>(goesBefore)
  /** When the newest attempts began: as many as the greatest rate counted. */
  readonly #starts = new Fifo<number>()
  #mostStarts = 0
  /** Attempts that may begin and have not: each counts as one that begins now, whenever now is. */
  #toBegin = 0
  #stopTimer: (() => void) | undefined
  #wakesAt = Number.POSITIVE_INFINITY
  /** Claims that wait or have a slot, and count here though the limit was taken away meanwhile. */
  claims = 0

  constructor(clock: Clock, key: string, timeCame: () => void) {
    this.#clock = clock
    this.key = key
    this.#timeCame = timeCame
  }

  change(limit: Limit | undefined, perMs: number): void {
    this.limit = limit
    this.perMs = perMs
    this.#mostStarts = Math.max(this.#mostStarts, limit?.rate?.count ?? 0)
    this.#clearTimer()
  }

  get words(): string {
    const { concurrency, rate } = this.limit ?? {}
    const slots = concurrency === undefined ? [] : [`${concurrency} at once`]
    const starts = rate === undefined ? [] : [`${rate.count} per ${inWords(rate.per)}`]
    return `${this.key} (${[...slots, ...starts].join(', ')})`
  }

  get isFree(): boolean {
    return this.held < this.capacity
  }

  get capacity(): number {
    return this.limit?.concurrency ?? Number.POSITIVE_INFINITY
  }

  get held(): number {
    return this.#holders.size
  }

  holders(): Iterable<object> {
    return this.#holders
  }

  give(run: object): void {
    this.#holders.add(run)
  }

  takeBack(run: object): void {
    this.#holders.delete(run)
  }

  /** How long until an attempt may begin: 0 where one may now, Infinity where that depends on others that may. */
  get waitMs(): number {
    const count = this.limit?.rate?.count
    if (count === undefined) return 0
    const left = count - this.#toBegin
    if (left <= 0) return Number.POSITIVE_INFINITY
    const oldest = this.#starts.size < left ? undefined : this.#starts.at(this.#starts.size - left)
    return oldest === undefined ? 0 : Math.max(0, oldest + this.perMs - this.#clock.monotonic())
  }

  /** An attempt may begin. */
  let(): void {
    this.#toBegin++
  }

  /** One that might begin does, or will not. */
  begun(really: boolean): void {
    this.#toBegin--
    if (!really || this.limit?.rate === undefined) return
    this.#starts.push(this.#clock.monotonic())
    if (this.#starts.size > this.#mostStarts) this.#starts.shift()
  }

  enqueue(claim: Claiming): void {
    this.#queue.push(claim)
    this.waiting++
  }

  first(): Claiming | undefined {
    for (;;) {
      const first = this.#queue.peek()
      if (first?.waits !== false) return first
      this.#queue.pop()
    }
  }

  /** One that waits no more; it leaves when it comes first, or with the others when they are the greater part. */
  left(): void {
    this.waiting--
    if (this.#queue.size > 64 && this.#queue.size > 2 * this.waiting) this.#queue.filter(({ waits }) => waits)
  }

  /** Takes all out of the queue, in their order. */
  takeWaiting(): readonly Claiming[] {
    const claims = this.#queue
      .items()
      .filter(({ waits }) => waits)
      .toSorted((a, b) => (goesBefore(a, b) ? -1 : 1))
    this.#queue.filter(() => false)
    this.waiting = 0
    return claims
  }

  /** @returns Whether the queue has another first now. `changed` gets the limits to look at again. */
  grantFirst(changed: OneLimit[]): boolean {
    const first = this.first()
    if (first === undefined) return false
    if (this.waitMs > 0) this.#wakeLater()
    if (!first.needs.every((one) => one.isFree)) return false
    for (const one of first.needs) {
      if (one.waitMs > 0) {
        one.#wakeLater()
        return false
      }
      if (one.first() !== first) return false
    }
    first.take()
    for (const one of first.needs) if (one !== this) changed.push(one)
    return true
  }

  #wakeLater(): void {
    const { waitMs } = this
    const at = this.#clock.now() + waitMs
    if (at >= this.#wakesAt) return
    this.#clearTimer()
    this.#wakesAt = at
    this.#stopTimer = this.#clock.at(at, () => {
      this.#clearTimer()
      this.#timeCame()
    })
  }

  #clearTimer(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
  }

  /** Where nobody waits, nobody is to be woken: a timer would keep the process alive. */
  stopTimerIfIdle(): void {
    if (this.waiting === 0) this.#clearTimer()
  }
}

interface ClaimingHost {
  look(changed: readonly OneLimit[]): void
  readonly deadlocks: Deadlocks
}

class Claiming implements Claim, Wait {
  readonly isGentle = false
  /** The limits that count it; while it waits, it stands in the queue of each. */
  needs: readonly OneLimit[]
  readonly claimant: Claimant
  readonly #host: ClaimingHost
  holding: readonly object[] = []
  /** Whether the claimant is told by what `claim` returns. */
  #isNew = true
  granted = false
  /** Whether it is in the queues. */
  waits = true
  /** Whether its attempt may begin, and has not. */
  #isToBegin = false

  constructor(limits: readonly OneLimit[], claimant: Claimant, host: ClaimingHost) {
    this.needs = limits
    this.claimant = claimant
    this.#host = host
  }

  /** Where it stands behind another, that one must come: so many of a chain are asked. */
  comesPlainly(deadlocks: Deadlocks, links = 8): boolean {
    return this.needs.every((one) => {
      if (!one.isFree) return !deadlocks.isDoubtful(one)
      const first = one.first()
      return first === this || (links > 0 && first?.comesPlainly(deadlocks, links - 1) === true)
    })
  }

  isBefore(other: Wait): boolean {
    return other instanceof Claiming && goesBefore(this, other)
  }

  pass(): boolean {
    if (!this.needs.every((one) => one.isFree && one.waitMs === 0)) return false
    this.take()
    return true
  }

  giveUp(): void {
    const words = this.needs.find((one) => !one.isFree)?.words ?? ''
    this.release()
    this.claimant.deadlocked(words)
  }

  get waitsFor(): string {
    const blocked = this.needs.find((one) => !one.isFree || one.waitMs > 0 || one.first() !== this)
    return `waits for a slot of ${blocked?.words ?? 'its limits'}`
  }

  enqueue(): void {
    for (const one of this.needs) {
      one.claims++
      one.enqueue(this)
    }
  }

  /** It was not granted at once. */
  settleIn(): void {
    if (this.waits) {
      this.holding = this.claimant.holding()
      this.#host.deadlocks.add(this)
    }
    this.#isNew = false
  }

  /** The limit was taken away: it waits for it no more, nor counts where it is set again. */
  leaves(limit: OneLimit): void {
    this.#host.deadlocks.delete(this)
    this.needs = this.needs.filter((one) => one !== limit)
    limit.claims--
    if (this.needs.length === 0) this.take()
    else this.#host.deadlocks.add(this)
  }

  take(): void {
    this.granted = true
    this.#leaveQueues()
    for (const one of this.needs) one.give(this.claimant.run)
    this.#let()
    if (!this.#isNew) this.claimant.slotsGranted()
  }

  #let(): void {
    this.#isToBegin = true
    for (const one of this.needs) one.let()
  }

  begun(really = true): void {
    if (!this.#isToBegin) return
    this.#isToBegin = false
    for (const one of this.needs) one.begun(really)
    if (really) this.#host.look(this.needs)
  }

  #leaveQueues(): void {
    this.waits = false
    this.#host.deadlocks.delete(this)
    for (const one of this.needs) {
      one.left()
      one.stopTimerIfIdle()
    }
  }

  again(): boolean {
    if (this.#isToBegin) return true
    const rated = this.needs.filter(({ limit }) => limit?.rate !== undefined)
    if (rated.some((one) => one.waitMs > 0 || one.first() !== undefined)) return false
    this.#let()
    return true
  }

  release(): void {
    if (this.granted) {
      this.begun(false)
      this.granted = false
      for (const one of this.needs) one.takeBack(this.claimant.run)
    } else if (this.waits) this.#leaveQueues()
    else return
    for (const one of this.needs) one.claims--
    this.#host.look(this.needs)
  }
}

/** The same order in all queues. */
function goesBefore({ claimant: a }: Claiming, { claimant: b }: Claiming): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority
}
