import { OrderedQueue } from '../base/ordered-queue.ts'
import type { Assignment } from '../ports/task-runner.ts'

/** An attempt that waits for a slot; `gone` once it was begun or withdrawn, for it may stand in two queues. */
interface Waiting {
  readonly assignment: Assignment
  gone: boolean
}

/**
 * Attempts that wait for a slot: children of bodies that lent theirs first, for others wait for them; then by priority,
 * and in order of submission.
 */
export class ReadyQueue {
  readonly #children = new OrderedQueue<Waiting>(byOrder)
  readonly #ready = new OrderedQueue<Waiting>(byOrder)
  readonly #waiting = new Map<number, Waiting>()
  /** Those that wait, by the lease of the body that submitted them, while that body has not lent its slot. */
  readonly #byParent = new Map<number, Set<Waiting>>()
  readonly #isLent: (lease: number) => boolean

  /** @param isLent - Whether the body of that lease waits for another run. */
  constructor(isLent: (lease: number) => boolean) {
    this.#isLent = isLent
  }

  get size(): number {
    return this.#waiting.size
  }

  push(assignment: Assignment): void {
    const waiting: Waiting = { assignment, gone: false }
    this.#waiting.set(assignment.lease, waiting)
    const parent = assignment.parentLease
    if (parent !== undefined && this.#isLent(parent)) this.#children.push(waiting)
    else {
      this.#ready.push(waiting)
      if (parent !== undefined) this.#siblings(parent).add(waiting)
    }
  }

  /** @returns Whether it was waiting. */
  remove(lease: number): boolean {
    const waiting = this.#waiting.get(lease)
    if (waiting === undefined) return false
    waiting.gone = true
    const parent = waiting.assignment.parentLease
    const siblings = parent === undefined ? undefined : this.#byParent.get(parent)
    if (siblings?.delete(waiting) === true && siblings.size === 0) this.#byParent.delete(parent ?? 0)
    return this.#waiting.delete(lease)
  }

  shift(): Assignment | undefined {
    for (;;) {
      const next = this.#children.pop() ?? this.#ready.pop()
      if (next === undefined) return undefined
      if (next.gone) continue
      this.remove(next.assignment.lease)
      return next.assignment
    }
  }

  /** A body lends its slot: its children that were ready before it began to wait go first now, too. */
  lent(lease: number): void {
    for (const child of this.#byParent.get(lease) ?? []) this.#children.push(child)
    this.#byParent.delete(lease)
  }

  clear(): void {
    for (const waiting of this.#waiting.values()) waiting.gone = true
    this.#waiting.clear()
    this.#byParent.clear()
  }

  #siblings(parent: number): Set<Waiting> {
    let siblings = this.#byParent.get(parent)
    if (siblings === undefined) {
      siblings = new Set()
      this.#byParent.set(parent, siblings)
    }
    return siblings
  }
}

/** Ready runs start by priority and in order of submission, whatever the order in which they became ready. */
function byOrder({ assignment: a }: Waiting, { assignment: b }: Waiting): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority
}
