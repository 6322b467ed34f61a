/** What becomes of events that were delivered too often, or for the last time. */
import { flow, JournalError, type DeadLetter, type EventDelivery, type EventTaker } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, quiet, testEngine } from '../behaviour/support.ts'
import { ClusterOfTest } from '../cluster/nodes.ts'
import { MemorySource } from './memory-source.ts'
import { errorsOf, keptJournal, numbers, runsOf, takes, waitOn } from './support.ts'

interface Order {
  readonly id: string
}

/** A delivery that notes what is said of it. */
function noted(
  event: Order,
  init: Partial<EventDelivery<Order>> = {},
): EventDelivery<Order> & { said: string[] } {
  const said: string[] = []
  return {
    said,
    key: event.id,
    deliveries: 1,
    read: () => event,
    done: () => void said.push('done'),
    handBack: (delayMs = 0) => void said.push(`handBack ${delayMs}`),
    keepAlive: () => void said.push('keepAlive'),
    reject: async (letter: DeadLetter) =>
      void said.push(`reject ${(letter.error as { code?: string }).code}`),
    ...init,
  }
}

function takerOf(source: MemorySource<Order>): EventTaker<Order> {
  const [tap] = source.taps
  if (tap === undefined) throw new TypeError('nobody takes')
  return tap.taker
}

const refusal = new JournalError('MAX_DELIVERIES', 'it was delivered twice')
const key = ({ id }: Order): string => `key of ${id}`

describe('an event whose flow run was recorded by a taker that died', () => {
  it.each([
    ['that was delivered once more than is allowed', { maxDeliveries: 3 }, { deliveries: 4 }],
    ['that its source has given up', {}, { deliveries: 2, isLast: true, refusal }],
  ])('is no dead letter: one %s', async (_, options, delivered) => {
    const engine = testEngine({ journal: keptJournal() })
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>(), { key, ...options })
    source.add({ id: 'a' })
    await quiet()
    const again = noted({ id: 'a' }, delivered)
    const other = noted({ id: 'b' }, delivered)
    takerOf(source).deliver(again)
    takerOf(source).deliver(other)
    await quiet()
    expect(again.said).toEqual(['done'])
    expect(other.said).toEqual([`reject ${'refusal' in delivered ? 'MAX_DELIVERIES' : 'BAD_EVENT'}`])
    expect(intake.status).toMatchObject({ started: 1, duplicates: 1, dead: 1 })
    await engine.close()
  })

  it('is waited for where its flow run still goes on, and the event is done when that has ended', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>(60_000), { ackWhen: 'finished', concurrency: 2 })
    source.add({ id: 'a' }, 'a')
    await quiet()
    const again = noted({ id: 'a' }, { refusal, isLast: true })
    takerOf(source).deliver(again)
    await quiet()
    expect(intake.status).toMatchObject({ inFlight: 2, duplicates: 1 })
    expect(again.said).toEqual([])
    await engine.settle(waitOn(engine.clock, 61_000))
    expect(again.said).toEqual(['done'])
    await engine.close()
  })

  it('is found also on a node that does not run its flow', async () => {
    await using cluster = new ClusterOfTest()
    const server = cluster.start('server', { serve: { flows: [flow('welcome', ({ id }: Order) => id)] } })
    const client = cluster.start('client')
    await cluster.settle(server.announced())
    const source = new MemorySource<Order>({ clock: cluster.clock })
    const intake = client.on(source, 'welcome', { key: (order) => (order.id === '' ? undefined : order.id) })
    client.errors.subscribe()
    source.add({ id: 'a' })
    await quiet(50)
    const [again, other, nameless] = ['a', 'b', ''].map((id) => noted({ id }, { refusal, key: undefined }))
    for (const each of [again, other, nameless]) if (each !== undefined) takerOf(source).deliver(each)
    await quiet(50)
    expect(again?.said).toEqual(['done'])
    expect([other?.said, nameless?.said]).toEqual([['reject MAX_DELIVERIES'], ['reject MAX_DELIVERIES']])
    expect(intake.status).toMatchObject({ started: 1, duplicates: 1, dead: 2 })
  })

  it('is a dead letter where its key started another one', async () => {
    const engine = testEngine({ journal: keptJournal() })
    const errors = errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock })
    engine.on(source, takes<Order>(), { key: () => 'the same' })
    source.add({ id: 'a' })
    await quiet()
    const other = noted({ id: 'b' }, { refusal })
    takerOf(source).deliver(other)
    await quiet()
    expect(other.said).toEqual(['reject IDEMPOTENCY_CONFLICT'])
    expect(errors).toHaveLength(1)
    await engine.close()
  })
})

