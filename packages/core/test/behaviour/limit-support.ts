import type { TestEngine } from '@troupe/core/testing'
import {
  currentTaskRun,
  sleep,
  type Assignment,
  type Duration,
  type Engine,
  type PoolHost,
  type TaskPool,
  type TaskRunner,
} from '@troupe/core'

/** `held/waiting` of each limit, in the order in which they were set. */
export function counts(engine: Engine): string {
  return engine.limits
    .list()
    .map(({ held, waiting }) => `${held}/${waiting}`)
    .join(' ')
}

/** Calls a task, or a flow, so many times. */
export function times<T>(count: number, call: () => T): T[] {
  return Array.from({ length: count }, () => call())
}

/** Counts how many bodies of a kind are at work at once, and remembers in which order they began. */
export class Gauge {
  now = 0
  most = 0
  readonly begun: string[] = []

  /** A body that takes `duration`. */
  readonly body = async (name = '', duration: Duration = 10): Promise<string> => {
    this.begun.push(name)
    this.most = Math.max(this.most, ++this.now)
    try {
      await sleep(duration)
    } finally {
      this.now--
    }
    return name
  }
}

/** A body that remembers when it began, in milliseconds since the engine was made. */
export function stamps(engine: TestEngine): { readonly at: number[]; readonly stamp: () => void } {
  const start = engine.clock.now()
  const at: number[] = []
  return { at, stamp: () => void at.push(engine.clock.now() - start) }
}

/** Does `first` in the first attempt of a task run, and `then` in all others. */
export function atFirst<T>(first: () => T | Promise<T>, then: () => T | Promise<T>): () => T | Promise<T> {
  return () => (currentTaskRun().attempt === 1 ? first() : then())
}

export const fails = (): never => {
  throw new Error('on purpose')
}

/** Does what the test says: begins bodies as soon as it has room, ends them, and loses them. */
export class StagedRunner implements TaskRunner {
  readonly name = 'staged'
  readonly mode = 'parallel'
  room: boolean
  #host: PoolHost | undefined
  readonly #queued: Assignment[] = []
  readonly #running: Assignment[] = []

  constructor({ room = true }: { room?: boolean } = {}) {
    this.room = room
  }

  /** How many bodies were assigned and have not begun. */
  get queued(): number {
    return this.#queued.length
  }

  createPool(host: PoolHost): TaskPool {
    this.#host = host
    return {
      lends: false,
      assign: (assignment) => {
        this.#queued.push(assignment)
        queueMicrotask(() => this.start())
      },
      stop: () => undefined,
      lend: () => undefined,
      reclaim: (_assignment, resume) => resume(),
      close: async () => undefined,
    }
  }

  /** Begins what was assigned, where there is room. */
  start(): void {
    if (!this.room) return
    for (const assignment of this.#queued.splice(0)) {
      if (this.#host?.reports.started(assignment) !== true) continue
      this.#running.push(assignment)
      void this.#run(assignment)
    }
  }

  async #run(assignment: Assignment): Promise<void> {
    const result = await (async () => ({ value: await assignment.invoke() }))().catch((error: unknown) => ({
      error,
    }))
    this.#host?.reports.finished(assignment, result)
  }

  /** The body that began last has ended, in this very turn. */
  finish(value?: unknown): void {
    const assignment = this.#running.pop()
    if (assignment !== undefined) this.#host?.reports.finished(assignment, { value })
  }

  /** The place where the body that began last ran is gone. */
  lose({ crashed }: { crashed: boolean }): void {
    const assignment = this.#running.pop()
    if (assignment !== undefined) this.#host?.reports.lost(assignment, { crashed, error: new Error('gone') })
  }
}
