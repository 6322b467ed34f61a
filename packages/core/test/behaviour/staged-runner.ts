import type { Assignment, PoolHost, TaskPool, TaskRunner } from '@troupe/core'

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

  /** From now on there is room. */
  open(): void {
    this.room = true
    this.start()
  }

  /** The place where a body ran is gone: that of the run, else that of the body which began last. */
  lose({ crashed, runId }: { crashed: boolean; runId?: string | undefined }): void {
    const last = this.#running.findLastIndex(
      (assignment) => runId === undefined || assignment.runId === runId,
    )
    this.#lose(this.#running.splice(last, 1)[0], crashed)
  }

  /** The place of all that has not begun is gone. */
  loseQueued({ crashed = false } = {}): void {
    for (const assignment of this.#queued.splice(0)) this.#lose(assignment, crashed)
  }

  #lose(assignment: Assignment | undefined, crashed: boolean): void {
    if (assignment !== undefined)
      this.#host?.reports.lost(assignment, { crashed, error: new Error('exit code 1') })
  }
}
