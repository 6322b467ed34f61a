import { AckPolicy, jetstream } from '@nats-io/jetstream'
import { flow, memoryJournal, retryAfter, sleep, TroupeError } from '@troupe/core'
import { natsEvents } from '@troupe/nats-transport'
import { afterEach, describe, expect, it } from 'vitest'
import { natsEventsWith } from '../../src/events/nats-events.ts'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import { Place, type Order } from './support.ts'

describe.each(versions)('events of a consumer on the %s server', { timeout: 60_000 }, (version) => {
  const server = useServer({ version })
  const places: Place[] = []

  afterEach(async () => {
    for (const place of places.splice(0)) await place.close()
  })

  async function open(): Promise<Place> {
    const place = await Place.open(server().url)
    places.push(place)
    return place
  }

  it('start flow runs, and are acknowledged', async () => {
    const place = await open()
    await place.makeStream()
    await place.makeConsumer()
    const engine = place.engine()
    const intake = engine.on(natsEvents<Order>(place.from), place.accept())
    for (const id of ['a', 'b', 'c']) await place.publish({ id })
    await until('all have begun', () => place.seen.length === 3)
    await place.untilAcknowledged()
    expect(place.seen).toEqual(['a', 'b', 'c'])
    expect(intake.status).toMatchObject({
      source: `consumer service of stream ${place.stream}`,
      received: 3,
      started: 3,
      dead: 0,
    })
    await intake.drain()
    expect(place.errors).toEqual([])
  })

  it('come from a stream and a consumer that are made where they are not there', async () => {
    const place = await open()
    const engine = place.engine()
    const create = {
      ...place.create,
      filter: `${place.namespace}.orders.new`,
      ackWait: '5s',
      maxAckPending: 7,
      maxDeliver: 9,
      deliver: 'new',
    } as const
    const intake = engine.on(natsEvents<Order>({ ...place.from, create }), place.accept())
    const { config } = await until('the consumer is there', () =>
      place.jsm.consumers.info(place.stream, 'service').catch(() => undefined),
    )
    expect(config).toMatchObject({
      durable_name: 'service',
      filter_subject: `${place.namespace}.orders.new`,
      ack_policy: 'explicit',
      ack_wait: 5e9,
      max_ack_pending: 7,
      max_deliver: 9,
      deliver_policy: 'new',
    })
    const made = await place.jsm.streams.info(place.stream)
    expect(made.config).toMatchObject({ subjects: create.subjects, retention: 'limits', storage: 'file' })
    await place.publish({ id: 'other' })
    await place.publish({ id: 'mine' }, { subject: `${place.namespace}.orders.new` })
    await until('it has begun', () => place.seen.length > 0)
    expect(place.seen).toEqual(['mine'])
    await intake.stop()
    // What is there stays as it is.
    const other = engine.on(
      natsEvents<Order>({ ...place.from, create: { maxAckPending: 1 } }),
      place.accept(),
    )
    await place.publish({ id: 'again' }, { subject: `${place.namespace}.orders.new` })
    await until('it goes on', () => place.seen.length > 1)
    expect((await place.jsm.consumers.info(place.stream, 'service')).config.max_ack_pending).toBe(7)
    await other.stop()
  })

  it('are not taken for good where there is no such consumer, or none that can be taken from', async () => {
    const place = await open()
    const engine = place.engine()
    const isRefused = async (errorCode: string, words: RegExp): Promise<void> => {
      const intake = engine.on(natsEvents<Order>(place.from), place.accept())
      const error = await intake.done.catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TroupeError)
      expect(error).toMatchObject({ code: errorCode, message: expect.stringMatching(words) as string })
      expect(intake.status.state).toBe('failed')
    }
    await isRefused('NO_CONSUMER', /create/)
    await place.makeStream()
    await isRefused('NO_CONSUMER', /service/)
    await place.makeConsumer({ deliver_subject: `${place.namespace}.pushed` })
    await isRefused('TRANSPORT_UNSUPPORTED', /pull consumer/)
    await place.jsm.consumers.delete(place.stream, 'service')
    await place.makeConsumer({ ack_policy: AckPolicy.None })
    await isRefused('TRANSPORT_UNSUPPORTED', /ack_policy/)
  })

  it('of one message id start one flow run; others have a key of their own, also in a stream that is made anew', async () => {
    const place = await open()
    await place.jsm.streams.add({
      name: place.stream,
      subjects: [place.subject],
      // Shorter than the test: the server takes a repeated message.
      duplicate_window: 100_000_000,
    })
    const engine = place.engine()
    const intake = engine.on(natsEvents<Order>({ ...place.from, create: true }), place.accept())
    await place.publish({ id: 'a' }, { id: 'one' })
    await until('it has begun', () => place.seen.length === 1)
    await until('the server takes it again', async () => {
      await place.publish({ id: 'a' }, { id: 'one' })
      return intake.status.duplicates > 0
    })
    await place.publish({ id: 'b' })
    await until('it has begun', () => place.seen.length === 2)
    expect(place.seen).toEqual(['a', 'b'])
    await intake.drain()
    await place.jsm.streams.delete(place.stream)
    const again = engine.on(
      natsEvents<Order>({ ...place.from, create: { subjects: [place.subject] } }),
      place.accept(),
    )
    await until('the stream is there', () =>
      place.jsm.consumers.info(place.stream, 'service').catch(() => undefined),
    )
    for (const id of ['c', 'd', 'e', 'f']) await place.publish({ id })
    await until('all have begun', () => place.seen.length === 6)
    expect(again.status.duplicates).toBe(0)
  })

  it('that are garbage are kept as dead letters, with what they were and why', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    const intake = engine.on(source, place.accept(), {
      parameters: (order) => {
        if (order.id === 'bad') throw new TypeError('größer als\r\nerlaubt: 9 €')
        return [order]
      },
    })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await place.publish({ id: 'a' })
    await place.publish('{"id":', { subject: `${place.namespace}.orders.torn` })
    await place.publish({ id: 'bad' }, { id: 'order-9' })
    await place.publish(Uint8Array.of(0xff, 0xfe, 0x00))
    await place.publish({ id: 'b' })
    const letters = await place.untilKept(3)
    await place.untilAcknowledged()
    expect(place.seen).toEqual(['a', 'b'])
    expect(intake.status).toMatchObject({ received: 5, started: 2, dead: 3 })
    const bySequence = letters.toSorted(
      (a, b) => Number(a.facts['Troupe-Sequence']) - Number(b.facts['Troupe-Sequence']),
    )
    expect(bySequence).toMatchObject([
      {
        subject: `${place.namespace}.dead.accept`,
        body: '{"id":',
        facts: {
          'Troupe-Reason': 'MALFORMED_PAYLOAD',
          'Troupe-Error': `message 2 on ${place.namespace}.orders.torn is no JSON`,
          'Troupe-Intake': 'accept',
          'Troupe-Flow': 'accept',
          'Troupe-Stream': place.stream,
          'Troupe-Subject': `${place.namespace}.orders.torn`,
          'Troupe-Sequence': '2',
          'Troupe-Deliveries': '1',
        },
      },
      {
        body: '{"id":"bad"}',
        facts: {
          'Troupe-Reason': 'TypeError',
          'Troupe-Error': 'gr\\u00f6\\u00dfer als\\r\\nerlaubt: 9 \\u20ac',
          'Troupe-Key': 'order-9',
          'Troupe-Sequence': '3',
        },
      },
      { facts: { 'Troupe-Sequence': '4' } },
    ])
  })

  it('that are garbage to two intakes, each with a consumer of its own, are a dead letter of each', async () => {
    const place = await open()
    const engine = place.engine()
    await place.makeStream()
    const intakes = ['billing', 'shipping'].map((name) =>
      engine.on(natsEvents<Order>({ ...place.from, consumer: name, create: true }), place.accept(), { name }),
    )
    await place.publish('{"id":')
    await until('both have dealt with it', () => intakes.every(({ status }) => status.dead === 1))
    const letters = await place.kept()
    expect(letters.map(({ subject }) => subject).toSorted()).toEqual([
      `${place.namespace}.dead.billing`,
      `${place.namespace}.dead.shipping`,
    ])
  })

  it('that can not be read go where they are told to, when there is a stream that keeps them', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    const intake = engine.on(source, place.accept(), {
      deadLetter: `${place.namespace}.cellar`,
      retryDelay: 100,
    })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await place.publish('garbage')
    await until('it says what is missing', () => /no stream .* keeps/.test(intake.status.trouble ?? ''))
    await place.publish({ id: 'a' })
    await until('its neighbour has begun', () => place.seen.length === 1)
    // Begun is not yet recorded, and only what is recorded is acknowledged.
    await until('only the garbage is held', async () => (await place.unacknowledged()).held === 1)
    await place.jsm.streams.add({
      name: `${place.namespace}_CELLAR`,
      subjects: [`${place.namespace}.cellar`],
    })
    expect(await place.untilKept(1, `${place.namespace}_CELLAR`)).toMatchObject([{ body: 'garbage' }])
    await place.untilAcknowledged()
  })

  it('never go as dead letters to where they came from', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    const intake = engine.on(source, place.accept(), { deadLetter: `${place.namespace}.orders.dead` })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await place.publish('garbage')
    await until('it says so', () => /again and again/.test(intake.status.trouble ?? ''))
    expect((await place.jsm.streams.info(place.stream)).state.messages).toBe(1)
    expect((await place.unacknowledged()).held).toBe(1)
    await intake.stop()
  })

  it('that fill a message are kept in two', async () => {
    const place = await open()
    const engine = place.engine()
    engine.on(natsEvents<Order>({ ...place.from, create: place.create }), place.accept())
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    const body = 'x'.repeat((place.nc.info?.max_payload ?? 0) - 100)
    await place.publish(body)
    const letters = await place.untilKept(2)
    await place.untilAcknowledged()
    expect(letters.map(({ facts }) => facts['Troupe-Part'])).toEqual(['1/2', '2/2'])
    expect(letters.map((letter) => letter.body).join('')).toBe(body)
  })

  it('stay with their taker as long as their flow runs take, where they are acknowledged at the end', async () => {
    const place = await open()
    const engine = place.engine()
    let end: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (end = resolve))
    const source = natsEvents<Order>({ ...place.from, create: { ...place.create, ackWait: '1s' } })
    const intake = engine.on(source, place.accept(gate), { ackWhen: 'finished' })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await place.publish({ id: 'a' })
    await until('it has begun', () => place.seen.length === 1)
    const begun = Date.now()
    await until('thrice the time is over', async () => {
      await place.unacknowledged()
      const passed = Date.now() - begun
      return passed > 3_000
    })
    expect(await place.unacknowledged()).toMatchObject({ held: 1, redelivered: 0 })
    end()
    await place.untilAcknowledged()
    expect(intake.status).toMatchObject({ received: 1, started: 1 })
  })

  it('are never with more takers than there is room for', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    let most = 0
    const intake = engine.on(source, place.accept(), { concurrency: 5, ackWhen: 'finished' })
    intake.statuses.subscribe(({ inFlight, waiting }) => (most = Math.max(most, inFlight + waiting)))
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await Promise.all(Array.from({ length: 200 }, (_, n) => place.publish({ id: `order-${n}` })))
    await until('all have begun', () => place.seen.length === 200)
    await place.untilAcknowledged()
    expect(most).toBe(5)
    expect(intake.status).toMatchObject({ received: 200, started: 200, handedBack: 0 })
  })

  it('go back at once when the engine closes, and to another one that takes from the same consumer', async () => {
    const place = await open()
    const [first, second] = [place.engine({ node: 'first' }), place.engine({ node: 'second' })]
    const source = natsEvents<Order>({ ...place.from, create: { ...place.create, ackWait: '5m' } })
    const forEver = new Promise<void>(() => undefined)
    first.on(source, place.accept(forEver), { ackWhen: 'finished', concurrency: 3 })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    for (const id of ['a', 'b', 'c', 'd']) await place.publish({ id })
    await until('three have begun', () => place.seen.length === 3)
    await first.close()
    expect(await place.unacknowledged()).toMatchObject({ held: expect.any(Number) as number })
    second.on(source, place.accept(), { ackWhen: 'finished' })
    await until('all have begun', () => place.seen.length === 7)
    await place.untilAcknowledged()
  })

  it('are left to others while the intake is paused', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    const [one, two] = ['one', 'two'].map((name) => engine.on(source, place.accept(), { name }))
    await until('it is there', () => place.jsm.consumers.info(place.stream, 'service').catch(() => undefined))
    await place.publish({ id: 'a' })
    await until('it has begun', () => place.seen.length === 1)
    one?.pause()
    for (let n = 0; n < 20; n++) await place.publish({ id: `order-${n}` })
    await until('all have begun', () => place.seen.length === 21)
    await place.untilAcknowledged()
    expect(two?.status.started).toBeGreaterThanOrEqual(20)
    one?.resume()
    two?.pause()
    await place.publish({ id: 'z' })
    await until('it has begun', () => place.seen.length === 22)
  })

  it('come again after the time that is asked for', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    const deliveries: number[] = []
    const intake = engine.on(source, place.accept(), {
      parameters: (order, info) => {
        deliveries.push(info.deliveries)
        if (info.deliveries < 3) throw retryAfter(20)
        return [order]
      },
    })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await place.publish({ id: 'a' })
    await place.untilAcknowledged()
    await until('it has begun', () => place.seen.length === 1)
    expect(deliveries).toEqual([1, 2, 3])
    expect(intake.status).toMatchObject({ handedBack: 2, started: 1 })
  })

  it('that were delivered as often as the consumer allows are dead letters', async () => {
    const place = await open()
    await place.makeStream()
    await place.makeConsumer({ max_deliver: 2, ack_wait: 300_000_000 })
    const engine = place.engine()
    const intake = engine.on(natsEvents<Order>(place.from), place.accept())
    await place.publish({ id: 'a' })
    await until('it takes', () => place.seen.length === 1)
    await place.untilAcknowledged()
    intake.pause()
    // What it has asked for before would be delivered to it, and handed back: one delivery.
    await until('it asks for nothing', async () => {
      const { num_waiting } = await place.jsm.consumers.info(place.stream, 'service')
      return num_waiting === 0
    })
    await place.publish({ id: 'kills' }, { id: 'order-13' })
    // Taken twice by somebody who dies each time.
    const consumer = await jetstream(place.nc).consumers.get(place.stream, 'service')
    for (const count of [1, 2]) {
      const message = await until(
        'it is delivered',
        async () => (await consumer.next({ expires: 1_000 })) ?? undefined,
      )
      expect(message.info.deliveryCount).toBe(count)
    }
    // Only when it would be delivered once more the server notices.
    await consumer.next({ expires: 1_500 })
    intake.resume()
    const [letter] = await place.untilKept(1)
    expect(letter).toMatchObject({
      body: '{"id":"kills"}',
      facts: { 'Troupe-Reason': 'MAX_DELIVERIES', 'Troupe-Key': 'order-13', 'Troupe-Sequence': '2' },
    })
    expect(place.seen).toEqual(['a'])
  })

  it('whose flow run is recorded are no dead letters, though their taker died before the last acknowledgement', async () => {
    const place = await open()
    await place.makeStream()
    await place.makeConsumer({ max_deliver: 1, ack_wait: 300_000_000 })
    const journal = memoryJournal()
    const engine = place.engine({ journal })
    const accept = place.accept()
    // As the one that died left it.
    await engine.run(accept.with({ idempotencyKey: 'accept/order-13' }), { id: 'kills' })
    const consumer = await jetstream(place.nc).consumers.get(place.stream, 'service')
    await place.publish({ id: 'kills' }, { id: 'order-13' })
    await until('it is delivered', async () => (await consumer.next({ expires: 1_000 })) ?? undefined)
    const intake = engine.on(natsEvents<Order>(place.from), accept)
    // Only when it would be delivered once more the server notices.
    await until('it is given up', () => intake.status.received === 1)
    await until('it is dealt with', () => intake.status.duplicates + intake.status.dead === 1)
    expect(intake.status).toMatchObject({ duplicates: 1, dead: 0, started: 0 })
    expect(place.seen).toEqual(['kills'])
    expect(place.errors).toEqual([])
  })

  it('are kept as dead letters where the server knows the letter, and does not have it', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEvents<Order>({ ...place.from, create: place.create })
    const intake = engine.on(source, place.accept())
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    await place.publish('garbage')
    await place.untilKept(1)
    await place.untilAcknowledged()
    // Somebody deleted it; and the same message comes again, from another consumer of that name.
    await place.jsm.streams.deleteMessage(`${place.namespace}_DEAD`, 1)
    await intake.stop()
    await place.jsm.consumers.delete(place.stream, 'service')
    engine.on(source, place.accept())
    const [letter] = await place.untilKept(1)
    expect(letter).toMatchObject({ body: 'garbage', facts: { 'Troupe-Sequence': '1' } })
    await place.untilAcknowledged()
    await place.jsm.consumers.delete(place.stream, 'service')
    await until('it has come once more', async () => {
      const { num_ack_pending, delivered } = await place.jsm.consumers
        .info(place.stream, 'service')
        .catch(() => ({ num_ack_pending: 1, delivered: { stream_seq: 0 } }))
      return num_ack_pending === 0 && delivered.stream_seq === 1
    })
    expect(await place.kept()).toHaveLength(1)
  })

  it('of a consumer that takes new ones are all taken when it is deleted: none is left out, none comes again', async () => {
    const place = await open()
    await place.makeStream()
    await place.publish({ id: 'old' })
    const engine = place.engine()
    const source = natsEventsWith<Order>(
      { ...place.from, create: { deliver: 'new' } },
      { pullMs: 500, lateMs: 300 },
    )
    const intake = engine.on(source, place.accept(), { retryDelay: 50 })
    const isThere = async (): Promise<unknown> =>
      until('the consumer is there', () =>
        place.jsm.consumers.info(place.stream, 'service').catch(() => undefined),
      )
    await isThere()
    await until('it takes', () =>
      place.jsm.consumers.info(place.stream, 'service').then((info) => info.num_waiting > 0),
    )
    // Before it was given any.
    await place.jsm.consumers.delete(place.stream, 'service')
    await place.publish({ id: 'a' })
    await until('it has begun', () => place.seen.length === 1)
    await place.untilAcknowledged()
    for (const id of ['b', 'c']) {
      await place.jsm.consumers.delete(place.stream, 'service')
      await place.publish({ id })
      await place.publish({ id: `${id}2` })
      await until('all have begun', () => place.seen.includes(`${id}2`))
      await place.untilAcknowledged()
    }
    expect(place.seen).toEqual(['a', 'b', 'b2', 'c', 'c2'])
    expect(intake.status).toMatchObject({ started: 5, duplicates: 0 })
    // All that is in a stream that was made anew came in between.
    await place.jsm.streams.delete(place.stream)
    await place.makeStream()
    await place.publish({ id: 'd' })
    await until('it has begun', () => place.seen.length === 6)
    expect(place.seen.at(-1)).toBe('d')
  })

  it('of a consumer that takes new ones come again that were not recorded when it was deleted', async () => {
    const place = await open()
    await place.makeStream()
    const engine = place.engine()
    const source = natsEventsWith<Order>(
      { ...place.from, create: { deliver: 'new' } },
      { pullMs: 500, lateMs: 300 },
    )
    let isReady = false
    const intake = engine.on(source, place.accept(), {
      parameters: (order) => {
        if (order.id === 'later' && !isReady) throw retryAfter('1s')
        return [order]
      },
    })
    await until('it takes', () =>
      place.jsm.consumers
        .info(place.stream, 'service')
        .then((info) => info.num_waiting > 0)
        .catch(() => false),
    )
    await place.publish({ id: 'later' })
    await place.publish({ id: 'a' })
    await until('one was handed back', () => intake.status.handedBack > 0 && place.seen.length === 1)
    await place.jsm.consumers.delete(place.stream, 'service')
    isReady = true
    await until('both have begun', () => place.seen.length === 2)
    expect(place.seen).toEqual(['a', 'later'])
    await place.untilAcknowledged()
  })

  it('are all taken though the server is killed in between, and start nothing twice', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEventsWith<Order>(
      { ...place.from, create: { ...place.create, ackWait: '2s' } },
      { pullMs: 500, lateMs: 300 },
    )
    const accept = flow('accept', async ({ id }: Order) => {
      place.seen.push(id)
      await sleep(20)
      return id
    })
    const intake = engine.on(source, accept, { concurrency: 10 })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    const ids = Array.from({ length: 300 }, (_, n) => `order-${n}`)
    for (let n = 0; n < 300; n += 50)
      await Promise.all(ids.slice(n, n + 50).map((id) => place.publish({ id }, { id })))
    await until('some have begun', () => place.seen.length > 20)
    expect(place.seen.length).toBeLessThan(300)
    await server().kill('SIGKILL')
    await until('it says so', () => intake.status.trouble !== undefined)
    await server().restart()
    await until('all have begun', () => new Set(place.seen).size === 300)
    await place.untilAcknowledged()
    expect(place.seen.toSorted()).toEqual(ids.toSorted())
    await until('it says that it is over', () => intake.status.trouble === undefined)
  })

  it('go on when their consumer is deleted, and start nothing twice', async () => {
    const place = await open()
    const engine = place.engine()
    const source = natsEventsWith<Order>(
      { ...place.from, create: place.create },
      { pullMs: 500, lateMs: 300 },
    )
    const intake = engine.on(source, place.accept(), { concurrency: 10 })
    await until('it is there', () => place.jsm.streams.info(place.stream).catch(() => undefined))
    for (let n = 0; n < 30; n++) await place.publish({ id: `order-${n}` }, { id: `${n}` })
    await until('all have begun', () => place.seen.length === 30)
    await place.untilAcknowledged()
    await place.jsm.consumers.delete(place.stream, 'service')
    await place.publish({ id: 'new' })
    await until('it is made again', () => place.seen.includes('new'))
    await place.untilAcknowledged()
    expect(place.seen).toHaveLength(31)
    expect(intake.status).toMatchObject({ started: 31, duplicates: 30 })
  })
})

describe('what natsEvents can not do', () => {
  it.each([
    ['no stream', { consumer: 'c' }],
    ['a stream with a dot', { stream: 'a.b', consumer: 'c' }],
    ['no consumer', { stream: 's' }],
    ['an unknown option', { stream: 's', consumer: 'c', subject: 'x' }],
    ['a consumer that is made otherwise', { stream: 's', consumer: 'c', create: { push: true } }],
    ['an ack wait of nothing', { stream: 's', consumer: 'c', create: { ackWait: 10 } }],
    ['no subjects', { stream: 's', consumer: 'c', create: { subjects: [] } }],
    ['a decoder that is none', { stream: 's', consumer: 'c', decode: 'json' }],
    ['a namespace that is none', { stream: 's', consumer: 'c', namespace: 'a b' }],
  ])('is refused at once: %s', (_, options) => {
    expect(() => natsEvents(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }) as Error,
    )
  })
})
