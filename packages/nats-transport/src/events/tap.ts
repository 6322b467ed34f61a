import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node'
import { TroupeError, type DeadLetter, type EventTaker, type EventTap } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { Link } from '../connection/link.ts'
import { Acks } from '../queue/acks.ts'
import { deliveryFacts, isDelivery } from '../queue/ack-subject.ts'
import { Lane } from '../queue/lane.ts'
import { findConsumer, type ConsumerFacts } from './consumer.ts'
import { Graves } from './dead-letters.ts'
import { NatsDelivery, type DeliveryHost } from './delivery.ts'
import { GivenUpMessages } from './given-up.ts'
import { EventMessage } from './message.ts'
import { Progress } from './progress.ts'
import type { EventsSettings } from './options.ts'
import type { EventTimes } from './times.ts'

const encoder = new TextEncoder()

/**
 * Takes messages from a consumer by pulls that wait a moment, so that their end tells that the server is still there, and asks for
 * no more than is wanted.
 */
export class JetStreamTap<E> implements EventTap, DeliveryHost<E> {
  readonly #settings: EventsSettings<E>
  readonly #taker: EventTaker<E>
  readonly #times: EventTimes
  readonly #link: Link
  readonly #lane = new Lane()
  readonly #givenUp: GivenUpMessages<E>
  readonly #graves: Graves
  readonly #progress = new Progress(() => this.#now())
  #connected: Connected | undefined
  #acks: Acks | undefined
  #facts: ConsumerFacts | undefined
  #subscription: Subscription | undefined
  #inbox = ''
  /** Events that may still come, those among them that were asked for. */
  #wanted = 0
  /** Whether the consumer is there, as far as is known. */
  #isUsable = false
  #isFinding = false
  #isAsking = false
  #tries = 0
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #stopped: Promise<void> | undefined

