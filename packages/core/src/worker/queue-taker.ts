import type { Clock } from '../ports/clock.ts'
import type { Delivery, Queue, Taking } from '../ports/queue.ts'
import { Slots } from './slots.ts'

interface TakerHost {
  readonly clock: Clock
  readonly queue: Queue
  /** @returns How many assignments are in it. */
  delivered(taker: QueueTaker, delivery: Delivery): number
  /** What has not begun is for others: bodies here take longer than it seemed. */
  handBackAhead(taker: QueueTaker): void
}

/** Bodies that take longer on average, in milliseconds, are taken only when there is a slot for them. */
const shortMs = 20
/** How long something may wait ahead while no slot becomes free, in milliseconds, before it is for others. */
const patienceMs = 25

/**
 * Takes from one queue, by credits: as much as there are slots for, and where bodies are short as much again, so that the next
 * ones are here when a slot is free.
 */
export class QueueTaker {
  readonly name: string
  readonly slots: Slots
  readonly #host: TakerHost
  #taking: Taking | undefined
  /** Deliveries that were asked for and have not come. */
  #wanted = 0
  /** Assignments in a delivery, as a moving average. */
  #perDelivery = 1
  /** How long bodies take; as long as that is not known, they may be long. */
  #meanMs = Number.POSITIVE_INFINITY
  #isStopped = false
  #isLooking = false

  constructor(host: TakerHost, name: string, concurrency: number) {
    this.#host = host
    this.name = name
    this.slots = new Slots(host.clock, concurrency, () => this.#wantMore())
  }

  start(): void {
    this.#taking = this.#host.queue.take({ of: 'task', name: this.name }, (delivery) => this.#got(delivery))
    this.#wantMore()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#taking?.stop()
  }

  /** A body has ended that took so long. */
  took(ms: number): void {
    this.#meanMs = this.#meanMs === Number.POSITIVE_INFINITY ? ms : this.#meanMs * 0.9 + ms * 0.1
  }

  #got(delivery: Delivery): void {
    this.#wanted = Math.max(0, this.#wanted - 1)
    if (this.#isStopped) {
      delivery.handBack()
      return
    }
    const count = this.#host.delivered(this, delivery)
    this.#perDelivery = Math.max(1, this.#perDelivery * 0.9 + count * 0.1)
    this.#wantMore()
    this.#look()
  }

  /** Others may have room for what waits here behind a long body. */
  #look(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    const { clock } = this.#host
    const { starts } = this.slots
    clock.at(clock.now() + patienceMs, () => {
      this.#isLooking = false
      if (this.#isStopped || this.slots.waiting === 0) return
      if (this.slots.starts !== starts || this.slots.free > 0) {
        this.#look()
        return
      }
      this.#meanMs = Number.POSITIVE_INFINITY
      this.#host.handBackAhead(this)
    })
  }

  #wantMore(): void {
    if (this.#isStopped || this.#taking === undefined) return
    const { slots } = this
    const ahead = this.#meanMs <= shortMs ? slots.limit : 0
    const room = slots.free + ahead - slots.waiting - this.#wanted * this.#perDelivery
    if (room < 1) return
    const isIdle = this.#wanted === 0 && slots.waiting === 0
    const count = Math.max(Math.floor(room / this.#perDelivery), isIdle ? 1 : 0)
    if (count === 0) return
    this.#wanted += count
    this.#taking.want(count)
  }
}
