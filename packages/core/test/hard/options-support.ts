import type { Assignment, PoolHost, TaskPool, TaskRunner } from '@troupe/core'
import type { StandardSchemaV1 } from '@standard-schema/spec'

/** A runner whose hosts are lost when the test says so, with what runs there or before it began. */
export class FragileRunner implements TaskRunner {
  readonly name = 'fragile'
  readonly mode = 'parallel'
  /** Whether bodies begin when they are assigned. */
  room: boolean
  #host: PoolHost | undefined
  readonly #queued: Assignment[] = []
  readonly #running: Assignment[] = []

  constructor({ room = true }: { room?: boolean } = {}) {
    this.room = room
  }

  createPool(host: PoolHost): TaskPool {
    this.#host = host
    return {
      lends: false,
      assign: (assignment) => {
        this.#queued.push(assignment)
        queueMicrotask(() => this.#start())
      },
      stop: () => undefined,
      lend: () => undefined,
      reclaim: (_assignment, resume) => resume(),
      close: async () => undefined,
    }
  }

  /** From now on there is room. */
  open(): void {
    this.room = true
    this.#start()
  }

  #start(): void {
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

  /** The host of the body that began last is gone. */
  lose({ crashed }: { crashed: boolean }): void {
    this.#lose(this.#running.pop(), crashed)
  }

  /** The host of all that has not begun is gone. */
  loseQueued({ crashed = false } = {}): void {
    for (const assignment of this.#queued.splice(0)) this.#lose(assignment, crashed)
  }

  #lose(assignment: Assignment | undefined, crashed: boolean): void {
    if (assignment !== undefined)
      this.#host?.reports.lost(assignment, { crashed, error: new Error('its host is gone') })
  }
}

/** A schema that takes every list of arguments, when what it waits for has come. */
export function asyncSchema(wait: () => Promise<unknown>): StandardSchemaV1<unknown[], unknown[]> {
  return {
    '~standard': {
      version: 1,
      vendor: 'by hand',
      validate: async (value) => {
        await wait()
        return { value: value as unknown[] }
      },
    },
  }
}
