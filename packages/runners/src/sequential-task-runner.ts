import type { PoolHost, TaskPool, TaskRunner } from '@troupe/core'
import { InProcessPool } from '@troupe/core/internal'

/**
 * Runs the tasks of a flow run one at a time, on the event loop of this process: those whose upstreams have completed,
 * in order of submission. Flow runs do not wait for each other, a subflow has an order of its own, and a body that waits
 * for another run lets that one, and others, go first.
 *
 * For tasks that must not overlap, and for reading what a flow does one step after another.
 *
 * @example
 * ```ts
 * const delays = flow({ name: 'delays', taskRunner: new SequentialTaskRunner() }, async (file: string) => …)
 * ```
 * @public
 */
export class SequentialTaskRunner implements TaskRunner {
  readonly name = 'sequential'
  readonly mode = 'sequential'

  createPool(host: PoolHost): TaskPool {
    return new InProcessPool(host, 1, true)
  }
}
