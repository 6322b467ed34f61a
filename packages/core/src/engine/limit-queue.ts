import { Fifo } from '../base/fifo.ts'
import { Heap } from '../base/heap.ts'
import type { SharedClaim } from '../cluster/shared-claim.ts'
import type { SharedLimit } from '../cluster/shared-limit.ts'
import type { SharedLimits } from '../cluster/shared-limits.ts'
import type { Clock } from '../ports/clock.ts'
import { wordsOf, type Limit } from './limit.ts'
import type { Deadlocks, Need, Wait } from './deadlocks.ts'

/** A run that wants slots, or has them. */
export interface Claimant {
  readonly run: object
  /** Id of the run. */
  readonly id: string
  readonly priority: number
  readonly order: number
  /** Whether its attempt has begun already, elsewhere: it wants slots, and no start of a rate. */
  readonly hasBegun: boolean
  /** It has a slot of each of its limits. */
  slotsGranted(): void
  /** It turned out that it has to wait, where that took time. */
  slotsAwaited(): void
  /** See {@link Wait}. */
  holding(): readonly object[]
  /** What it waits for can't come before it has ended. */
  deadlocked(words: string): void
}

/** What a claimant has asked for. */
export interface Claim {
  readonly granted: boolean
  /** Whether other nodes are asked, and it may have its slots in a moment. */
  readonly isAsking: boolean
  /** What it waits for, in words. */
  readonly waitsFor: string
  /** Begins another attempt with the slots it has. @returns False where a rate does not allow it now. */
  again(): boolean
  /** Its attempt begins now. */
  begun(): void
  /** Gives everything back, granted or not; a second call does nothing. */
  release(): void
}

/** One limit, its slots, and the runs that wait for them. */
export class OneLimit implements Need {
  readonly key: string
  readonly #clock: Clock
  readonly #timeCame: () => void
  /** Undefined where it was taken away. */
  limit: Limit | undefined
  perMs = 0
  readonly hasQueue = true
  /** The limit of the cluster that it is part of: then there are slots and starts here as far as there are any there. */
  readonly shared: SharedLimit | undefined
  /** Claims that have come first here, and wait for the cluster. */
  readonly staged = new Set<Claiming>()
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

  constructor(clock: Clock, key: string, host: { shared: SharedLimit | undefined; timeCame(): void }) {
    this.#clock = clock
    this.key = key
    this.shared = host.shared
    this.#timeCame = () => host.timeCame()
  }

  change(limit: Limit | undefined, perMs: number): void {
    this.limit = limit
    this.perMs = perMs
    this.#mostStarts = Math.max(this.#mostStarts, limit?.rate?.count ?? 0)
    this.#clearTimer()
  }

  get words(): string {
    return `${this.key} (${this.limit === undefined ? '' : wordsOf(this.limit)})`
  }

  get isFree(): boolean {
    return this.held < this.capacity
  }

  /** Whether the first in its queue may go on: to its slots, or to where the cluster gives them. */
  get isOpen(): boolean {
    if (this.shared === undefined) return this.isFree
    const { size } = this.staged
    return this.held + size < this.capacity && size < this.shared.window
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
    if (count === undefined || this.shared !== undefined) return 0
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
    if (!really || this.limit?.rate === undefined || this.shared !== undefined) return
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
    if (!first.needs.every((one) => one.isOpen)) return false
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
  readonly shared: SharedLimits | undefined
}

export class Claiming implements Claim, Wait {
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
  /** Its slots in the cluster, or its wait for them. */
  #inCluster: SharedClaim | undefined
  #isStaged = false
  isAsking = false
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
      if (this.#isStaged) return true
      if (!one.isOpen)
        return links > 0 && [...one.staged].every((each) => each.comesPlainly(deadlocks, links - 1))
      const first = one.first()
      return first === this || (links > 0 && first?.comesPlainly(deadlocks, links - 1) === true)
    })
  }

  isBefore(other: Wait): boolean {
    return other instanceof Claiming && goesBefore(this, other)
  }

  pass(): boolean {
    if (this.#isStaged || !this.needs.every((one) => one.isFree && one.waitMs === 0)) return false
    this.take()
    return true
  }

  giveUp(): void {
    const words = this.needs.find((one) => !one.isFree)?.words ?? ''
    this.release()
    this.claimant.deadlocked(words)
  }

  get waitsFor(): string {
    const shared = this.#inCluster?.waitsFor
    const blocked =
      shared === undefined
        ? this.needs.find((one) => !one.isOpen || one.waitMs > 0 || one.first() !== this)
        : this.needs.find((one) => one.shared === shared)
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
    if (this.waits || this.#isStaged) {
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
    this.#leaveQueues()
    const shared = this.needs.flatMap((one) => one.shared ?? [])
    if (shared.length > 0 && this.#host.shared !== undefined) this.#stage(this.#host.shared, shared)
    else this.#give()
  }

  /** It came first here; the cluster gives it its slots. */
  #stage(cluster: SharedLimits, limits: readonly SharedLimit[]): void {
    this.#isStaged = true
    this.isAsking = this.#isNew
    for (const one of this.needs) one.staged.add(this)
    const { id: run, hasBegun } = this.claimant
    this.#inCluster = cluster.claim(limits, {
      run,
      hasBegun,
      granted: () => {
        this.#leaveStage()
        this.#give()
        this.#host.look(this.needs)
      },
      waits: () => {
        this.isAsking = false
        this.claimant.slotsAwaited()
      },
    })
  }

  #leaveStage(): void {
    this.#isStaged = false
    this.isAsking = false
    for (const one of this.needs) one.staged.delete(this)
  }

  #give(): void {
    this.granted = true
    this.#host.deadlocks.delete(this)
    for (const one of this.needs) one.give(this.claimant.run)
    if (!this.claimant.hasBegun) this.#let()
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
    if (!really) return
    this.#inCluster?.begun()
    this.#host.look(this.needs)
  }

  #leaveQueues(): void {
    this.waits = false
    for (const one of this.needs) {
      one.left()
      one.stopTimerIfIdle()
    }
  }

  again(): boolean {
    if (this.#isToBegin) return true
    const rated = this.needs.filter(({ limit }) => limit?.rate !== undefined)
    // A start of a rate of the cluster takes time.
    if (rated.length > 0 && this.#inCluster !== undefined) return false
    if (rated.some((one) => one.waitMs > 0 || one.first() !== undefined)) return false
    this.#let()
    return true
  }

  release(): void {
    if (this.granted) {
      this.begun(false)
      this.granted = false
      for (const one of this.needs) one.takeBack(this.claimant.run)
    } else if (this.waits || this.#isStaged) {
      this.#host.deadlocks.delete(this)
      if (this.waits) this.#leaveQueues()
      this.#leaveStage()
    } else return
    this.#inCluster?.release()
    for (const one of this.needs) one.claims--
    this.#host.look(this.needs)
  }
}

/** The same order in all queues. */
function goesBefore({ claimant: a }: Claiming, { claimant: b }: Claiming): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority
}
