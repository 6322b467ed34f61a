import { Fifo } from '../base/fifo.ts'
import type { Assignment, BodyResult, PoolHost, TaskPool } from '../ports/task-runner.ts'
import { ReadyQueue } from './ready-queue.ts'

/** How many bodies are begun before the event loop gets its turn: I/O and timers are served between. */
const startsPerTurn = 128

interface Lane {
  free: number
  /** Leases of bodies that lent their slot and want it back; they go first, for they hold what others wait for. */
  readonly resuming: Fifo<number>
  readonly ready: ReadyQueue
}

/**
 * Runs bodies on this event loop.
 *
 * A slot counts a body that is running and waits for no other run. A body that waits lends its slot, and its children
 * go first, so that nesting to any depth can't starve on any limit.
 */
export class InProcessPool implements TaskPool {
  readonly lends: boolean
  readonly #host: PoolHost
  readonly #limit: number
  readonly #perFlowRun: boolean
  readonly #lanes = new Map<string, Lane>()
  readonly #lent = new Set<number>()
  /** Of bodies that want their slot back: what to call then. One that waits for several runs may want it for each. */
  readonly #resumes = new Map<number, (() => void)[]>()
  readonly #starting = new Fifo<Assignment>()
  #closed = false
  #scheduled = false
  /** Bodies begun since the event loop had its turn for them. */
  #sinceTurn = 0

  /**
   * @param limit - Slots, `Infinity` for no limit.
   * @param perFlowRun - Whether each flow run has `limit` slots of its own.
   */
  constructor(host: PoolHost, limit: number, perFlowRun: boolean) {
    this.#host = host
    this.#limit = limit
    this.#perFlowRun = perFlowRun
    this.lends = limit !== Number.POSITIVE_INFINITY
  }

  assign(assignment: Assignment): void {
    if (this.#closed) return
    if (!this.lends) {
      this.#enqueue(assignment)
      return
    }
    const lane = this.#lane(assignment)
    lane.ready.push(assignment)
    this.#grant(lane)
  }

  waiting(): number {
    let count = this.#starting.size
    for (const lane of this.#lanes.values()) count += lane.ready.size
    return count
  }

  stop(assignment: Assignment): void {
    // One without a slot to wait for asks the engine before it begins, soon; one that has begun has its signal.
    this.#lanes.get(this.#laneKey(assignment))?.ready.remove(assignment.lease)
  }

  lend(assignment: Assignment): void {
    if (this.#closed || this.#lent.has(assignment.lease)) return
    this.#lent.add(assignment.lease)
    const lane = this.#lane(assignment)
    lane.ready.lent(assignment.lease)
    lane.free++
    this.#grant(lane)
  }

  reclaim(assignment: Assignment, resume: () => void): void {
    if (!this.#lent.has(assignment.lease)) {
      resume()
      return
    }
    const others = this.#resumes.get(assignment.lease)
    if (others !== undefined) {
      others.push(resume)
      return
    }
    this.#resumes.set(assignment.lease, [resume])
    const lane = this.#lane(assignment)
    lane.resuming.push(assignment.lease)
    this.#grant(lane)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#starting.clear()
    this.#lanes.clear()
    this.#lent.clear()
    this.#resumes.clear()
  }

  #laneKey(assignment: Assignment): string {
    return this.#perFlowRun ? assignment.flowRunId : ''
  }

  #lane(assignment: Assignment): Lane {
    const key = this.#laneKey(assignment)
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = {
        free: this.#limit,
        resuming: new Fifo(),
        ready: new ReadyQueue((lease) => this.#lent.has(lease)),
      }
      this.#lanes.set(key, lane)
    }
    return lane
  }

  #grant(lane: Lane): void {
    while (lane.free > 0) {
      const resuming = lane.resuming.shift()
      if (resuming !== undefined) {
        // A body that ended meanwhile, as one may that waits for a time besides, needs its slot no more.
        if (this.#lent.delete(resuming)) lane.free--
        this.#resume(resuming)
        continue
      }
      const next = lane.ready.shift()
      if (next === undefined) return
      lane.free--
      this.#enqueue(next)
    }
  }

  #resume(lease: number): void {
    const resumes = this.#resumes.get(lease)
    this.#resumes.delete(lease)
    for (const resume of resumes ?? []) resume()
  }

  #enqueue(assignment: Assignment): void {
    this.#starting.push(assignment)
    if (!this.#scheduled) this.#schedule()
  }

  /**
   * Not at once: the caller is in the middle of its own work, and submits more. Microtasks alone, as of runs that are tried
   * again and again, would keep the event loop from turning.
   */
  #schedule(): void {
    this.#scheduled = true
    if (this.#sinceTurn < startsPerTurn) queueMicrotask(this.#startSome)
    else {
      this.#sinceTurn = 0
      this.#host.turn(this.#startSome)
    }
  }

  readonly #startSome = (): void => {
    this.#scheduled = false
    if (this.#closed) return
    const count = Math.min(this.#starting.size, startsPerTurn - this.#sinceTurn)
    this.#sinceTurn += count
    for (let i = 0; i < count; i++) {
      const assignment = this.#starting.shift()
      if (assignment !== undefined) this.#start(assignment)
    }
    if (this.#starting.size > 0 && !this.#scheduled) this.#schedule()
  }

  #start(assignment: Assignment): void {
    if (!this.#host.reports.started(assignment)) {
      this.#release(assignment)
      return
    }
    let returned: unknown
    let settlesLater: boolean
    try {
      returned = assignment.invoke()
      // Here, for looking at what was returned may throw, too: a proxy may, and a getter.
      settlesLater = isThenable(returned)
    } catch (error) {
      this.#finish(assignment, { error })
      return
    }
    if (settlesLater) {
      // Through a native promise: a foreign `then` may call back twice, or throw.
      Promise.resolve(returned).then(
        (value) => this.#finish(assignment, { value }),
        (error: unknown) => this.#finish(assignment, { error }),
      )
    } else this.#finish(assignment, { value: returned })
  }

  #finish(assignment: Assignment, result: BodyResult): void {
    this.#host.reports.finished(assignment, result)
    this.#release(assignment)
  }

  #release(assignment: Assignment): void {
    if (!this.lends || this.#closed) return
    const lane = this.#lane(assignment)
    // A body that ended while it lent its slot has given it up already; whoever waits together with it goes on.
    if (this.#lent.delete(assignment.lease)) this.#resume(assignment.lease)
    else lane.free++
    this.#grant(lane)
    if (this.#perFlowRun && isIdle(lane, this.#limit)) this.#lanes.delete(assignment.flowRunId)
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}

function isIdle(lane: Lane, limit: number): boolean {
  return lane.free === limit && lane.ready.size === 0 && lane.resuming.size === 0
}
