import { UsageError } from '../base/errors.ts'
import type { PoolHost, TaskPool, TaskRunner } from '../ports/task-runner.ts'
import { InProcessPool } from './in-process-pool.ts'

/** @public */
export interface ConcurrentTaskRunnerOptions {
  /**
   * How many task bodies may run at once, over all flow runs of the engine that use this runner; a positive integer,
   * default no limit. A body that waits for another run does not count.
   */
  limit?: number
}

/**
 * Runs tasks interleaved on the event loop of this process; the default. Bodies that wait for I/O overlap; bodies that
 * compute do not, for JavaScript has one thread: take `WorkerThreadsTaskRunner` for those.
 *
 * @throws {@link UsageError} `INVALID_OPTION`
 * @public
 */
export class ConcurrentTaskRunner implements TaskRunner {
  readonly name = 'concurrent'
  readonly mode = 'concurrent'
  readonly limit: number

  constructor(options: ConcurrentTaskRunnerOptions = {}) {
    const limit = options.limit ?? Number.POSITIVE_INFINITY
    if (limit !== Number.POSITIVE_INFINITY && (!Number.isInteger(limit) || limit < 1)) {
      throw new UsageError(
        'INVALID_OPTION',
        `expected \`limit\` to be a positive integer, got ${String(limit)}`,
        {
          details: { option: 'limit' },
        },
      )
    }
    this.limit = limit
  }

  createPool(host: PoolHost): TaskPool {
    return new InProcessPool(host, this.limit, false)
  }
}
