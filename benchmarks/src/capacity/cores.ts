import type { Simulation } from './simulation.ts'

interface Running {
  left: number
  readonly done: () => void
}

/** Cores of one machine: where more want to compute than there are cores, all are slower by the same factor. */
export class Cores {
  readonly #simulation: Simulation
  readonly #count: number
  readonly #running = new Set<Running>()
  #since = 0
  #plans = 0

  constructor(simulation: Simulation, count: number) {
    this.#simulation = simulation
    this.#count = count
  }

  /** Computes for so many microseconds of one core; then `done` is called. */
  compute(work: number, done: () => void): void {
    if (this.#count === Infinity) {
      this.#simulation.after(work, done)
      return
    }
    this.#pass()
    this.#running.add({ left: work, done })
    this.#plan()
  }

  get #speed(): number {
    return Math.min(1, this.#count / this.#running.size)
  }

  #pass(): void {
    const { now } = this.#simulation
    const done = (now - this.#since) * this.#speed
    for (const one of this.#running) one.left -= done
    this.#since = now
  }

  #plan(): void {
    const plan = ++this.#plans
    let next: Running | undefined
    for (const one of this.#running) if (next === undefined || one.left < next.left) next = one
    if (next === undefined) return
    const first = next
    this.#simulation.after(Math.max(0, first.left) / this.#speed, () => {
      if (plan !== this.#plans) return
      this.#pass()
      this.#running.delete(first)
      first.done()
      this.#plan()
    })
  }
}
