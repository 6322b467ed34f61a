import { Heap } from '../base/heap.ts'

interface Item {
  readonly at: number
  readonly order: number
  fn: (() => void) | undefined
}

/** Deadlines: earliest first, equal ones in the order in which they were added. */
export class Deadlines {
  readonly #heap = new Heap<Item>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order))
  #order = 0
  #live = 0

  /** How many deadlines wait. */
  get size(): number {
    return this.#live
  }

  /** @returns A function that takes the deadline back. */
  add(at: number, fn: () => void): () => void {
    const item: Item = { at, order: this.#order++, fn }
    this.#heap.push(item)
    this.#live++
    return () => {
      if (item.fn === undefined) return
      item.fn = undefined
      this.#live--
      // What was taken back leaves when it comes first, or all at once when it is the greater part.
      if (this.#heap.size > 64 && this.#heap.size > 2 * this.#live)
        this.#heap.filter(({ fn }) => fn !== undefined)
    }
  }

  /** The earliest deadline, `Infinity` where none waits. */
  next(): number {
    for (;;) {
      const first = this.#heap.peek()
      if (first === undefined) return Number.POSITIVE_INFINITY
      if (first.fn !== undefined) return first.at
      this.#heap.pop()
    }
  }

  /** Calls everything due at `now`, in order, also what the calls add when it is due. */
  fire(now: number): void {
    while (this.next() <= now) {
      const item = this.#heap.pop()
      const fn = item?.fn
      if (item === undefined || fn === undefined) return
      item.fn = undefined
      this.#live--
      fn()
    }
  }
}