  constructor(settings: EventsSettings<E>, taker: EventTaker<E>, times: EventTimes) {
    this.#settings = settings
    this.#taker = taker
    this.#times = times
    const { node, clock, random } = taker
    this.#link = new Link(settings.connection, {
      node,
      clock,
      random,
      report: (error) => taker.trouble(error),
      // It has no presence that could be cut off.
      cutOff: (error) => taker.trouble(error),
    })
    this.#givenUp = new GivenUpMessages(this, taker, settings)
    this.#graves = new Graves(settings)
    void this.#begin()
  }

  get keepAliveMs(): number | undefined {
    return this.#facts?.keepAliveMs
  }

  want(count: number): void {
    this.#wanted = count
    // What was asked for is not wanted any more: a paused taker must not keep others from it.
    if (count < this.#lane.asked) this.#void()
    this.#askSoon()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async close(): Promise<void> {
    await this.#acks?.flush()
    this.#acks?.close()
    await this.#link.close()
  }

  // --- for deliveries ---------------------------------------------------------------------------------------------

  get decode(): DeliveryHost<E>['decode'] {
    return this.#settings.decode
  }

  get maxDeliver(): number | undefined {
    return this.#facts?.maxDeliver
  }

  say(reply: string, word: string): void {
    this.#acks?.send(reply, encoder.encode(word))
  }

  whisper(reply: string, word: string): void {
    if (this.#connected?.up === true) this.#connected.nc.publish(reply, word)
  }

  dealtWith(sequence: number): void {
    this.#progress.dealtWith(sequence)
  }

  handedBack(sequence: number, delayMs: number): void {
    this.#progress.handedBack(sequence, delayMs)
  }

  async bury(message: EventMessage, letter: DeadLetter, place: string | undefined): Promise<void> {
    const connected = await this.#link.control()
    await this.#graves.bury(connected, message, letter, { place, filters: this.#facts?.filters })
  }

  // ----------------------------------------------------------------------------------------------------------------

  /** Connects, for as long as that takes. */
  async #begin(): Promise<void> {
    for (;;) {
      try {
        const connected = await this.#link.control()
        if (this.#stopped !== undefined) return
        this.#connected = connected
        this.#acks = new Acks(connected)
        connected.onReconnect(() => this.#reconnected())
        const everyMs = Math.min(this.#times.pullMs / 2, 500)
        this.#timer = setInterval(() => this.#tick(), everyMs).unref()
        this.#find()
        return
      } catch (error) {
        if (this.#stopped !== undefined) return
        if (TroupeError.is(error, 'TRANSPORT_UNSUPPORTED')) {
          this.#taker.failed(error)
          return
        }
        this.#taker.trouble(error)
        await new Promise((resolve) => setTimeout(resolve, this.#nextPauseMs()))
      }
    }
  }

  #nextPauseMs(): number {
    const { firstPauseMs, longestPauseMs } = this.#times
    return Math.min(firstPauseMs * 2 ** Math.min(this.#tries++, 20), longestPauseMs)
  }

  /** Looks for the consumer, or makes it. */
  #find(): void {
    const connected = this.#connected
    if (connected === undefined || this.#isFinding || this.#stopped !== undefined) return
    this.#isFinding = true
    findConsumer(connected, this.#settings, this.#progress)
      .then(
        (facts) => this.#found(connected, facts),
        (error: unknown) => this.#notFound(error),
      )
      .finally(() => (this.#isFinding = false))
      .catch((error: unknown) => this.#taker.trouble(error))
  }

  #found(connected: Connected, facts: ConsumerFacts): void {
    if (this.#stopped !== undefined) return
    this.#facts = facts
    if (facts.since !== undefined) this.#progress.found(facts.since)
    this.#isUsable = true
    this.#taker.trouble(undefined)
    if (facts.maxDeliver !== undefined) this.#givenUp.listen(connected)
    this.#askSoon()
  }

  #notFound(error: unknown): void {
    if (this.#stopped !== undefined) return
    const isForGood =
      TroupeError.is(error, 'TRANSPORT_UNSUPPORTED') ||
      // One that was never there was never made, or has another name.
      (this.#facts === undefined && TroupeError.is(error, 'NO_CONSUMER'))
    if (isForGood) {
      this.#taker.failed(error)
      return
    }
    this.#taker.trouble(error)
    this.#findLater()
  }

  #findLater(): void {
    if (this.#retry !== undefined || this.#stopped !== undefined) return
    this.#isUsable = false
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#find()
    }, this.#nextPauseMs()).unref()
  }

  #reconnected(): void {
    this.#taker.trouble(undefined)
    this.#void()
    this.#askSoon()
  }

  /** Nothing that was asked for before is wanted any more; what comes of it all the same is handed on. */
  #void(): void {
    this.#lane.forget()
    const old = this.#subscription
    this.#subscription = undefined
    if (old === undefined || old.isClosed()) return
    // What is lost with the connection comes again.
    if (this.#connected?.up !== true) old.unsubscribe()
    else old.drain().catch((error: unknown) => this.#taker.trouble(error))
  }

  #listen(connected: Connected): void {
    this.#inbox = createInbox(this.#settings.connection.inboxPrefix)
    const subscription = connected.nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#arrived(message, subscription === this.#subscription)
      },
    })
    this.#subscription = subscription
  }

  /** In a microtask, so that what becomes wanted at once is asked for with one pull. */
  #askSoon(): void {
    if (this.#isAsking) return
    this.#isAsking = true
    queueMicrotask(() => {
      this.#isAsking = false
      this.#ask()
    })
  }

  #ask(): void {
    const connected = this.#connected
    const facts = this.#facts
    const lane = this.#lane
    if (connected?.up !== true || facts === undefined || !this.#isUsable || this.#stopped !== undefined)
      return
    const batch = Math.min(this.#wanted - lane.asked, facts.maxBatch)
    // While much is on its way, more of it with one pull later does for a pull for each now.
    if (batch <= 0 || (lane.asked > 0 && batch < lane.asked)) return
    if (this.#subscription === undefined) this.#listen(connected)
    const { stream, consumer } = this.#settings
    const expiresMs = Math.min(this.#times.pullMs, facts.maxExpiresMs)
    connected.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
      JSON.stringify({ batch, expires: Math.round(expiresMs * 1e6) }),
      { reply: `${this.#inbox}.${batch}` },
    )
    lane.sent(batch, this.#now() + expiresMs + this.#times.lateMs)
  }

  #now(): number {
    return this.#taker.clock.monotonic()
  }

  /** @param isCurrent - Whether it came by the subscription that pulls go by now. */
  #arrived(message: Msg, isCurrent: boolean): void {
    const { reply } = message
    if (!isDelivery(reply)) {
      if (isCurrent) this.#told(message)
      return
    }
    this.#answered()
    if (isCurrent) this.#lane.delivered(deliveryFacts(reply).pending, this.#now())
    const event = EventMessage.of(message, reply, this.#settings.stream)
    this.#progress.delivered(event)
    const delivery = new NatsDelivery(this, event, reply)
    // The last time there is nobody else to whom it could go.
    if (this.#stopped !== undefined && !delivery.isLast) return delivery.handBack()
    this.#wanted = Math.max(0, this.#wanted - 1)
    this.#taker.deliver(delivery)
    this.#askSoon()
  }

  #answered(): void {
    this.#tries = 0
    this.#taker.trouble(undefined)
  }

  /** News of a pull: of its end, in nearly all cases. */
  #told(message: Msg): void {
    const batch = Number(message.subject.slice(this.#inbox.length + 1))
    const { code = 503 } = message.headers ?? {}
    if (code === 100) return
    if (code === 404 || code === 408) {
      this.#answered()
      const left = message.headers?.get('Nats-Pending-Messages') ?? ''
      this.#lane.ended(left === '' ? batch : Number(left), this.#now())
      this.#askSoon()
      return
    }
    // 409 and 503: the consumer was deleted, has another leader, has none, or takes no more pulls for now.
    this.#lane.forget()
    this.#findLater()
  }

  #tick(): void {
    if (this.#connected?.up !== true) return
    if (this.#lane.overdue(this.#now()) > 0) {
      // The consumer is gone, or its leader is: old servers don't say so.
      this.#void()
      this.#findLater()
    }
    this.#askSoon()
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer)
    clearTimeout(this.#retry)
    this.#givenUp.stop()
    const connected = this.#connected
    const subscription = this.#subscription
    if (connected === undefined || subscription === undefined || connected.nc.isClosed()) return
    // What comes meanwhile goes back. Other servers of a cluster hear of the end of a subscription too late.
    if (connected.nc.info?.cluster !== undefined) await this.#pullsEnded()
    if (connected.up) await connected.settled(() => subscription.drain())
    else subscription.unsubscribe()
  }

  /** Resolves when nothing is asked any more, or after the time of a pull. */
  async #pullsEnded(): Promise<void> {
    const until = this.#now() + this.#times.pullMs
    while (this.#lane.asked > 0 && this.#now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
