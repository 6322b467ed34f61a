/**
 * What is outside: a warehouse, a payment provider, a mail server. Here each is an entry of a key-value bucket in JetStream, with
 * the bad manners of the real ones. All take the id of the order along, and do for one id what they do once: a task that runs
 * again, for its node was killed or an answer was lost, changes nothing.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError, jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'

/** A no that stays a no, however often one asks. */
export class NoUse extends Error {
  override readonly name = 'NoUse'
}

/** So many there are of each thing when the shop opens. */
const supply: Readonly<Record<string, number>> = { kite: 500, lamp: 500, globe: 5 }

export interface Shelf {
  readonly left: number
  /** How many are held for which order; 0 where they were given back, and never will be held again. */
  readonly held: Readonly<Record<string, number>>
}

export interface Payment {
  /** `void`: it was refunded before it was charged, so it never will be. */
  readonly state: 'charged' | 'refunded' | 'void'
}

export interface Mail {
  readonly to: string
  readonly text: string
}

export type World = Awaited<ReturnType<typeof openWorld>>

export async function openWorld(nc: NatsConnection) {
  const kv = await new Kvm(jetstream(nc)).create('world', { history: 10 })

  const stock = {
    reserve: (order: string, item: string, quantity: number) =>
      change<Shelf>(kv, `stock.${item}`, ({ left, held } = { left: supply[item] ?? 0, held: {} }) => {
        // Whoever reserves may be late: a node that was taken for dead, say.
        if (held[order] === 0) throw new NoUse('this order was given up')
        if (order in held) return { left, held }
        if (left < quantity) throw new NoUse(`${item}: sold out`)
        return { left: left - quantity, held: { ...held, [order]: quantity } }
      }),

    release: (order: string, item: string) =>
      change<Shelf>(kv, `stock.${item}`, ({ left, held } = { left: supply[item] ?? 0, held: {} }) => {
        const quantity = held[order] ?? 0
        return { left: left + quantity, held: { ...held, [order]: 0 } }
      }),
  }

  const payments = {
    async charge(order: string, card: string, signal: AbortSignal): Promise<void> {
      await delay(300 + 700 * Math.random(), undefined, { signal })
      if (card === 'declined') throw new NoUse('the card was declined')
      const mood = Math.random()
      if (mood < 0.2) throw new TypeError('503 Service Unavailable')
      if (mood < 0.25) await delay(3_600_000, undefined, { signal }) // no answer
      const { state } = await change<Payment>(kv, `payment.${order}`, (now) => now ?? { state: 'charged' })
      if (state !== 'charged') throw new NoUse('this payment was given up')
      if (mood < 0.3) throw new TypeError('the connection was lost') // and nobody knows whether it was charged
    },

    refund: (order: string) =>
      change<Payment>(kv, `payment.${order}`, (now) => ({
        state: now === undefined || now.state === 'void' ? 'void' : 'refunded',
      })),
  }

  const mail = {
    async send(order: string, to: string, text: string): Promise<void> {
      await delay(200 + 400 * Math.random())
      if (to.startsWith('nobody@')) throw new NoUse('no such mailbox')
      await change<Mail>(kv, `mail.${order}`, (sent) => sent ?? { to, text })
    },
  }

  return { stock, payments, mail }
}

/** Changes one entry. Where somebody else was faster, it begins again with what they left. */
async function change<T>(kv: KV, key: string, make: (now: T | undefined) => T): Promise<T> {
  for (;;) {
    const entry = await kv.get(key)
    const now = entry?.json<T>()
    const next = make(now)
    if (JSON.stringify(next) === JSON.stringify(now)) return next
    try {
      await kv.put(key, JSON.stringify(next), { previousSeq: entry?.revision ?? 0 })
      return next
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === wrongRevision)) throw error
    }
  }
}

const wrongRevision = 10_071
