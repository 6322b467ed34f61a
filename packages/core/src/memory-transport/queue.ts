import { Heap } from '../base/heap.ts'
import type { Delivery, Offer, Queue, QueueName, Taking } from '../ports/queue.ts'
import type { Wire } from './wire.ts'

/** For how long the id of an offer is remembered, in milliseconds. */
const rememberedMs = 120_000

const ranks = { high: 0, normal: 1, low: 2 }

/** An offer that is not done. */
interface Item {
  readonly id: string
  readonly body: Uint8Array
  readonly rank: number
  /** Place in the order of offers. */
  readonly order: number
  /** How often it was delivered; also the number of its newest delivery. */
  deliveries: number
  /** Whose it is; undefined where it waits, also for the end of a delay. */
  holder: Taker | undefined
  /** Whether it can be taken. */
  isReady: boolean
  isOver: boolean
}

interface Taker {
  readonly wire: Wire
  readonly listener: (delivery: Delivery) => void
  /** What it has got: that is its own also when it has stopped. */
  readonly arrived: Set<Item>
  credits: number
  isStopped: boolean
}

/** A delivery on its way. */
interface Coming {
  readonly item: Item
  readonly taker: Taker
  readonly number: number
  readonly repeated: boolean
}

class OneQueue {
  readonly items = new Map<string, Item>()
  readonly ready = new Heap<Item>((a, b) => a.rank < b.rank || (a.rank === b.rank && a.order < b.order))
  /** In the order in which they are served. */
  takers: Taker[] = []
  /** When offers came, oldest first. */
  readonly seen = new Map<string, number>()
}

/** All queues. What is delivered is held until it is done, handed back, or its taker has been gone for the time of a lease. */
export class Queues {
  readonly #queues = new Map<string, OneQueue>()
  #order = 0

  /** What one node has of them. */
  at(wire: Wire): Queue {
    return {
      offer: (given) => {
        const offer = { ...given, body: given.body.slice() }
        return wire.call(() => this.#offer(wire, offer))
      },
      take: (name, listener) => this.#take(wire, this.#queue(name), listener),
      withdraw: (name, id) =>
        wire.call(() => {
          const queue = this.#queue(name)
          const item = queue.items.get(id)
          if (item !== undefined && item.holder === undefined) over(queue, item)
        }),
      pending: (name, limit) =>
        wire.call(() => {
          const { items } = this.#queue(name)
          return { ids: [...items.keys()].slice(0, limit), count: items.size }
        }),
    }
  }

  /** A node is gone: what it holds goes to others, now or after its lease. */
  leave(wire: Wire, leaseMs: number): void {
    for (const queue of this.#queues.values()) {
      queue.takers = queue.takers.filter((taker) => taker.wire !== wire)
      this.#expire(queue, { wire, leaseMs, isBack: () => false })
    }
  }

  /** A node was cut off: it keeps what it holds for as long as its lease. */
  cut(wire: Wire, leaseMs: number): void {
    const { cuts } = wire
    const isBack = (): boolean => wire.state === 'up' || wire.cuts !== cuts
    for (const queue of this.#queues.values()) this.#expire(queue, { wire, leaseMs, isBack })
  }

  /** It was cut off for so long that it had to let go of what it held. */
  lost(wire: Wire, leaseMs: number): void {
    for (const queue of this.#queues.values()) this.#expire(queue, { wire, leaseMs, isBack: () => false })
  }

  /** A node that was cut off is back: what it still wants is there for it. */
  heal(wire: Wire): void {
    for (const queue of this.#queues.values())
      if (queue.takers.some((taker) => taker.wire === wire)) this.#serve(queue)
  }

  #expire(
    queue: OneQueue,
    { wire, leaseMs, isBack }: { wire: Wire; leaseMs: number; isBack: () => boolean },
  ): void {
    for (const item of queue.items.values()) {
      if (item.holder?.wire !== wire) continue
      const { deliveries } = item
      const expire = (): void => {
        if (!isBack() && item.deliveries === deliveries && item.holder?.wire === wire) this.#back(queue, item)
      }
      if (leaseMs === 0) expire()
      else wire.world.after(leaseMs, expire)
    }
  }

  #queue({ of, name }: QueueName): OneQueue {
    const key = `${of} ${name}`
    let queue = this.#queues.get(key)
    if (queue === undefined) this.#queues.set(key, (queue = new OneQueue()))
    return queue
  }

  #offer({ world }: Wire, { queue: name, priority, id, body }: Offer): boolean {
    const queue = this.#queue(name)
    const { items, seen } = queue
    const now = world.now()
    for (const [old, at] of seen) {
      if (now - at < rememberedMs) break
      seen.delete(old)
    }
    if (items.has(id) || seen.has(id)) return false
    if (world.happens(world.settings.faults.forget)) return true
    seen.set(id, now)
    const item: Item = {
      id,
      body,
      rank: ranks[priority],
      order: ++this.#order,
      deliveries: 0,
      holder: undefined,
      isReady: false,
      isOver: false,
    }
    items.set(id, item)
    this.#back(queue, item)
    return true
  }

  /** It can be taken, for the first time or again. */
  #back(queue: OneQueue, item: Item): void {
    if (item.isOver || item.isReady) return
    item.holder = undefined
    item.isReady = true
    queue.ready.push(item)
    this.#serve(queue)
  }

