import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { Fifo } from '../base/fifo.ts'
import { Heap } from '../base/heap.ts'
import { inWords } from '../base/words.ts'
import type { Clock } from '../ports/clock.ts'

/** The runs that a limit counts: task runs with a tag, runs of a task, or runs of a flow, over all flow runs of an engine. @public */
export type LimitTarget =
  | { readonly tag: string; readonly task?: never; readonly flow?: never }
  | { readonly task: string; readonly tag?: never; readonly flow?: never }
  | { readonly flow: string; readonly tag?: never; readonly task?: never }

/** How many runs may be there at once, and how many attempts may begin in a time. @public */
export type Limit = LimitTarget & {
  /** Slots, at least 1: a run holds one from its start to its end, or to its wait for a retry. */
  readonly concurrency?: number
  /** At most `count` attempts begin in any `per`. */
  readonly rate?: { readonly count: number; readonly per: Duration }
}

/** A limit and how it is used. @public */
export type LimitState = Limit & {
  /** Runs that hold a slot. */
  readonly held: number
  /** Runs that wait for one. */
  readonly waiting: number
}

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
  readonly priority: number
  readonly order: number
  /** It has a slot of each of its limits. */
  granted(): void
  /** Whether an ancestor has a slot of the limit: waiting for it could last for ever. */
  waitsForAncestor(limit: object): boolean
  /** An ancestor has what it waits for. */
  deadlocked(words: string): void
}

/** What a claimant has asked for. */
export interface Claim {
  readonly granted: boolean
  /** What it waits for, in words. */
  readonly waitsFor: string
  holds(limit: object): boolean
  /** The limits that it waits for. */
  readonly missing: readonly object[]
  /** Begins another attempt with the slots it has. @returns False where a rate does not allow it now. */
  again(): boolean
  /** Gives everything back, granted or not; a second call does nothing. */
  release(): void
}

