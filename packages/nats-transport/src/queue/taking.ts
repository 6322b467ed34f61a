import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node'
import type { Delivery, Taking } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import type { Leases } from '../thread/leases.ts'
import type { Times } from '../times.ts'
import { deliveryFacts, isDelivery } from './ack-subject.ts'
import type { Acks } from './acks.ts'
import { HeldDelivery } from './held-delivery.ts'
import { Lane } from './lane.ts'
import { laneOf, priorities, type QueueNames } from './names.ts'
import { Sharer } from './share.ts'
import { Watchdog } from './watchdog.ts'

/** What the takers of a node share. */
export interface TakingHost {
  readonly times: Times
  readonly names: QueueNames
  readonly leases: Leases
  readonly inboxPrefix: string
  readonly monotonic: () => number
  /** Whether the node was told, or is about to be, that it counts as gone. */
  readonly away: () => boolean
  /** Whether the event loop was late by so much that what is delivered now may be another's. */
  readonly isLate: () => boolean
  /** Makes the queue's consumers, with what they need. */
  readonly ensure: (connected: Connected) => Promise<void>
  readonly report: (error: unknown) => void
  readonly ended: (taking: QueueTaking) => void
}

/** Waits after a pull was refused. */
const refusedMs = [50, 500] as const
/** By how much the news of a pull may be late. */
const lateMs = 1_000
const encoder = new TextEncoder()
const handedBack = encoder.encode('-NAK')

/**
 * Takes from one queue: asks for what is wanted by pulls that wait a second or a few, so that their end tells that the server is still
 * there, and so that what was asked of one lane in vain can be asked of another.
 */
export class QueueTaking implements Taking {
  readonly #host: TakingHost
  readonly #listener: (delivery: Delivery) => void
  readonly #lanes: readonly Lane[] = priorities.map(() => new Lane())
  readonly #sharer = new Sharer(this.#lanes)
  readonly #held = new Set<HeldDelivery>()
  #connected: Connected | undefined
  #acks: Acks | undefined
  #subscription: Subscription | undefined
  #inbox = ''
  #open = 0
  /** Until when deliveries count as repeated. */
  #repeatedUntil = -Infinity
  #isSharing = false
  #refusals = 0
  /** Lanes whose consumer has no leader, as far as is known. */
  readonly #silenced = new Set<Lane>()
  #isEnsuring = false
  #retry: NodeJS.Timeout | undefined
  #timer: NodeJS.Timeout | undefined
  #endReconnects: (() => void) | undefined
  readonly #startedAt: number
  #stopping: Promise<void> | undefined
  readonly #watchdog: Watchdog

  constructor(host: TakingHost, listener: (delivery: Delivery) => void) {
    this.#host = host
    this.#listener = listener
    this.#startedAt = host.monotonic()
    this.#watchdog = new Watchdog(host.names, this.#startedAt)
  }

  /** Begins, when there is a connection. */
  start(connected: Connected, acks: Acks): void {
    if (this.#stopping !== undefined) return
    this.#connected = connected
    this.#acks = acks
    this.#endReconnects = connected.onReconnect(() => this.#reconnected())
    this.#listen()
    this.#timer = setInterval(() => this.#tick(), Math.min(this.#host.times.pullMs / 2, 500)).unref()
    this.#ensure()
  }

  want(count: number): void {
    if (this.#stopping !== undefined) return
    this.#open += count
    this.#shareSoon()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** Gives back what is held. The transport is closed. */
  handBackAll(): void {
    for (const delivery of this.#held) delivery.handBack()
  }

  /** Nothing that is held is this node's any more. */
  loseAll(): void {
    for (const delivery of this.#held) delivery.lose()
    this.#held.clear()
  }

  async #stop(): Promise<void> {
    this.#open = 0
    this.#endReconnects?.()
    clearInterval(this.#timer)
    clearTimeout(this.#retry)
    const connected = this.#connected
    if (connected !== undefined && this.#subscription !== undefined && !connected.nc.isClosed()) {
      // What comes meanwhile goes back: see #delivered. Other servers of a cluster hear of the end of a subscription too late.
      if (connected.nc.info?.cluster !== undefined) await this.#pullsEnded()
      const subscription = this.#subscription
      if (connected.up) await connected.settled(() => subscription.drain())
      else subscription.unsubscribe()
      if (connected.up) await this.#acks?.flush()
    }
    this.#host.ended(this)
  }

  /** Resolves when nothing is asked any more, or after the time of a pull. */
  async #pullsEnded(): Promise<void> {
    const { monotonic, times } = this.#host
    const until = monotonic() + times.pullMs
    while (this.#lanes.some(({ asked }) => asked > 0) && monotonic() < until)
      await new Promise((resolve) => setTimeout(resolve, 10))
  }

  #listen(): void {
    const connected = this.#connected
    if (connected === undefined) return
    this.#inbox = createInbox(this.#host.inboxPrefix)
    this.#subscription = connected.nc.subscribe(`${this.#inbox}.*.*`, {
      callback: (error, message) => {
        if (error === null) this.#arrived(message)
      },
    })
  }

  /** No pull of before is answered any more, and if one is after all, its deliveries are taken. */
  #void(): void {
    for (const lane of this.#lanes) lane.forget()
    const old = this.#subscription
    this.#listen()
    if (old !== undefined && !old.isClosed()) old.drain().catch((error: unknown) => this.#host.report(error))
  }

  #reconnected(): void {
    // The server may have forgotten what it delivered last, and to whom.
    this.#suspectAll()
    this.#void()
    this.#shareSoon()
  }

  #suspectAll(): void {
    this.#repeatedUntil = this.#host.monotonic() + this.#host.times.ackWaitMs
  }

  #arrived(message: Msg): void {
    if (isDelivery(message.reply)) this.#delivered(message, message.reply)
    else this.#told(message)
  }

  #delivered(message: Msg, reply: string): void {
    const { names, monotonic, leases, away, isLate } = this.#host
    const now = monotonic()
    const { deliveries, pending } = deliveryFacts(reply)
    const { lane, token } = laneOf(names, message.subject)
    const from = this.#lanes[lane]
    from?.delivered(pending, now)
    this.#answered(from)
    if (this.#open <= 0 || this.#stopping !== undefined || away()) {
      this.#acks?.send(reply, handedBack, true)
      return
    }
    this.#open--
    const acks = this.#acks
    if (acks === undefined) return
    const delivery = new HeldDelivery(message, {
      token,
      repeated: deliveries > 1 || now < this.#repeatedUntil || isLate(),
      lease: leases.hold(reply),
      acks,
      ended: (one) => this.#held.delete(one),
    })
    this.#held.add(delivery)
    this.#shareSoon()
    try {
      this.#listener(delivery)
    } catch (error) {
      this.#host.report(error)
    }
  }

