interface Event {
  readonly at: number
  /** Of two at the same moment the one that was asked for first comes first. */
  readonly order: number
  readonly run: () => void
}

/** Virtual time, in microseconds, and what happens in it. */
export class Simulation {
  #now = 0
  #asked = 0
  /** A binary heap: the next one is the first. */
  readonly #events: Event[] = []

  get now(): number {
    return this.#now
  }

  /** Calls `run` after so many microseconds. */
  after(delay: number, run: () => void): void {
    const events = this.#events
    const event = { at: this.#now + delay, order: this.#asked++, run }
    let at = events.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = events[parent]
      if (above === undefined || !isBefore(event, above)) break
      events[at] = above
      at = parent
    }
    events[at] = event
  }

  /** Lets time pass until `isOver`, or nothing is left to happen. */
  run(isOver: () => boolean): void {
    for (let event = this.#take(); event !== undefined; event = this.#take()) {
      this.#now = event.at
      event.run()
      if (isOver()) return
    }
  }

  #take(): Event | undefined {
    const events = this.#events
    const first = events[0]
    const last = events.pop()
    if (last === undefined || events.length === 0) return first
    let at = 0
    for (;;) {
      let next = 2 * at + 1
      const [left, right] = [events[next], events[next + 1]]
      if (left === undefined) break
      if (right !== undefined && isBefore(right, left)) next++
      const below = events[next]
      if (below === undefined || !isBefore(below, last)) break
      events[at] = below
      at = next
    }
    events[at] = last
    return first
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
