import { UsageError, type PoolHost, type TaskPool, type TaskRunner } from '@troupe/core'
import { NatsPool } from './nats-pool.ts'
import { RoutedPool } from './routed-pool.ts'
import { settingsOf, type NatsTaskRunnerOptions, type Settings } from './options.ts'

/**
 * Runs tasks on other nodes: they go to a queue of the engine's transport, and workers take them from there. Nothing else of a
 * flow changes; but its tasks must be defined at the top level of modules that the workers load, and what they take and give
 * must be values that can be encoded (see `docs/remote-tasks.md`).
 *
 * A task run whose worker is lost runs again on another one, as a new attempt. One whose owner is lost goes on, and the next
 * owner hears what it found.
 *
 * @example
 * ```ts
 * const delays = flow({ name: 'delays', taskRunner: new NatsTaskRunner({ queue: 'images' }) }, async (file: string) => …)
 * ```
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export class NatsTaskRunner implements TaskRunner {
  readonly name = 'nats'
  readonly mode = 'parallel'
  readonly #settings: Settings

  constructor(options: NatsTaskRunnerOptions = {}) {
    this.#settings = settingsOf(options)
  }

  /** The queue that the task runs go to; undefined where a function chooses it. */
  get queue(): string | undefined {
    const { queue, queueOf } = this.#settings
    return queueOf === undefined ? queue : undefined
  }

  /** @throws UsageError `NO_TRANSPORT` where the engine is alone */
  createPool(host: PoolHost): TaskPool {
    const { queueOf } = this.#settings
    if (host.remote !== undefined && queueOf !== undefined)
      return new RoutedPool(host, host.remote, { ...this.#settings, queueOf })
    if (host.remote !== undefined) return new NatsPool(host, host.remote, this.#settings)
    throw new UsageError(
      'NO_TRANSPORT',
      'NatsTaskRunner needs an engine that has a transport to other nodes: ' +
        "createEngine({ transport: natsTransport({ servers: '127.0.0.1:4222' }) })",
      { details: { queue: this.queue } },
    )
  }
}