  /** News of a pull: of its end, in nearly all cases. */
  #told(message: Msg): void {
    const [lane, batch] = message.subject.slice(this.#inbox.length + 1).split('.')
    const asked = this.#lanes[Number(lane)]
    // Of a pull of before.
    if (!message.subject.startsWith(`${this.#inbox}.`) || asked === undefined) return
    const { code = 503, description = '' } = message.headers ?? {}
    if (code === 100) return
    const left = message.headers?.get('Nats-Pending-Messages') ?? ''
    if (code === 404 || code === 408) {
      this.#answered(asked)
      asked.ended(left === '' ? Number(batch) : Number(left), this.#host.monotonic())
      this.#shareSoon()
      return
    }
    // 409 and 503: the consumer was deleted, has another leader, or has none.
    asked.forget()
    this.#silenced.add(asked)
    if (code === 409 && description.includes('Deleted')) this.#suspectAll()
    this.#ensureLater()
  }

  /** The lane's consumer has a leader. */
  #answered(lane: Lane | undefined): void {
    this.#refusals = 0
    if (lane !== undefined && this.#silenced.delete(lane)) this.#acks?.repeat()
  }

  #shareSoon(): void {
    if (this.#isSharing) return
    this.#isSharing = true
    queueMicrotask(() => {
      this.#isSharing = false
      this.#share()
    })
  }

  #share(): void {
    const connected = this.#connected
    const { times, monotonic, away, names } = this.#host
    if (connected === undefined || !connected.up || this.#stopping !== undefined || away()) return
    const now = monotonic()
    const waitMs = this.#isIdle(now) ? times.idlePullMs : times.pullMs
    const asks = this.#sharer.share({ open: this.#open, now, pullMs: times.pullMs })
    if (asks.length > 0) connected.publisher.sendAlong()
    for (const { lane, batch, look } of asks) {
      const consumer = names.consumer[priorities[lane] ?? 'normal']
      const request = look
        ? { batch, no_wait: true }
        : { batch, expires: (this.#open < priorities.length ? times.pullMs : waitMs) * 1_000_000 }
      connected.nc.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${names.stream}.${consumer}`,
        encoder.encode(JSON.stringify(request)),
        { reply: `${this.#inbox}.${lane}.${batch}` },
      )
      this.#lanes[lane]?.sent(batch, now + (look ? 0 : waitMs) + lateMs)
    }
  }

  #lastAt(): number {
    return Math.max(this.#startedAt, ...this.#lanes.map(({ deliveredAt }) => deliveredAt))
  }

  #isIdle(now: number): boolean {
    return now - this.#lastAt() > this.#host.times.stalledMs
  }

  #tick(): void {
    const connected = this.#connected
    if (connected?.up !== true) return
    const now = this.#host.monotonic()
    const silent = this.#lanes.filter((lane) => lane.overdue(now) > 0)
    for (const lane of silent) this.#silenced.add(lane)
    if (silent.length > 0) {
      // The consumer is gone, or its leader is: old servers don't say so.
      this.#void()
      this.#ensureLater()
    }
    this.#shareSoon()
    this.#look(connected, now)
  }

  #look(connected: Connected, now: number): void {
    const { times, report } = this.#host
    const silent = this.#lanes.map(
      ({ asked, deliveredAt }) =>
        asked > 0 && now - Math.max(deliveredAt, this.#startedAt) >= times.stalledMs,
    )
    const looking = this.#watchdog.look(connected, { silent, now, everyMs: times.stalledMs })
    looking?.then(
      (isMadeAnew) => {
        if (!isMadeAnew) return
        this.#suspectAll()
        this.#void()
        this.#ensure()
      },
      (error: unknown) => {
        if (this.#stopping === undefined) report(error)
      },
    )
  }

  #ensureLater(): void {
    if (this.#retry !== undefined || this.#stopping !== undefined) return
    const [least, most] = refusedMs
    const waitMs = Math.min(least * 2 ** this.#refusals++, most)
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#ensure()
    }, waitMs).unref()
  }

  #ensure(): void {
    const connected = this.#connected
    if (connected === undefined || this.#isEnsuring || this.#stopping !== undefined) return
    this.#isEnsuring = true
    this.#host
      .ensure(connected)
      .then(
        () => {
          for (const lane of this.#lanes) lane.usable = true
          this.#shareSoon()
        },
        (error: unknown) => {
          if (this.#stopping !== undefined) return
          this.#host.report(error)
          this.#ensureLater()
        },
      )
      .finally(() => (this.#isEnsuring = false))
  }
}
