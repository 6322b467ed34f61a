import type { Msg } from '@nats-io/transport-node'
import type { Delivery } from '@troupe/core'
import type { Lease } from '../thread/leases.ts'
import { textOf } from '../tokens.ts'
import type { Acks } from './acks.ts'

const encoder = new TextEncoder()
const acknowledged = encoder.encode('+ACK')
const handedBack = encoder.encode('-NAK')

interface Parts {
  /** The token of the offer's id. */
  readonly token: string
  readonly repeated: boolean
  readonly lease: Lease
  readonly acks: Acks
  readonly ended: (delivery: HeldDelivery) => void
}

/** A message of a queue that this node holds. */
export class HeldDelivery implements Delivery {
  readonly id: string
  readonly body: Uint8Array
  readonly repeated: boolean
  readonly #subject: string
  readonly #parts: Parts
  #ended = false

  constructor(message: Msg, parts: Parts) {
    this.#parts = parts
    this.#subject = message.reply ?? ''
    this.id = textOf(parts.token) ?? idOf(message)
    // The client's bytes are part of a larger buffer, which would live on with them.
    this.body = new Uint8Array(message.data)
    this.repeated = parts.repeated
  }

  done(): void {
    if (this.#end()) this.#parts.acks.send(this.#subject, acknowledged)
  }

  handBack(delayMs = 0): void {
    if (!this.#end()) return
    const delay = Math.round(delayMs * 1_000_000)
    this.#parts.acks.send(
      this.#subject,
      delay > 0 ? encoder.encode(`-NAK ${JSON.stringify({ delay })}`) : handedBack,
      // Others wait for it.
      true,
    )
  }

  /** It is another's by now. */
  lose(): void {
    this.#end()
  }

  /** @returns Whether it was held until now. */
  #end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#parts.ended(this)
    return this.#parts.lease.release()
  }
}

/** The id of an offer whose token has only its hash. */
function idOf(message: Msg): string {
  const id = message.headers?.get('Nats-Msg-Id') ?? ''
  return textOf(id.slice(id.indexOf('.') + 1)) ?? id
}
