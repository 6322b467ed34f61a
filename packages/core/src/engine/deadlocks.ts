/** Something that runs have and others wait for: slots of a limit, a result that is being made. */
export interface Need {
  /** Whether one who comes first in its queue can have it. */
  readonly isFree: boolean
  /** How many runs can have it at once. */
  readonly capacity: number
  /** Whether those who wait for it take turns. */
  readonly hasQueue: boolean
  /** Runs that have it until they have ended. */
  holders(): Iterable<object>
}

/** A run that waits. */
export interface Wait {
  readonly order: number
  readonly needs: readonly Need[]
  /** Of the run itself and those that it is part of: those that have something which others may wait for. */
  readonly holding: readonly object[]
  /** Whether giving up does it no harm. */
  readonly isGentle: boolean
  /** Whether it is plain that its needs come: a closer look at all waits costs time in proportion to their number. */
  comesPlainly(deadlocks: Deadlocks): boolean
  /** Whether it comes before another one in the queues. */
  isBefore(other: Wait): boolean
  /** Takes what it waits for before its turn, where all of it is free. @returns Whether it is */
  pass(): boolean
  /** It would wait for ever. */
  giveUp(): void
}

/**
 * Finds runs that would wait for each other for ever. A run keeps what it has until all that it submitted has ended, so a
 * wait is for ever where all who have what it needs are above waits that are for ever.
 */
export class Deadlocks {
  readonly #waits = new Set<Wait>()
  /** How many waits there are at or below a run that has something. */
  readonly #below = new Map<object, number>()
  #isChecking = false

  add(wait: Wait): void {
    this.#waits.add(wait)
    for (const run of wait.holding) this.#below.set(run, (this.#below.get(run) ?? 0) + 1)
    if (wait.holding.length > 0 && !wait.comesPlainly(this)) this.check()
  }

  delete(wait: Wait): void {
    if (!this.#waits.delete(wait)) return
    for (const run of wait.holding) {
      const left = (this.#below.get(run) ?? 1) - 1
      if (left === 0) this.#below.delete(run)
      else this.#below.set(run, left)
    }
  }

  /** Whether so many who have it wait, or runs below them do, that it may never be free. */
  isDoubtful(need: Need): boolean {
    return !need.isFree && countOf(need.holders(), (holder) => this.#below.has(holder)) >= need.capacity
  }

  /** Those that stand in queues in the order of these, after all others. */
  #inOrder(): readonly Wait[] {
    const all = [...this.#waits]
    const queued = all.filter(({ isGentle }) => !isGentle).toSorted((a, b) => (a.isBefore(b) ? -1 : 1))
    return [...all.filter(({ isGentle }) => isGentle), ...queued]
  }

  /** Ends deadlocks: one after the other of those who wait for ever passes, or gives up. */
  check(): void {
    if (this.#isChecking || this.#below.size === 0) return
    this.#isChecking = true
    try {
      for (;;) {
        const all = this.#inOrder()
        // One that only stands behind another, which waits for it, goes first: nobody else can have what it needs.
        if (stuckOf(all, true).some((wait) => wait.pass())) continue
        const victim = stuckOf(all, false).filter(isVictim).reduce<Wait | undefined>(betterVictim, undefined)
        if (victim === undefined) return
        victim.giveUp()
      }
    } finally {
      this.#isChecking = false
    }
  }
}

function isVictim({ holding, needs }: Wait): boolean {
  return holding.length > 0 && needs.some(({ isFree }) => !isFree)
}

/** One that gives up without harm; else one that waits for what is above itself; else the one that was submitted last. */
function betterVictim(a: Wait | undefined, b: Wait): Wait {
  if (a === undefined) return b
  const [rankOfA, rankOfB] = [rank(a), rank(b)]
  if (rankOfA !== rankOfB) return rankOfA > rankOfB ? a : b
  return b.order > a.order ? b : a
}

function rank({ isGentle, holding, needs }: Wait): number {
  if (isGentle) return 2
  const above = new Set(holding)
  return needs.some((need) => !need.isFree && [...need.holders()].some((holder) => above.has(holder))) ? 1 : 0
}

/**
 * Of waits, those for ever: what is left when all are taken out whose needs come in the end.
 *
 * @param waits - In the order of their queues, which is the same in all.
 * @param inOrder - Whether each waits for those before it in its queues, too.
 */
function stuckOf(waits: readonly Wait[], inOrder: boolean): readonly Wait[] {
  let stuck = waits
  for (;;) {
    const blocked = new Set(stuck.flatMap(({ holding }) => holding))
    const hopeless = new Map<Need, boolean>()
    /** Whether so many who have it keep it for ever that it is never free. */
    const isHopeless = (need: Need): boolean => {
      const known = hopeless.get(need)
      if (known !== undefined) return known
      const found = countOf(need.holders(), (holder) => blocked.has(holder)) >= need.capacity
      hopeless.set(need, found)
      return found
    }
    const left: Wait[] = []
    for (const wait of stuck) {
      if (!wait.needs.some(isHopeless)) continue
      left.push(wait)
      // Those behind it wait for it.
      if (inOrder) for (const need of wait.needs) if (need.hasQueue) hopeless.set(need, true)
    }
    if (left.length === stuck.length) return left
    stuck = left
  }
}

function countOf(items: Iterable<object>, is: (item: object) => boolean): number {
  let count = 0
  for (const item of items) if (is(item)) count++
  return count
}
