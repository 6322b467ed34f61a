import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node'

interface PubAck {
  readonly seq?: number
  readonly error?: { readonly description: string }
}

/** A publisher to JetStream that does little for each message: one subscription for all acknowledgements, no timers, no headers. */
export class LightPublisher {
  readonly #connection: NatsConnection
  readonly #inbox = createInbox()
  readonly #waiting = new Map<string, (message: Msg) => void>()
  #next = 0

  constructor(connection: NatsConnection) {
    this.#connection = connection
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (_error, message) => {
        const token = message.subject.slice(this.#inbox.length + 1)
        const settle = this.#waiting.get(token)
        this.#waiting.delete(token)
        settle?.(message)
      },
    })
  }

  /** Resolves when the server has stored the message. */
  publish(subject: string, payload: string): Promise<void> {
    const token = (this.#next++).toString(36)
    return new Promise((resolve, reject) => {
      this.#waiting.set(token, (message) => {
        const { seq, error } = message.json<PubAck>()
        if (seq === undefined) reject(new Error(error?.description ?? 'no such stream'))
        else resolve()
      })
      this.#connection.publish(subject, payload, { reply: `${this.#inbox}.${token}` })
    })
  }
}

/** As many messages on their way as the official client's `consume()` asks for by default. */
const credits = 100
const expiresNs = 30e9

/** A pull consumer that does little for each message: asks for more when half of its credits are used. */
export function pullLight(connection: NatsConnection, consumer: string, take: (message: Msg) => void): void {
  const inbox = createInbox()
  let asked = 0
  const ask = (): void => {
    if (asked > credits / 2) return
    const request = JSON.stringify({ batch: credits - asked, expires: expiresNs })
    connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${consumer}`, request, { reply: inbox })
    asked = credits
  }
  connection.subscribe(inbox, {
    callback: (_error, message) => {
      if (message.headers !== undefined && message.data.length === 0) {
        // 408, the request has expired: what it did not bring is to be asked for again.
        asked -= Number(message.headers.get('Nats-Pending-Messages') || 0)
      } else {
        asked--
        take(message)
      }
      ask()
    },
  })
  ask()
}
