import { InternalError } from '../base/errors.ts'

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

/** Waits of runs that are below the same ones, for the same: where one of them is for ever, all are. */
interface Group {
  readonly holding: readonly object[]
  readonly needs: readonly Need[]
  readonly isGentle: boolean
  /** In the order in which they asked; those that wait no more leave when they come last. */
  readonly asked: { readonly wait: Wait; readonly number: number }[]
  size: number
}

/**
 * Finds runs that would wait for each other for ever. A run keeps what it has until all that it submitted has ended, so a
 * wait is for ever where all who have what it needs are above waits that are for ever.
 */
export class Deadlocks {
  readonly #groups = new Map<string, Group>()
  readonly #groupOf = new Map<Wait, Group>()
  /** How many waits there are at or below a run that has something. */
  readonly #below = new Map<object, number>()
  readonly #ids = new WeakMap<object, number>()
  #counter = 0
  #isChecking = false

  add(wait: Wait): void {
    const { holding, needs, isGentle } = wait
    const key = `${isGentle} ${this.#idsOf(holding)} ${this.#idsOf(needs)}`
    const group = this.#groups.get(key) ?? { holding, needs, isGentle, asked: [], size: 0 }
    this.#groups.set(key, group)
    this.#groupOf.set(wait, group)
    group.asked.push({ wait, number: ++this.#counter })
    group.size++
    for (const run of holding) this.#below.set(run, (this.#below.get(run) ?? 0) + 1)
    if (holding.length > 0 && !wait.comesPlainly(this)) this.check()
  }

  delete(wait: Wait): void {
    const group = this.#groupOf.get(wait)
    if (group === undefined) return
    this.#groupOf.delete(wait)
    group.size--
    if (group.size === 0) {
      const { holding, needs, isGentle } = group
      this.#groups.delete(`${isGentle} ${this.#idsOf(holding)} ${this.#idsOf(needs)}`)
    }
    for (const run of group.holding) {
      const left = (this.#below.get(run) ?? 1) - 1
      if (left === 0) this.#below.delete(run)
      else this.#below.set(run, left)
    }
  }

  #idsOf(objects: readonly object[]): string {
    return objects.map((one) => this.#idOf(one)).join()
  }

  #idOf(one: object): number {
    const id = this.#ids.get(one) ?? ++this.#counter
    this.#ids.set(one, id)
    return id
  }

  /** Whether so many who have it wait, or runs below them do, that it may never be free. */
  isDoubtful(need: Need): boolean {
    return !need.isFree && countOf(need.holders(), (holder) => this.#below.has(holder)) >= need.capacity
  }

  /** Ends deadlocks: one after the other of those who wait for ever passes, or gives up. */
  check(): void {
    if (this.#isChecking || this.#below.size === 0) return
    this.#isChecking = true
    try {
      while (this.#letOnePass() || this.#letOneGiveUp()) continue
    } finally {
      this.#isChecking = false
    }
  }

  /** One that only stands behind another, which waits for it, goes first: nobody else can have what it needs. */
  #letOnePass(): boolean {
    const mayPass = [...this.#groups.values()].some(
      ({ isGentle, needs }) => !isGentle && needs.every(({ isFree }) => isFree),
    )
    if (!mayPass) return false
    const queued = [...this.#groupOf.keys()].filter(({ isGentle }) => !isGentle)
    const others = [...this.#groupOf.keys()].filter(({ isGentle }) => isGentle)
    const inOrder = [...others, ...queued.toSorted((a, b) => (a.isBefore(b) ? -1 : 1))]
    return stuckOf(inOrder, true).some((wait) => wait.pass())
  }

  #letOneGiveUp(): boolean {
    const victims = stuckOf([...this.#groups.values()], false)
      .filter(isVictim)
      .map((group) => ({ rank: rank(group), ...this.#lastOf(group) }))
    const [first] = victims.toSorted((a, b) => b.rank - a.rank || b.number - a.number)
    first?.wait.giveUp()
    return first !== undefined
  }

  /** The one that asked last. */
  #lastOf(group: Group): { readonly wait: Wait; readonly number: number } {
    for (;;) {
      const last = group.asked.at(-1)
      if (last === undefined) throw new InternalError('a group of waits has none')
      if (this.#groupOf.get(last.wait) === group) return last
      group.asked.pop()
    }
  }
}

/** What a search looks at: one wait, or many that are alike. */
type Waiting = Pick<Wait, 'holding' | 'needs' | 'isGentle'>

function isVictim({ holding, needs }: Waiting): boolean {
  return holding.length > 0 && needs.some(({ isFree }) => !isFree)
}

/** Who gives up first: those that do so without harm; else those that wait for what is above themselves. */
function rank({ isGentle, holding, needs }: Waiting): number {
  if (isGentle) return 2
  const above = new Set(holding)
  return needs.some((need) => !need.isFree && countOf(need.holders(), (holder) => above.has(holder)) > 0)
    ? 1
    : 0
}

/**
 * Of waits, those for ever: what is left when all are taken out whose needs come in the end.
 *
 * @param waits - In the order of their queues, which is the same in all, where that counts.
 * @param inOrder - Whether each waits for those before it in its queues, too.
 */
function stuckOf<W extends Waiting>(waits: readonly W[], inOrder: boolean): readonly W[] {
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
    const left: W[] = []
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
