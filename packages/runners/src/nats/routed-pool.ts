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

/** A pool that has had nothing to do for so long is let go of, in milliseconds: workers may still ask for what it had. */
const idleMs = 10 * 60_000

/** The pool of a queue, and when something was handed to it last, by the monotonic clock. */
interface Routed {
  readonly pool: NatsPool
  usedAt: number
}

/** Hands each task run to the queue that a function chooses: a pool for each of them, for as long as it is used. */
export class RoutedPool implements TaskPool {
  readonly lends = false
  readonly encodes = true
  readonly outlives = true
  readonly #host: PoolHost
  readonly #remote: RemoteHost
  readonly #settings: Settings
  readonly #queueOf: QueueOf
  /** The one that was not used for longest first. */
  readonly #pools = new Map<string, Routed>()
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
    for (const { pool } of this.#pools.values()) count += pool.waiting()
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
    const usedAt = this.#remote.clock.monotonic()
    const known = this.#pools.get(queue)
    if (known === undefined) this.#letIdleGo(usedAt)
    else this.#pools.delete(queue)
    const pool = known?.pool ?? new NatsPool(this.#host, this.#remote, { ...this.#settings, queue })
    this.#pools.set(queue, { pool, usedAt })
    return pool
  }

  /** Names of queues may be made of what comes only once. */
  #letIdleGo(now: number): void {
    for (const [queue, routed] of this.#pools) {
      if (now - routed.usedAt < idleMs) return
      this.#pools.delete(queue)
      if (routed.pool.placed.size === 0) {
        routed.pool.close().catch((error: unknown) => this.#host.report(error))
        continue
      }
      routed.usedAt = now
      this.#pools.set(queue, routed)
    }
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
    return [...this.#pools.values()].flatMap(({ pool }) => pool.obstacles())
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.close()))
  }
}
