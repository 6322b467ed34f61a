import { Fifo } from './fifo.ts'
import { Heap } from './heap.ts'

/** A queue that gives its first item by an order. What comes in that order, as most does, costs no more than in a plain queue. */
export class OrderedQueue<T> {
  readonly #inOrder = new Fifo<T>()
  readonly #others: Heap<T>
  readonly #before: (a: T, b: T) => boolean
  #last: T | undefined

  /** @param before - Whether `a` comes out before `b`; equal ones come out in any order. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
    this.#others = new Heap(before)
  }

  push(item: T): void {
    if (this.#last !== undefined && this.#before(item, this.#last)) {
      this.#others.push(item)
      return
    }
    this.#inOrder.push(item)
    this.#last = item
  }

  pop(): T | undefined {
    const first = this.#inOrder.peek()
    const other = this.#others.peek()
    if (other !== undefined && (first === undefined || this.#before(other, first))) return this.#others.pop()
    const next = this.#inOrder.shift()
    if (this.#inOrder.size === 0) this.#last = undefined
    return next
  }
}
