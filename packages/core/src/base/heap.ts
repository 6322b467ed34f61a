/** A binary heap: adding and taking the first cost time in proportion to the logarithm of the size. */
export class Heap<T> {
  #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  /** @param before - Whether `a` comes out before `b`; equal ones come out in any order. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  /** All items, in any order. */
  items(): readonly T[] {
    return this.#items
  }

  /** The first item, which stays. */
  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let index = items.push(item) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = items[parent] as T
      if (!this.#before(item, above)) break
      items[index] = above
      index = parent
    }
    items[index] = item
  }

  pop(): T | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (items.length > 0) this.#sink(last as T)
    return first
  }

  /** Drops every item that `keep` refuses. */
  filter(keep: (item: T) => boolean): void {
    const kept = this.#items.filter(keep)
    this.#items = []
    for (const item of kept) this.push(item)
  }

  #sink(item: T): void {
    const items = this.#items
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= items.length) break
      const right = child + 1
      if (right < items.length && this.#before(items[right] as T, items[child] as T)) child = right
      if (!this.#before(items[child] as T, item)) break
      items[index] = items[child] as T
      index = child
    }
    items[index] = item
  }
}
