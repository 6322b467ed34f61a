/** A user who may do what the guide says, and nothing else, can take events. */
import { AckPolicy, jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { createEngine, flow, type Engine } from '@troupe/core'
import { natsEvents, type NatsEventsOptions } from '@troupe/nats-transport'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import type { Order } from './support.ts'

const takes = [
  '$JS.API.CONSUMER.INFO.ORDERS.accept',
  '$JS.API.CONSUMER.MSG.NEXT.ORDERS.accept',
  '$JS.ACK.ORDERS.accept.>',
  'shop.dead.accept',
  '$JS.API.STREAM.INFO.shop_DEAD',
  '$JS.API.STREAM.MSG.GET.shop_DEAD',
]
const creates = [
  '$JS.API.STREAM.CREATE.shop_DEAD',
  '$JS.API.CONSUMER.CREATE.ORDERS.accept',
  '$JS.API.STREAM.INFO.ORDERS',
  '$JS.API.STREAM.CREATE.ORDERS',
]

const user = (name: string, publish: readonly string[]): string =>
  `{ user: ${name}, password: secret, permissions: { publish: ${JSON.stringify(publish)}, subscribe: ["_INBOX_${name}.>"] } }`

const config = `authorization { users: [
  { user: admin, password: secret }
  ${user('taker', takes)}
  ${user('maker', [...takes, ...creates])}
] }`

describe.each(versions)('a user with few permissions on the %s server', (version) => {
  const server = useServer({ version, config })
  let nc: NatsConnection
  let jsm: JetStreamManager
  let engine: Engine
  let errors: unknown[] = []
  let seen: string[] = []

  const accept = flow('accept', ({ id }: Order) => void seen.push(id))

  beforeEach(async () => {
    nc = await connect({ servers: server().url, user: 'admin', pass: 'secret' })
    jsm = await jetstreamManager(nc)
    engine = createEngine()
    errors = []
    seen = []
    engine.errors.subscribe(({ error }) => errors.push(error))
  })

  afterEach(async () => {
    await engine.close()
    for await (const { config: made } of jsm.streams.list()) await jsm.streams.delete(made.name)
    await nc.close()
  })

  function optionsOf(name: string): NatsEventsOptions<Order> {
    return {
      servers: server().url,
      auth: { user: name, password: 'secret' },
      inboxPrefix: `_INBOX_${name}`,
      namespace: 'shop',
      stream: 'ORDERS',
      consumer: 'accept',
    }
  }

  /** @returns How many dead letters are kept when all is taken */
  async function dead(): Promise<number> {
    for (const body of ['{"id":"a"}', 'garbage', '{"id":"b"}'])
      await jetstream(nc).publish('orders.new', body)
    await until('all are taken', () => seen.length === 2)
    await until('all are acknowledged', async () => {
      const { num_ack_pending, num_pending } = await jsm.consumers.info('ORDERS', 'accept')
      return num_ack_pending === 0 && num_pending === 0
    })
    return (await jsm.streams.info('shop_DEAD')).state.messages
  }

  it('takes from what is there', async () => {
    await jsm.streams.add({ name: 'ORDERS', subjects: ['orders.>'] })
    await jsm.streams.add({ name: 'shop_DEAD', subjects: ['shop.dead.*'], duplicate_window: 3_600e9 })
    await jsm.consumers.add('ORDERS', { durable_name: 'accept', ack_policy: AckPolicy.Explicit })
    engine.on(natsEvents(optionsOf('taker')), accept)
    expect(await dead()).toBe(1)
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_EVENT' })])
  })

  it('makes what is not there', async () => {
    engine.on(natsEvents({ ...optionsOf('maker'), create: { subjects: ['orders.>'] } }), accept)
    await until('the consumer is there', () => jsm.consumers.info('ORDERS', 'accept').catch(() => undefined))
    expect(await dead()).toBe(1)
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_EVENT' })])
  })
})
