import type { Msg, Subscription } from '@nats-io/transport-node'
import { JournalError, type EventTaker } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes } from '../connection/errors.ts'
import { GivenUp, type DeliveryHost } from './delivery.ts'
import { EventMessage } from './message.ts'
import type { EventsSettings } from './options.ts'

/** How long one stays away that can't be dealt with now. */
const leastPauseMs = 1_000

interface Advisory {
  readonly stream_seq: number
  readonly deliveries: number
}

/**
 * Hears of messages that were delivered as often as their consumer allows, without being acknowledged: their takers died each time.
 * The server tells it once, to whoever listens; all who take from the consumer hear of it, and keep the same dead letter.
 */
export class GivenUpMessages<E> {
  readonly #host: DeliveryHost<E>
  readonly #taker: EventTaker<E>
  readonly #settings: EventsSettings<E>
  #subscription: Subscription | undefined

  constructor(host: DeliveryHost<E>, taker: EventTaker<E>, settings: EventsSettings<E>) {
    this.#host = host
    this.#taker = taker
    this.#settings = settings
  }

  listen(connected: Connected): void {
    if (this.#subscription !== undefined) return
    const { stream, consumer } = this.#settings
    const subject = `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${stream}.${consumer}`
    this.#subscription = connected.nc.subscribe(subject, {
      callback: (error, message) => {
        // Who may not listen takes all the same.
        if (error === null) void this.#heard(connected, message)
      },
    })
  }

  stop(): void {
    this.#subscription?.unsubscribe()
  }

  async #heard(connected: Connected, message: Msg): Promise<void> {
    try {
      const { stream_seq: sequence, deliveries } = JSON.parse(message.string()) as Advisory
      const { stream } = this.#settings
      const found = await this.#read(connected, sequence)
      // It was deleted, or acknowledged after all.
      if (found === undefined) return
      const { subject, data, header, timestamp } = found
      const given = new EventMessage({
        subject,
        stream,
        sequence,
        deliveries,
        storedAtNs: nanosOf(timestamp),
        data,
        headers: header,
      })
      this.#deliver(given)
    } catch (error) {
      this.#taker.trouble(error)
    }
  }

  #read(connected: Connected, seq: number) {
    const what = `can't read message ${seq} of ${this.#settings.stream}`
    return connected
      .patiently(what, () => connected.jsm.streams.getMessage(this.#settings.stream, { seq }))
      .then(
        (found) => found ?? undefined,
        (error: unknown) => {
          if (codeOf(error) === codes.messageNotFound) return undefined
          throw error
        },
      )
  }

  #deliver(message: EventMessage): void {
    const { clock } = this.#taker
    const { stream, sequence, deliveries } = message
    const refusal = new JournalError(
      'MAX_DELIVERIES',
      `message ${sequence} of ${stream} was delivered ${deliveries} times, as often as its consumer allows, and is not delivered again`,
      { details: { stream, sequence, deliveries } },
    )
    const again = (delayMs: number): void => {
      if (!this.#isStopped)
        clock.at(clock.now() + Math.max(delayMs, leastPauseMs), () => this.#deliver(message))
    }
    if (!this.#isStopped) this.#taker.deliver(new GivenUp(this.#host, message, { refusal, again }))
  }

  get #isStopped(): boolean {
    return this.#subscription?.isClosed() !== false
  }
}

/** A time as servers write it, in nanoseconds since 1970, in digits. */
function nanosOf(timestamp: string): string {
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? ''
  return `${Math.floor(Date.parse(timestamp) / 1_000)}${fraction.slice(0, 9).padEnd(9, '0')}`
}
