import type { PoolHost, TaskPool, TaskRunner } from '@troupe/core'
import { settingsOf, type Settings, type WorkerThreadsTaskRunnerOptions } from './options.ts'
import { ThreadPool } from './thread-pool.ts'

/**
 * Runs tasks on threads: bodies that compute run at the same time, on all cores of this machine. Nothing else of a flow
 * changes; but its tasks must be defined at the top level of a module, and what they take and give must be values that can
 * be encoded (see `docs/threads.md`).
 *
 * A body that does not heed its time limit, or its cancellation within its grace, is stopped for real: its thread is ended
 * and replaced. So is one that ends its thread by `process.exit`, an uncaught error, or by using up its memory: its run is
 * CRASHED, and nothing else is hurt.
 *
 * Constructing one starts nothing. An engine starts threads when there are bodies for them, and `close` ends them; threads
 * with nothing to do end by themselves, and never keep a process alive.
 *
 * @example
 * ```ts
 * const delays = flow({ name: 'delays', taskRunner: new WorkerThreadsTaskRunner() }, async (file: string) => …)
 * ```
 * @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export class WorkerThreadsTaskRunner implements TaskRunner {
  readonly name = 'threads'
  readonly mode = 'parallel'
  readonly #settings: Settings

  constructor(options: WorkerThreadsTaskRunnerOptions = {}) {
    this.#settings = settingsOf(options)
  }

  /** How many threads execute bodies at once. */
  get threads(): number {
    return this.#settings.threads
  }

  createPool(host: PoolHost): TaskPool {
    return new ThreadPool(host, this.#settings)
  }
}
