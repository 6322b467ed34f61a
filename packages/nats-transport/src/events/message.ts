import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import { deliveryFacts } from '../queue/ack-subject.ts'
import type { NatsEventMessage } from './options.ts'

/** A message of a stream, as it was delivered. */
export class EventMessage implements NatsEventMessage {
  readonly subject: string
  readonly stream: string
  readonly sequence: number
  readonly deliveries: number
  /** Nanoseconds since 1970, in digits. */
  readonly storedAtNs: string
  readonly data: Uint8Array
  readonly #headers: MsgHdrs | undefined

  constructor(init: {
    readonly subject: string
    readonly stream: string
    readonly sequence: number
    readonly deliveries: number
    readonly storedAtNs: string
    readonly data: Uint8Array
    readonly headers: MsgHdrs | undefined
  }) {
    this.subject = init.subject
    this.stream = init.stream
    this.sequence = init.sequence
    this.deliveries = init.deliveries
    this.storedAtNs = init.storedAtNs
    // The client's bytes are part of a larger buffer, which would live on with them.
    this.data = new Uint8Array(init.data)
    this.#headers = init.headers
  }

  static of(message: Msg, reply: string, stream: string): EventMessage {
    const { deliveries, seq: sequence, storedAt: storedAtNs } = deliveryFacts(reply)
    const { subject, data, headers } = message
    return new EventMessage({ subject, stream, sequence, deliveries, storedAtNs, data, headers })
  }

  get storedAt(): number {
    return Math.floor(Number(this.storedAtNs) / 1e6)
  }

  header(name: string): string | undefined {
    return this.#headers?.has(name) === true ? this.#headers.get(name) : undefined
  }

  /** All headers; of one that stands there more than once, each. */
  *headers(): Iterable<[name: string, value: string]> {
    for (const name of this.#headers?.keys() ?? [])
      for (const value of this.#headers?.values(name) ?? []) yield [name, value]
  }

  /** What tells it from all others: what its publisher says, else its place, also where a stream of this name is made anew. */
  get key(): string {
    const id = this.header('Nats-Msg-Id')
    return id === undefined || id === '' ? `${this.stream}:${this.sequence}:${this.storedAtNs}` : id
  }
}
