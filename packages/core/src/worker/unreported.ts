import type { Clock } from '../ports/clock.ts'

/** How long a body may run before it is reported that it has begun: one that ends before reports both at once. */
const patienceMs = 3

interface Begun {
  readonly item: { reportBegun(): void }
  readonly at: number
}

/** Bodies that have begun, and of which nobody has been told. One timer for all. */
export class Unreported {
  readonly #clock: Clock
  #begun: Begun[] = []
  #isTimed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(item: Begun['item']): void {
    this.#begun.push({ item, at: this.#clock.monotonic() })
    this.#time()
  }

  #time(): void {
    if (this.#isTimed || this.#begun.length === 0) return
    this.#isTimed = true
    this.#clock.at(this.#clock.now() + patienceMs, () => {
      this.#isTimed = false
      const due = this.#clock.monotonic() - patienceMs + 1
      const late = this.#begun.filter(({ at }) => at <= due)
      this.#begun = this.#begun.filter(({ at }) => at > due)
      for (const { item } of late) item.reportBegun()
      this.#time()
    })
  }
}
