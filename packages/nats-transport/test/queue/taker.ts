import type { Delivery, QueueName, QueuePriority } from '@troupe/core'
import { until } from '../faults/harness/until.ts'
import type { QueueNode } from './support.ts'

export const main: QueueName = { of: 'task', name: 'main' }

/** A taker that keeps what it gets. */
export class Taker {
  readonly got: Delivery[] = []
  readonly #taking

  constructor(
    node: QueueNode,
    { queue = main, each = () => {} }: { queue?: QueueName; each?: (delivery: Delivery) => void } = {},
  ) {
    this.#taking = node.queue.take(queue, (delivery) => {
      this.got.push(delivery)
      each(delivery)
    })
  }

  get ids(): string[] {
    return this.got.map(({ id }) => id)
  }

  want(count: number): this {
    this.#taking.want(count)
    return this
  }

  stop(): Promise<void> {
    return this.#taking.stop()
  }

  /** Resolves when there are so many. */
  async atLeast(count: number, withinMs?: number): Promise<readonly Delivery[]> {
    await until(`${count} deliveries`, () => this.got.length >= count, withinMs)
    return this.got
  }
}

export async function offer(
  { queue }: QueueNode,
  ids: readonly string[],
  { priority = 'normal', of = main }: { priority?: QueuePriority; of?: QueueName } = {},
): Promise<boolean[]> {
  const body = new TextEncoder().encode('body')
  return Promise.all(ids.map((id) => queue.offer({ queue: of, priority, id, body })))
}

export function numbered(count: number, word = 'id'): string[] {
  return Array.from({ length: count }, (_, index) => `${word}-${index}`)
}