describe('an event that was delivered too often', () => {
  it('is read once more, then never again', async () => {
    const engine = testEngine()
    const letters: DeadLetter<Order>[] = []
    const source = new MemorySource<Order>({ clock: engine.clock })
    engine.on(source, takes<Order>(), { maxDeliveries: 3, key, deadLetter: (letter) => letters.push(letter) })
    let reads = 0
    for (const deliveries of [4, 5, 6]) {
      const read = (): Order => {
        reads++
        return { id: 'a' }
      }
      takerOf(source).deliver(noted({ id: 'a' }, { deliveries, read }))
      await quiet()
    }
    expect(reads).toBe(1)
    expect(letters).toMatchObject([
      { event: { id: 'a' }, key: 'key of a', error: code('BAD_EVENT', /delivered 4 times/) },
      { event: undefined, key: 'a', error: code('BAD_EVENT', /delivered 5 times/) },
      { event: undefined, key: 'a', error: code('BAD_EVENT', /delivered 6 times/) },
    ])
    await engine.close()
  })

  it('is a dead letter for that, also where it can not be read', async () => {
    const engine = testEngine()
    const letters: DeadLetter<Order>[] = []
    const source = new MemorySource<Order>({ clock: engine.clock })
    engine.on(source, takes<Order>(), { maxDeliveries: 1, deadLetter: (letter) => letters.push(letter) })
    const garbage = new SyntaxError('garbage')
    const read = (): never => {
      throw garbage
    }
    takerOf(source).deliver(noted({ id: 'a' }, { deliveries: 2, read }))
    await quiet()
    expect(letters).toMatchObject([{ event: undefined, error: { code: 'BAD_EVENT', cause: garbage } }])
    await engine.close()
  })

  it('is not asked of the schema: it starts nothing', async () => {
    const engine = testEngine()
    const letters: DeadLetter<Order>[] = []
    const source = new MemorySource<Order>({ clock: engine.clock })
    const accept = flow({ name: 'accept', parameters: numbers }, (n: number) => n)
    engine.on(source, accept, {
      maxDeliveries: 1,
      parameters: ({ id }) => [id as never],
      deadLetter: (letter) => letters.push(letter),
    })
    takerOf(source).deliver(noted({ id: 'a' }, { deliveries: 2 }))
    await quiet()
    expect(letters).toMatchObject([{ error: code('BAD_EVENT', /delivered 2 times/) }])
    await engine.close()
  })
})

describe('an event that is delivered for the last time', () => {
  it('waits, kept alive, while the intake is paused', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock, keepAliveMs: 10_000 })
    const intake = engine.on(source, takes<Order>())
    intake.pause()
    const last = noted({ id: 'a' }, { isLast: true })
    takerOf(source).deliver(last)
    await engine.settle(waitOn(engine.clock, 25_000))
    expect(last.said).toEqual(['keepAlive', 'keepAlive'])
    expect(intake.status).toMatchObject({ waiting: 1, handedBack: 0 })
    intake.resume()
    await quiet()
    expect(last.said.at(-1)).toBe('done')
    expect(intake.status).toMatchObject({ waiting: 0, started: 1, handedBack: 0 })
    await engine.close()
  })

  it('waits for room where there is none', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>(60_000), { concurrency: 1 })
    const [first, last] = ['a', 'b'].map((id) => noted({ id }, { isLast: true }))
    for (const each of [first, last]) if (each !== undefined) takerOf(source).deliver(each)
    await quiet()
    expect([first?.said, last?.said]).toEqual([['done'], []])
    await engine.settle(waitOn(engine.clock, 61_000))
    expect(last?.said).toEqual(['done'])
    expect(intake.status).toMatchObject({ started: 2, handedBack: 0 })
    await engine.close()
  })

  it('is started when the intake stops, where the journal is durable', async () => {
    const journal = keptJournal()
    const engine = testEngine({ journal })
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>())
    intake.pause()
    const last = noted({ id: 'a' }, { isLast: true })
    takerOf(source).deliver(last)
    await engine.settle(intake.stop())
    expect(last.said).toEqual(['done'])
    expect(await runsOf(journal)).toHaveLength(1)
    await engine.close()
  })

  it.each([
    ['in the place of its source', false],
    ['told to the function that is there for it', true],
  ])('is a dead letter when the intake stops and can not start it: %s', async (_, isFunction) => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock })
    const letters: DeadLetter<Order>[] = []
    const intake = engine.on(source, takes<Order>(), {
      ...(isFunction ? { deadLetter: (letter: DeadLetter<Order>) => letters.push(letter) } : undefined),
    })
    intake.pause()
    const last = noted({ id: 'a' }, { isLast: true })
    takerOf(source).deliver(last)
    const orders: string[] = source.log
    await engine.settle(intake.stop())
    expect(orders).toEqual(['stopped', 'closed'])
    expect(last.said).toEqual([isFunction ? 'done' : 'reject INTAKE_STOPPED'])
    expect(letters).toMatchObject(isFunction ? [{ event: { id: 'a' }, error: code('INTAKE_STOPPED') }] : [])
    expect(errors.map(({ error }) => error)).toEqual(isFunction ? [] : [code('BAD_EVENT')])
    await engine.close()
  })

  it('is kept as a dead letter before the source is let go of', async () => {
    const engine = testEngine()
    errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>())
    intake.pause()
    let wasOpen: boolean | undefined
    const reject = async (): Promise<void> => {
      await waitOn(engine.clock, 100)
      wasOpen = !source.log.includes('closed')
    }
    takerOf(source).deliver(noted({ id: 'a' }, { isLast: true, reject }))
    await engine.settle(intake.stop())
    expect(wasOpen).toBe(true)
    await engine.close()
  })

  it('keeps nobody from closing, where its place does not answer', async () => {
    const engine = testEngine()
    errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>())
    intake.pause()
    const reject = (): Promise<void> => new Promise(() => undefined)
    takerOf(source).deliver(noted({ id: 'a' }, { isLast: true, reject }))
    const from = engine.clock.monotonic()
    await engine.settle(intake.stop())
    expect(engine.clock.monotonic() - from).toBe(10_000)
    expect(source.log).toEqual(['stopped', 'closed'])
    await engine.close()
  })
})