  #serve(queue: OneQueue): void {
    for (;;) {
      while (queue.ready.peek()?.isOver === true) queue.ready.pop()
      if (queue.ready.size === 0) return
      const index = queue.takers.findIndex(({ credits, wire }) => credits > 0 && wire.state === 'up')
      const [taker] = index === -1 ? [] : queue.takers.splice(index, 1)
      if (taker === undefined) return
      queue.takers.push(taker)
      const item = queue.ready.pop()
      if (item !== undefined) this.#deliver(queue, item, taker)
    }
  }

  #deliver(queue: OneQueue, item: Item, taker: Taker): void {
    const { world } = taker.wire
    const { faults, leaseMs } = world.settings
    item.isReady = false
    item.holder = taker
    taker.credits--
    const number = ++item.deliveries
    const lost = (): void => {
      world.after(leaseMs, () => {
        taker.credits++
        if (item.deliveries === number) this.#back(queue, item)
        else this.#serve(queue)
      })
    }
    if (world.happens(faults.lose)) {
      lost()
      return
    }
    const other = world.happens(faults.double) ? queue.takers[world.choose(queue.takers.length)] : undefined
    if (other === undefined || other.credits === 0) {
      taker.wire.downLate(() => this.#arrive(queue, { item, taker, number, repeated: number > 1 }), lost)
      return
    }
    // The one that is not marked comes first.
    other.credits--
    taker.wire.down(() => this.#arrive(queue, { item, taker, number, repeated: number > 1 }), lost)
    const again = (): void => this.#arrive(queue, { item, taker: other, number, repeated: true })
    other.wire.downLate(again, () => void other.credits++)
  }

  #arrive(queue: OneQueue, coming: Coming): void {
    const { item, taker } = coming
    if (taker.wire.state === 'closed') return
    const delivery = this.#delivery(queue, coming)
    if (taker.isStopped) {
      delivery.handBack()
      return
    }
    taker.arrived.add(item)
    taker.listener(delivery)
  }

  #delivery(queue: OneQueue, { item, taker, number, repeated }: Coming): Delivery {
    let isOver = false
    const { world } = taker.wire
    // Nobody keeps it any more.
    const expire = (): void => (item.deliveries === number ? this.#back(queue, item) : undefined)
    const once = (fn: () => void): void => {
      if (!isOver) taker.wire.up(fn, () => void world.after(world.settings.leaseMs, expire))
      isOver = true
      taker.arrived.delete(item)
    }
    const handBack = (delayMs: number): void => {
      // It may be another's by now.
      if (item.deliveries !== number || item.holder !== taker || item.isOver) return
      item.holder = undefined
      const back = (): void => (item.deliveries === number ? this.#back(queue, item) : undefined)
      if (delayMs > 0) world.after(delayMs, back)
      else back()
    }
    return {
      id: item.id,
      body: item.body.slice(),
      repeated,
      done: () => once(() => over(queue, item)),
      handBack: (delayMs = 0) => once(() => handBack(delayMs)),
    }
  }

  #take(wire: Wire, queue: OneQueue, listener: (delivery: Delivery) => void): Taking {
    const taker: Taker = { wire, listener, arrived: new Set(), credits: 0, isStopped: false }
    const leave = (): void => {
      queue.takers = queue.takers.filter((one) => one !== taker)
      for (const item of queue.items.values())
        if (item.holder === taker && !taker.arrived.has(item)) this.#back(queue, item)
    }
    let stopped: Promise<void> | undefined
    return {
      want: (count) => {
        const wants = (): void => {
          if (taker.isStopped || wire.state === 'closed') return
          taker.credits += count
          if (!queue.takers.includes(taker)) queue.takers.push(taker)
          this.#serve(queue)
        }
        wire.up(wants, 'waits')
      },
      stop: () => {
        taker.isStopped = true
        stopped ??= new Promise((resolve) => {
          const end = (): void => {
            leave()
            resolve()
          }
          // Cut off, it gets nothing anyway.
          if (wire.state === 'up') wire.up(end, 'waits')
          else end()
        })
        return stopped
      },
    }
  }
}

function over(queue: OneQueue, item: Item): void {
  item.isOver = true
  if (queue.items.get(item.id) === item) queue.items.delete(item.id)
}
