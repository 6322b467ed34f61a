import { setTimeout as delay } from 'node:timers/promises'
import type { JetStreamClient } from '@nats-io/jetstream'

export interface Refused {
  readonly id: string
  readonly why: string
  readonly at: string
}

/** Orders that can't become flow runs, the last ten, the newest first. The intake keeps them with the reason in their headers. */
export function followRefused(js: JetStreamClient): () => readonly Refused[] {
  let refused: Refused[] = []
  const follow = async (): Promise<void> => {
    const consumer = await js.consumers.get('ORDERS', { filter_subjects: 'orders.refused' })
    refused = []
    for await (const { headers } of await consumer.consume()) {
      const [id, why, at] = ['Troupe-Key', 'Troupe-Error', 'Troupe-At'].map(
        (name) => headers?.get(name) ?? '',
      )
      refused = [{ id: id ?? '', why: why ?? '', at: at ?? '' }, ...refused].slice(0, 10)
    }
  }
  const keepFollowing = async (): Promise<never> => {
    for (;;) {
      // While there is no server, the page shows what it showed.
      await follow().catch(() => undefined)
      await delay(1_000)
    }
  }
  void keepFollowing()
  return () => refused
}
