import { CodecError, type DeadLetter, type EventDelivery } from '@troupe/core'
import type { EventMessage } from './message.ts'
import type { NatsEventMessage } from './options.ts'

/** What a delivery needs of its tap. */
export interface DeliveryHost<E> {
  readonly decode: ((data: Uint8Array, message: NatsEventMessage) => E | Promise<E>) | undefined
  readonly maxDeliver: number | undefined
  /** Says something of a delivery, without waiting for an answer; said again where it may have been lost. */
  say(reply: string, word: string): void
  /** The same, where it does not matter whether it arrives. */
  whisper(reply: string, word: string): void
  /** It will not be delivered again. */
  dealtWith(sequence: number): void
  /** It will be delivered again, here or elsewhere, after `delayMs` milliseconds. */
  handedBack(sequence: number, delayMs: number): void
  bury(message: EventMessage, letter: DeadLetter, place: string | undefined): Promise<void>
}

/** A message that was delivered and is not acknowledged. */
export class NatsDelivery<E> implements EventDelivery<E> {
  readonly key: string
  readonly deliveries: number
  readonly isLast: boolean
  readonly #host: DeliveryHost<E>
  readonly #reply: string
  #message: EventMessage | undefined

  constructor(host: DeliveryHost<E>, message: EventMessage, reply: string) {
    this.#host = host
    this.#message = message
    this.#reply = reply
    this.key = message.key
    this.deliveries = message.deliveries
    this.isLast = host.maxDeliver !== undefined && message.deliveries >= host.maxDeliver
  }

  read(): E | Promise<E> {
    return decoded(this.#message, this.#host.decode)
  }

  done(): void {
    const message = this.#end('+ACK')
    if (message !== undefined) this.#host.dealtWith(message.sequence)
  }

  handBack(delayMs = 0): void {
    const delay = Math.round(delayMs * 1e6)
    const message = this.#end(delay > 0 ? `-NAK ${JSON.stringify({ delay })}` : '-NAK')
    if (message !== undefined) this.#host.handedBack(message.sequence, delayMs)
  }

  keepAlive(): void {
    if (this.#message !== undefined) this.#host.whisper(this.#reply, '+WPI')
  }

  async reject(letter: DeadLetter, place: string | undefined): Promise<void> {
    if (this.#message === undefined) return
    await this.#host.bury(this.#message, letter, place)
    // Bare: servers before 2.10 do not know it with a reason.
    const message = this.#end('+TERM')
    if (message !== undefined) this.#host.dealtWith(message.sequence)
  }

  /** @returns The message, unless it was over before */
  #end(word: string): EventMessage | undefined {
    const message = this.#message
    this.#message = undefined
    if (message !== undefined) this.#host.say(this.#reply, word)
    return message
  }
}

/** A message that its consumer has given up: nobody will get it again, so that it must be told of. */
export class GivenUp<E> implements EventDelivery<E> {
  readonly key: string
  readonly deliveries: number
  readonly isLast = true
  readonly refusal: unknown
  readonly #host: DeliveryHost<E>
  readonly #message: EventMessage
  readonly #again: (delayMs: number) => void

  /** @param again - Delivers it once more, later. */
  constructor(
    host: DeliveryHost<E>,
    message: EventMessage,
    { refusal, again }: { readonly refusal: unknown; readonly again: (delayMs: number) => void },
  ) {
    this.#host = host
    this.#message = message
    this.#again = again
    this.refusal = refusal
    this.key = message.key
    this.deliveries = message.deliveries
  }

  read(): E | Promise<E> {
    return decoded(this.#message, this.#host.decode)
  }

  done(): void {
    // There is nothing to acknowledge.
  }

  handBack(delayMs = 0): void {
    this.#again(delayMs)
  }

  reject(letter: DeadLetter, place: string | undefined): Promise<void> {
    return this.#host.bury(this.#message, letter, place)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function decoded<E>(message: EventMessage | undefined, decode: DeliveryHost<E>['decode']): E | Promise<E> {
  if (message === undefined)
    throw new CodecError('MALFORMED_PAYLOAD', 'the message was dealt with before it was read')
  if (decode !== undefined) return decode(message.data, message)
  try {
    return JSON.parse(decoder.decode(message.data)) as E
  } catch (error) {
    const { subject, sequence } = message
    throw new CodecError('MALFORMED_PAYLOAD', `message ${sequence} on ${subject} is no JSON`, {
      cause: error,
      details: { subject, sequence },
    })
  }
}
