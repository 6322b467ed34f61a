import type { SharedLimits } from '../cluster/shared-limits.ts'
import type { Clock } from '../ports/clock.ts'
import { checkLimit, copyOf, invalid, keyOf, type Limit, type LimitState, type LimitTarget } from './limit.ts'
import { Deadlocks } from './deadlocks.ts'
import { Claiming, OneLimit, type Claim, type Claimant } from './limit-queue.ts'

/** The limits of an engine, or of the cluster that it is part of. @public */
export interface Limits {
  /**
   * Sets or changes a limit. One that is raised lets waiting runs go on at once; one that is lowered takes nothing from
   * runs that hold a slot. A new limit counts runs that come to it from now on. With a transport it is set for all nodes,
   * as soon as the transport has it.
   *
   * @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`
   */
  set(limit: Limit): void
  /** Takes a limit away: what waits for it alone goes on. @returns Whether there was one. @throws UsageError `INVALID_OPTION` */
  remove(target: LimitTarget): boolean
  /** With a transport: of all nodes, as far as this one knows; one that has run nothing begins to look when it is asked. */
  list(): readonly LimitState[]
}

/** A run as limits see it. */
interface Counted {
  readonly kind: 'flow' | 'task'
  readonly name: string
  readonly tags: readonly string[]
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
  readonly #shared: SharedLimits | undefined
  #granting = false

  /** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
  constructor(clock: Clock, limits: readonly Limit[], deadlocks = new Deadlocks(), shared?: SharedLimits) {
    this.#clock = clock
    this.#deadlocks = deadlocks
    this.#shared = shared
    const given = new Map<string, Limit>()
    if (!Array.isArray(limits)) invalid('limits', 'a list of limits', limits)
    for (const limit of limits as readonly Limit[]) {
      const key = keyOf(limit)
      if (given.has(key)) invalid('limits', 'a list with one limit for each target', limit)
      checkLimit(limit)
      given.set(key, copyOf(limit))
      this.#apply(key, limit)
    }
    shared?.open(
      {
        defined: (key, limit) => void (limit === undefined ? this.#withdraw(key) : this.#apply(key, limit)),
        changed: (key) => this.#look(...this.#found(key)),
        waiting: (key) => this.#found(key).reduce((sum, one) => sum + one.waiting + one.staged.size, 0),
      },
      given,
    )
  }

  /** Resolves when limits that were set on other nodes, and may count a run, are known; undefined where they are. */
  opening(run: Counted): Promise<void> | undefined {
    const shared = this.#shared
    if (shared === undefined) return undefined
    return shared.opening ?? (shared.isReadable ? undefined : shared.readable(keysOf(run)))
  }

  #found(key: string): readonly OneLimit[] {
    const one = this.#limits.get(key)
    return one === undefined ? [] : [one]
  }

  set(limit: Limit): void {
    const key = keyOf(limit)
    checkLimit(limit)
    this.#apply(key, limit)
    this.#shared?.define(key, copyOf(limit))
  }

  #apply(key: string, limit: Limit): void {
    const perMs = checkLimit(limit)
    const host = { shared: this.#shared?.of(key), timeCame: () => this.#look(one) }
    const one = this.#limits.get(key) ?? new OneLimit(this.#clock, key, host)
    this.#limits.set(key, one)
    one.change(copyOf(limit), perMs)
    this.#look(one)
    // With fewer slots, those that wait may now wait for ever.
    this.#deadlocks.check()
  }

  remove(target: LimitTarget): boolean {
    const key = keyOf(target)
    if (!this.#withdraw(key)) return false
    this.#shared?.define(key, undefined)
    return true
  }

  #withdraw(key: string): boolean {
    const one = this.#limits.get(key)
    if (one?.limit === undefined) return false
    // What holds its slots still does: a limit that is set again soon counts them.
    one.change(undefined, 0)
    const waiting = one.takeWaiting()
    for (const claim of waiting) claim.leaves(one)
    this.#look(one, ...waiting.flatMap(({ needs }) => needs))
    return true
  }

  list(): readonly LimitState[] {
    this.#shared?.begin()
    const states: LimitState[] = []
    for (const { limit, held, waiting, staged, shared } of this.#limits.values()) {
      if (limit === undefined) continue
      const elsewhere = shared?.elsewhere() ?? { held: 0, waiting: 0 }
      const all = { held: held + elsewhere.held, waiting: waiting + staged.size + elsewhere.waiting }
      states.push({ ...copyOf(limit), ...all })
    }
    return states
  }

  /** The limits that count a run; undefined where none does. */
  of(run: Counted): readonly object[] | undefined {
    if (this.#limits.size === 0) return undefined
    let found: OneLimit[] | undefined
    for (const key of keysOf(run)) {
      const one = this.#limits.get(key)
      if (one?.limit !== undefined) (found ??= []).push(one)
    }
    return found
  }

  /** Asks for a slot of each limit; `claimant.slotsGranted()` is called only where that takes time. */
  claim(limits: readonly object[], claimant: Claimant): Claim {
    const claim = new Claiming(limits as readonly OneLimit[], claimant, {
      look: (changed) => this.#look(...changed),
      deadlocks: this.#deadlocks,
      shared: this.#shared,
    })
    claim.enqueue()
    // It goes on here, and has its slot from the node that it was on.
    if (claim.needs.some(({ shared }) => shared?.hasElsewhere(claimant.id))) claim.take()
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

/** Keys of the limits that may count a run. */
function keysOf({ kind, name, tags }: Counted): readonly string[] {
  const own = `${kind} ${name}`
  return kind === 'task' && tags.length > 0 ? [own, ...[...new Set(tags)].map((tag) => `tag ${tag}`)] : [own]
}
