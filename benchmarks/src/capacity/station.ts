import type { Cores } from './cores.ts'

interface Job {
  readonly work: number
  readonly done: () => void
}

interface StationOptions {
  readonly cores: Cores
  /** What it costs to begin when nothing was being done, in microseconds. Default 0. */
  readonly wake?: number
  /** How much of the work others wait for; the rest is done beside it, as collecting garbage is. Default 1. */
  readonly share?: number
  /** Makes of a mean what it is this time. Default: always the mean. */
  readonly draw?: (mean: number) => number
}

/** An event loop, or a server: does one thing after the other, in the order in which they come. */
export class Station {
  readonly #options: StationOptions
  readonly #aside: Station | undefined
  #jobs: Job[] = []
  #next = 0
  #isBusy = false
  /** Work so far, in microseconds, and how often it began when nothing was being done. */
  #work = 0
  #wakes = 0

  constructor(options: StationOptions) {
    this.#options = options
    const { share = 1, cores } = options
    this.#aside = share < 1 ? new Station({ cores }) : undefined
  }

  get work(): number {
    return this.#work
  }

  get wakes(): number {
    return this.#wakes
  }

  do(work: number, done: () => void): void {
    this.#jobs.push({ work, done })
    if (this.#isBusy) return
    this.#isBusy = true
    this.#wakes++
    this.#begin(this.#options.wake ?? 0)
  }

  #begin(wake: number): void {
    const job = this.#jobs[this.#next++]
    if (job === undefined) {
      this.#jobs = []
      this.#next = 0
      this.#isBusy = false
      return
    }
    if (this.#next === kept) {
      this.#jobs.splice(0, kept)
      this.#next = 0
    }
    const { cores, share = 1, draw } = this.#options
    const mean = job.work + wake
    const work = draw === undefined ? mean : draw(mean)
    this.#work += work
    if (work === 0) {
      this.#end(job)
      return
    }
    this.#aside?.do(work * (1 - share), nothing)
    cores.compute(work * share, () => this.#end(job))
  }

  #end({ done }: Job): void {
    done()
    this.#begin(0)
  }
}

/** Jobs that were done are forgotten so many at a time. */
const kept = 1_024

const nothing = (): void => undefined
