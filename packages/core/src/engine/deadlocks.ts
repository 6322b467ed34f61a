/** Something that runs have and others wait for: slots of a limit, a result that is being made. */
export interface Need {
  /** Whether one who comes first in its queue can have it. */
  readonly isFree: boolean
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
  isFirstIn(need: Need): boolean
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
    if (wait.holding.length > 0 && !wait.needs.every((need) => this.#comes(need, wait))) this.check()
  }

  delete(wait: Wait): void {
    if (!this.#waits.delete(wait)) return
    for (const run of wait.holding) {
      const left = (this.#below.get(run) ?? 1) - 1
      if (left === 0) this.#below.delete(run)
      else this.#below.set(run, left)
    }
  }

  /** Whether it is plain that it comes: a closer look at all would cost time in proportion to their number. */
  #comes(need: Need, wait: Wait): boolean {
    if (need.isFree) return !need.hasQueue || wait.isFirstIn(need)
    for (const holder of need.holders()) if (!this.#below.has(holder)) return true
    return false
  }

  /** Ends deadlocks: one after the other of those who wait for ever passes, or gives up. */
  check(): void {
    if (this.#isChecking || this.#below.size === 0) return
    this.#isChecking = true
    try {
      for (;;) {
        const stuck = stuckOf([...this.#waits])
        // One that only stands behind another goes first: nobody else can have what it needs.
        if (stuck.some((wait) => wait.pass())) continue
        const victim = stuck.filter(isVictim).reduce<Wait | undefined>(betterVictim, undefined)
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

/** Of waits, those for ever: what is left when all are taken out whose needs come in the end. */
function stuckOf(waits: readonly Wait[]): readonly Wait[] {
  let stuck = waits
  for (;;) {
    const blocked = new Set(stuck.flatMap(({ holding }) => holding))
    const first = new Map<Need, Wait>()
    for (const wait of stuck) {
      for (const need of wait.needs) {
        const before = first.get(need)
        if (before === undefined || wait.isBefore(before)) first.set(need, wait)
      }
    }
    const comes = (wait: Wait): boolean =>
      wait.needs.every((need) => {
        if (need.hasQueue && first.get(need) !== wait) return false
        if (need.isFree) return true
        for (const holder of need.holders()) if (!blocked.has(holder)) return true
        return false
      })
    const left = stuck.filter((wait) => !comes(wait))
    if (left.length === stuck.length) return left
    stuck = left
  }
}