const kinds = ['tag', 'task', 'flow'] as const

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
  #granting = false

  /** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
  constructor(clock: Clock, limits: readonly Limit[]) {
    this.#clock = clock
    if (!Array.isArray(limits)) invalid('limits', 'a list of limits', limits)
    for (const limit of limits as readonly Limit[]) this.set(limit)
  }

  set(limit: Limit): void {
    const key = keyOf(limit)
    const { concurrency, rate } = limit
    if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1))
      invalid('concurrency', 'an integer of at least 1', concurrency)
    if (rate !== undefined && (!Number.isInteger(rate.count) || rate.count < 1))
      invalid('rate.count', 'an integer of at least 1', rate.count)
    if (concurrency === undefined && rate === undefined)
      invalid('concurrency', 'given, or `rate`', concurrency)
    const perMs = rate === undefined ? 0 : toMilliseconds(rate.per, 'rate.per')
    if (rate !== undefined && perMs === 0) invalid('rate.per', 'a duration above 0', rate.per)
    const one = this.#limits.get(key) ?? new OneLimit(this.#clock, key, () => this.#look(one))
    this.#limits.set(key, one)
    one.limit = limit
    one.perMs = perMs
    this.#look(one)
  }

  remove(target: LimitTarget): boolean {
    const one = this.#limits.get(keyOf(target))
    if (one?.limit === undefined) return false
    // What holds its slots still does: a limit that is set again soon counts them.
    one.limit = undefined
    this.#look(one)
    return true
  }

  list(): readonly LimitState[] {
    const states: LimitState[] = []
    for (const { limit, held, waiting } of this.#limits.values())
      if (limit !== undefined) states.push({ ...limit, held, waiting })
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

  /** Asks for a slot of each limit; `claimant.granted()` is called only where that takes time. */
  claim(limits: readonly object[], claimant: Claimant): Claim {
    const claim = new Claiming(limits as readonly OneLimit[], claimant, (changed) => this.#look(...changed))
    claim.enqueue()
    this.#look(...claim.limits)
    claim.isNew = false
    const ancestors = claim.limits.find((one) => claim.waits && one.isWaitedFor(claim))
    if (ancestors !== undefined) {
      claim.release()
      claimant.deadlocked(ancestors.words)
    }
    return claim
  }

  #look(...changed: readonly OneLimit[]): void {
    this.#changed.push(...changed)
    if (this.#granting) return
    this.#granting = true
    try {
      for (let one = this.#changed.pop(); one !== undefined; one = this.#changed.pop()) {
        while (one.grantFirst(this.#changed)) continue
        if (one.limit === undefined && one.held === 0 && one.waiting === 0) this.#limits.delete(one.key)
      }
    } finally {
      this.#granting = false
    }
  }
}

class OneLimit {
  readonly key: string
  readonly #clock: Clock
  readonly #timeCame: () => void
  /** Undefined where it was taken away. */
  limit: Limit | undefined
  perMs = 0
  held = 0
  waiting = 0
  readonly #queue = new Heap<Claiming>(goesBefore)
  /** When the newest attempts began, at most as many as the rate counts. */
  readonly #starts = new Fifo<number>()
  #stopTimer: (() => void) | undefined

  constructor(clock: Clock, key: string, timeCame: () => void) {
    this.#clock = clock
    this.key = key
    this.#timeCame = timeCame
  }

  get words(): string {
    const { concurrency, rate } = this.limit ?? {}
    const slots = concurrency === undefined ? [] : [`${concurrency} at once`]
    const starts = rate === undefined ? [] : [`${rate.count} per ${inWords(rate.per)}`]
    return `${this.key} (${[...slots, ...starts].join(', ')})`
  }

  get hasSlot(): boolean {
    return this.held < (this.limit?.concurrency ?? Number.POSITIVE_INFINITY)
  }

  /** How long until an attempt may begin; 0 where one may now. */
  get waitMs(): number {
    const count = this.limit?.rate?.count ?? Number.POSITIVE_INFINITY
    while (this.#starts.size > count) this.#starts.shift()
    const oldest = this.#starts.peek()
    if (oldest === undefined || this.#starts.size < count) return 0
    return Math.max(0, oldest + this.perMs - this.#clock.monotonic())
  }

  begun(): void {
    if (this.limit?.rate !== undefined) this.#starts.push(this.#clock.monotonic())
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

  /** @returns Whether the queue has another first now. `changed` gets the limits to look at again. */
  grantFirst(changed: OneLimit[]): boolean {
    const first = this.first()
    if (first === undefined) return false
    const full = first.limits.find((one) => !one.hasSlot)
    if (full !== undefined) {
      if (first.isNew || !full.isWaitedFor(first)) return false
      first.release()
      first.claimant.deadlocked(full.words)
      return true
    }
    for (const one of first.limits) {
      if (one.waitMs > 0) {
        one.#wakeLater()
        return false
      }
      if (one.first() !== first) return false
    }
    first.take()
    for (const one of first.limits) if (one !== this) changed.push(one)
    return true
  }

  /** Whether a claim waits for a slot that its own ancestor has, or for one behind others who do. */
  isWaitedFor(claim: Claiming): boolean {
    if (this.limit?.concurrency === undefined || (this.hasSlot && this.first() === claim)) return false
    return claim.claimant.waitsForAncestor(this)
  }

  #wakeLater(): void {
    this.#stopTimer ??= this.#clock.at(this.#clock.now() + this.waitMs, () => {
      this.#stopTimer = undefined
      this.#timeCame()
    })
  }

  /** Where nobody waits, nobody is to be woken: a timer would keep the process alive. */
  stopTimerIfIdle(): void {
    if (this.waiting > 0) return
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }
}

class Claiming implements Claim {
  readonly limits: readonly OneLimit[]
  readonly claimant: Claimant
  readonly #look: (changed: readonly OneLimit[]) => void
  /** Whether the claimant is told by what `claim` returns. */
  isNew = true
  granted = false
  /** Whether it is in the queues. */
  waits = true

  constructor(limits: readonly OneLimit[], claimant: Claimant, look: (changed: readonly OneLimit[]) => void) {
    this.limits = limits
    this.claimant = claimant
    this.#look = look
  }

  get waitsFor(): string {
    const blocked = this.limits.find((one) => !one.hasSlot || one.waitMs > 0) ?? this.limits[0]
    return `waits for a slot of ${blocked?.words ?? 'nothing'}`
  }

  enqueue(): void {
    for (const one of this.limits) one.enqueue(this)
  }

  take(): void {
    this.granted = true
    this.#leaveQueues()
    for (const one of this.limits) {
      one.held++
      one.begun()
    }
    if (!this.isNew) this.claimant.granted()
  }

  #leaveQueues(): void {
    this.waits = false
    for (const one of this.limits) {
      one.left()
      one.stopTimerIfIdle()
    }
  }

  get missing(): readonly object[] {
    return this.waits ? this.limits : []
  }

  holds(limit: object): boolean {
    return this.granted && this.limits.includes(limit as OneLimit)
  }

  again(): boolean {
    const rated = this.limits.filter(({ limit }) => limit?.rate !== undefined)
    if (rated.some((one) => one.waitMs > 0 || one.first() !== undefined)) return false
    for (const one of rated) one.begun()
    return true
  }

  release(): void {
    if (this.granted) {
      this.granted = false
      for (const one of this.limits) one.held--
    } else if (this.waits) this.#leaveQueues()
    else return
    this.#look(this.limits)
  }
}

/** The same order in all queues. */
function goesBefore({ claimant: a }: Claiming, { claimant: b }: Claiming): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority
}

/** @throws UsageError `INVALID_OPTION` */
function keyOf(target: LimitTarget): string {
  const given = kinds.filter((kind) => target[kind] !== undefined)
  const [kind, second] = given
  const name = kind === undefined ? undefined : target[kind]
  if (kind === undefined || second !== undefined || typeof name !== 'string' || name === '')
    invalid(
      'limit',
      "for one of `tag`, `task` and `flow`, such as { tag: 'database', concurrency: 5 }",
      target,
    )
  return `${kind} ${name}`
}

function invalid(option: string, expected: string, got: unknown): never {
  throw new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${inWords(got)}`, {
    details: { option },
  })
}
