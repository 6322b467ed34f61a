import {
  TroupeError,
  UsageError,
  type Assignment,
  type PoolHost,
  type RemoteHost,
  type TaskPool,
} from '@troupe/core'
import { NatsPool } from './nats-pool.ts'
import { isQueueName, type QueueOf, type Settings } from './options.ts'

/** Hands each task run to the queue that a function chooses: a pool for each of them. */
export class RoutedPool implements TaskPool {
  readonly lends = false
  readonly encodes = true
  readonly outlives = true
  readonly #host: PoolHost
  readonly #remote: RemoteHost
  readonly #settings: Settings
  readonly #queueOf: QueueOf
  readonly #pools = new Map<string, NatsPool>()
  /** Where attempts are that were assigned: the function may give something else each time. */
  readonly #assigned = new WeakMap<Assignment, NatsPool>()

  constructor(
    host: PoolHost,
    remote: RemoteHost,
    { queueOf, ...settings }: Settings & { readonly queueOf: QueueOf },
  ) {
    this.#host = host
    this.#remote = remote
    this.#settings = settings
    this.#queueOf = queueOf
  }

  waiting(): number {
    let count = 0
    for (const pool of this.#pools.values()) count += pool.waiting()
    return count
  }

  assign(assignment: Assignment): void {
    let pool: NatsPool
    try {
      pool = this.#poolOf(this.#route(assignment))
    } catch (error) {
      this.#host.reports.refused(assignment, error as TroupeError)
      return
    }
    this.#assigned.set(assignment, pool)
    pool.assign(assignment)
  }

  /** @throws UsageError `INVALID_OPTION` */
  #route({ task, tags }: Assignment): string {
    const { name, version } = task
    let queue: unknown
    try {
      queue = this.#queueOf({ name, version, tags })
    } catch (cause) {
      throw new UsageError(
        'INVALID_OPTION',
        `the queue of task ${name} can't be had: \`queue\` of NatsTaskRunner threw`,
        {
          cause,
          details: { option: 'queue' },
        },
      )
    }
    if (isQueueName(queue)) return queue
    const message = `expected \`queue\` of NatsTaskRunner to give the name of a queue for task ${name}, of 1 to 200 characters, got ${String(queue)}`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'queue' } })
  }

  #poolOf(queue: string): NatsPool {
    let pool = this.#pools.get(queue)
    if (pool === undefined) {
      pool = new NatsPool(this.#host, this.#remote, { ...this.#settings, queue })
      this.#pools.set(queue, pool)
    }
    return pool
  }

  stop(assignment: Assignment): void {
    this.#assigned.get(assignment)?.stop(assignment)
  }

  withdraw(assignment: Assignment): boolean {
    return this.#assigned.get(assignment)?.withdraw(assignment) ?? true
  }

  leave(assignment: Assignment): void {
    this.#assigned.get(assignment)?.leave(assignment)
  }

  lend(): void {
    // Slots are the workers'.
  }

  reclaim(_assignment: Assignment, resume: () => void): void {
    resume()
  }

  obstacles(): readonly string[] {
    return [...this.#pools.values()].flatMap((pool) => pool.obstacles())
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()))
  }
}
