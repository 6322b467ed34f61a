import type { Delivery, Offer, Queue, QueueName, Taking } from '@troupe/core'
import { flowRunOfOffer } from '@troupe/core/internal'
import type { Bodies } from './bodies.ts'

/** How long what can't be read here stays away, in milliseconds: another node may have the key. */
const unreadableMs = 5_000

interface Taker {
  readonly listener: (delivery: Delivery) => void
  /** Takes one more, in place of one that can't be given to the taker. */
  another(): void
}

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
    const writing = this.#bodies.write(flowRunId, nameOf(queue, id), offer.body)
    const { bytes } = writing instanceof Promise ? await writing : writing
    return this.#queue.offer({ ...offer, body: bytes })
  }

  take(queue: QueueName, listener: (delivery: Delivery) => void): Taking {
    const taker: Taker = {
      listener,
      // What the taker does not get is not of those that it wants.
      another: () => taking.want(1),
    }
    const taking = this.#queue.take(queue, (delivery) => this.#delivered(delivery, taker))
    return taking
  }

  #delivered(delivery: Delivery, taker: Taker): void {
    const what = `offer ${delivery.id}`
    const blob = this.#bodies.blobOf(delivery.body)
    if (blob !== undefined) {
      void this.#fetched(delivery, blob, taker)
      return
    }
    let body: Uint8Array
    try {
      body = this.#bodies.open(delivery.body, what)
    } catch (error) {
      this.#bodies.report(error)
      delivery.handBack(unreadableMs)
      taker.another()
      return
    }
    taker.listener(body === delivery.body ? delivery : withBody(delivery, body, undefined))
  }

  async #fetched(delivery: Delivery, blob: string, taker: Taker): Promise<void> {
    const flowRunId = flowRunOfOffer(delivery.id)
    let body: Uint8Array | undefined
    try {
      body = await this.#bodies.read(flowRunId, delivery.body, `offer ${delivery.id}`)
    } catch (error) {
      this.#bodies.report(error)
      delivery.handBack(unreadableMs)
      taker.another()
      return
    }
    if (body === undefined) {
      // What it was of was done, and that was forgotten.
      delivery.done()
      taker.another()
      return
    }
    try {
      taker.listener(withBody(delivery, body, () => this.#bodies.forget(flowRunId, blob)))
    } catch (error) {
      this.#bodies.report(error)
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
