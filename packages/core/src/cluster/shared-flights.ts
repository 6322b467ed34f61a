import type { Clock } from '../ports/clock.ts'
import { deadlineAfter, type Deadline } from '../runs/deadline.ts'
import { Lock, type LockHolder, type Locks } from './locks.ts'

/** A run that is to make the result of a cache key, unless a run on another node does. */
export interface SharedSeeker<Hit> {
  readonly runId: string
  /**
   * Whether others may wait for something that it has: what it waits for may then be waiting for that, on another node, and
   * nobody would see it.
   */
  readonly holdsSomething: boolean
  /** Resolves when it wants nothing any more. */
  readonly over: Promise<void>
  /** The result that is stored; one of these runs counts however soon it expires. */
  read(madeBy: ReadonlySet<string>): Promise<Hit | undefined>
  /** The register did not answer in time. */
  warn(message: string): void
}

/** What a seeker is to do: use a result, or make one, with a lock where it could have it. */
interface Turn<Hit> {
  readonly hit?: Hit
  readonly lock?: Lock
}

/** How long the register may take to answer before a run goes on without it. */
const patienceMs = 10_000
/** How long a run waits for one on another node, where it has something that others may wait for. */
const heldMs = 30_000

/** Runs with the same cache key on several nodes: one makes the result, and the others wait for it. */
export class SharedFlights {
  readonly #locks: Locks
  readonly #clock: Clock

  constructor(locks: Locks, clock: Clock) {
    this.#locks = locks
    this.#clock = clock
  }

  async seek<Hit>(key: string, seeker: SharedSeeker<Hit>): Promise<Turn<Hit>> {
    const bound = seeker.holdsSomething ? deadlineAfter(this.#clock, heldMs) : undefined
    const watch = this.#locks.watch(key)
    const madeBy = new Set<string>()
    try {
      for (;;) {
        const taken = await this.#take(key, seeker)
        if (taken === undefined) return {}
        if (taken instanceof Lock) return await this.#lead(taken, seeker, madeBy)
        madeBy.add(taken.detail)
        if ((await this.#wait([watch.next()], seeker, bound)) === 'over') return {}
        const hit = await seeker.read(madeBy)
        if (hit !== undefined) return { hit }
      }
    } finally {
      bound?.stop()
      watch.end()
    }
  }

  /** Who had it before may have stored a result, after this run had looked. */
  async #lead<Hit>(lock: Lock, seeker: SharedSeeker<Hit>, madeBy: ReadonlySet<string>): Promise<Turn<Hit>> {
    const hit = await seeker.read(madeBy)
    if (hit === undefined) return { lock }
    this.letGo(lock)
    return { hit }
  }

  async #take(key: string, seeker: SharedSeeker<unknown>): Promise<Lock | LockHolder | undefined> {
    const taking = this.#locks.tryTake(key, takeAs(seeker.runId))
    const patience = deadlineAfter(this.#clock, patienceMs)
    const outcome = await this.#wait([taking], seeker, patience)
    patience.stop()
    if (outcome !== 'over') return outcome
    this.#drop(taking)
    seeker.warn(`the register did not answer for ${patienceMs} ms, and it runs`)
    return undefined
  }

  async #wait<T>(
    what: readonly Promise<T>[],
    seeker: SharedSeeker<unknown>,
    bound: Deadline | undefined,
  ): Promise<T | 'over'> {
    const over = [seeker.over, ...(bound === undefined ? [] : [bound.done])]
    return Promise.race([...what, ...over.map((each) => each.then(() => 'over' as const))])
  }

  /** Makes a result whatever is stored, and whoever else does; others wait for it where they can. */
  insist(key: string, runId: string, isNewer: boolean): Promise<Lock | undefined> {
    const takesFrom = isNewer ? () => true : takeAs(runId).takesFrom
    return this.#locks.tryTake(key, { detail: runId, takesFrom }).then(
      (taken) => (taken instanceof Lock ? taken : undefined),
      () => undefined,
    )
  }

  /** Whether what was made with a lock is still what is wanted. */
  async isNewest(lock: Lock): Promise<boolean> {
    return lock.isHeld().catch(() => true)
  }

  /** The others go on. */
  letGo(lock: Lock): void {
    // It rejects when the engine is closed: then the others see that.
    lock.release().catch(() => undefined)
  }

  #drop(taking: Promise<Lock | LockHolder>): void {
    taking.then(
      (taken) => {
        if (taken instanceof Lock) this.letGo(taken)
      },
      () => undefined,
    )
  }
}

/** A run that goes on here takes its lock from the node that it was on before. */
function takeAs(runId: string): { detail: string; takesFrom: (holder: LockHolder) => boolean } {
  return { detail: runId, takesFrom: ({ detail }) => detail === runId }
}
