import type { Delivery, Offer, Queue, QueueName, Taking } from '@troupe/core'
import { flowRunOfOffer } from '@troupe/core/internal'
import type { Bodies } from './bodies.ts'

/** How long what can't be read here stays away, in milliseconds: another node may have the key. */
const unreadableMs = 5_000

/** A queue whose offers may be of any size, and pass through the codecs of the transport. */
export class BodiesQueue implements Queue {
  readonly #queue: Queue
  readonly #bodies: Bodies

  constructor(queue: Queue, bodies: Bodies) {
    this.#queue = queue
    this.#bodies = bodies
  }

  async offer(offer: Offer): Promise<boolean> {
    const { queue, id } = offer
    const flowRunId = flowRunOfOffer(id)
    const { bytes } = await this.#bodies.write(flowRunId, nameOf(queue, id), offer.body)
    return this.#queue.offer({ ...offer, body: bytes })
  }

  take(queue: QueueName, listener: (delivery: Delivery) => void): Taking {
    return this.#queue.take(queue, (delivery) => this.#delivered(delivery, listener))
  }

  #delivered(delivery: Delivery, listener: (delivery: Delivery) => void): void {
    const what = `offer ${delivery.id}`
    const blob = this.#bodies.blobOf(delivery.body)
    if (blob !== undefined) {
      void this.#fetched(delivery, blob, listener)
      return
    }
    let body: Uint8Array
    try {
      body = this.#bodies.open(delivery.body, what)
    } catch (error) {
      this.#bodies.report(error)
      delivery.handBack(unreadableMs)
      return
    }
    listener(body === delivery.body ? delivery : withBody(delivery, body, undefined))
  }

  async #fetched(delivery: Delivery, blob: string, listener: (delivery: Delivery) => void): Promise<void> {
    const flowRunId = flowRunOfOffer(delivery.id)
    try {
      const body = await this.#bodies.read(flowRunId, delivery.body, `offer ${delivery.id}`)
      // What it was of was done, and that was forgotten.
      if (body === undefined) delivery.done()
      else listener(withBody(delivery, body, () => this.#bodies.forget(flowRunId, blob)))
    } catch (error) {
      this.#bodies.report(error)
      delivery.handBack(unreadableMs)
    }
  }

  withdraw(queue: QueueName, id: string): Promise<void> {
    return this.#queue.withdraw(queue, id)
  }

  pending(queue: QueueName, limit: number): ReturnType<Queue['pending']> {
    return this.#queue.pending(queue, limit)
  }
}

function nameOf({ of: kind, name }: QueueName, id: string): string {
  return `${kind} ${name} ${id}`
}

function withBody(delivery: Delivery, body: Uint8Array, over: (() => void) | undefined): Delivery {
  return {
    id: delivery.id,
    body,
    repeated: delivery.repeated,
    done() {
      delivery.done()
      over?.()
    },
    handBack: (delayMs) => delivery.handBack(delayMs),
  }
}
