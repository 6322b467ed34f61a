import { memoryTransport, TroupeError, type Delivery, type MemoryFaults, type QueueName } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { hostOf, twoNodes } from './support.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const main: QueueName = { of: 'task', name: 'main' }
const offerOf = (id: string) => ({ queue: main, priority: 'normal', id, body: text(id) }) as const
const letterOf = (id: string) => ({ flowRunId: 'run', id, body: text(id) })
const claimed = { kind: 'claimed', at: 0, epoch: 1, node: 'a' } as const
const submitted = {
  ...({ kind: 'submitted', at: 0, runKind: 'flow', runId: 'run', parent: -1, parentAttempt: 0 } as const),
  ...({ name: 'f', version: '1', runName: undefined, identity: undefined, to: 'Pending' } as const),
  inputs: text('inputs'),
  tags: undefined,
}

function cluster(faults: MemoryFaults = {}, seed = 1) {
  const transport = memoryTransport({ faults, seed })
  return { transport, ...twoNodes(transport) }
}

type Cluster = ReturnType<typeof cluster>

/** Lets everything happen that happens within so many milliseconds. */
async function pass({ clock, settle }: Cluster, ms: number): Promise<void> {
  await settle(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
}

/** When each delivery of a hundred offers comes, in milliseconds. */
async function deliveries(faults: MemoryFaults, seed = 1) {
  const world = cluster(faults, seed)
  const { a, b, clock, settle } = world
  const start = clock.now()
  const got: { id: string; node: string; ms: number; repeated: boolean }[] = []
  const takenBy = (node: string) => (delivery: Delivery) => {
    got.push({ id: delivery.id, node, ms: clock.now() - start, repeated: delivery.repeated })
    delivery.done()
  }
  a.queue.take(main, takenBy('a')).want(500)
  b.queue.take(main, takenBy('b')).want(500)
  const ids = Array.from({ length: 100 }, (_, index) => `id-${index}`)
  const answers = await settle(Promise.all(ids.map((id) => a.queue.offer(offerOf(id)))))
  await pass(world, 60_000)
  const { count } = await settle(a.queue.pending(main, 1))
  return { got, answers, ids, waiting: count }
}

describe('a memory transport without faults', () => {
  it('takes no time, and brings everything once, in order', async () => {
    const { got, ids, waiting } = await deliveries({})
    expect(got.map(({ id }) => id)).toEqual(ids)
    expect(new Set(got.map(({ ms }) => ms))).toEqual(new Set([0]))
    expect(got.filter(({ node }) => node === 'a')).toHaveLength(50)
    expect(waiting).toBe(0)
  })

  it('answers in a later turn, and leaves nothing that waits', async () => {
    const { a, clock } = cluster()
    let answered = false
    void a.register.put('key', text('value'), 0).then(() => (answered = true))
    await Promise.resolve()
    expect(answered).toBe(false)
    await new Promise((resolve) => setImmediate(resolve))
    expect([answered, clock.waiting]).toEqual([true, 0])
  })

  it('gives each node entries of its own', async () => {
    const { a, b, settle } = cluster()
    const entries = [claimed, submitted]
    await settle(Promise.resolve(a.journal.append({ flowRunId: 'run', expected: 0, epoch: 1, entries })))
    const [mine] = await settle(a.journal.read('run', 2, 1))
    const [theirs] = await settle(b.journal.read('run', 2, 1))
    expect(theirs).toEqual(submitted)
    expect(theirs).not.toBe(mine)
    if (mine?.kind === 'submitted') (mine.inputs as Uint8Array).fill(0)
    expect((await settle(b.journal.read('run', 2, 1)))[0]).toEqual(submitted)
  })

  it('takes an offer again two minutes after it came', async () => {
    const world = cluster()
    const { a, settle } = world
    const taken: string[] = []
    const taking = a.queue.take(main, (delivery) => {
      taken.push(delivery.id)
      delivery.done()
    })
    taking.want(5)
    expect(await settle(a.queue.offer(offerOf('a')))).toBe(true)
    await pass(world, 119_000)
    expect(await settle(a.queue.offer(offerOf('a')))).toBe(false)
    await pass(world, 1_000)
    expect(await settle(a.queue.offer(offerOf('a')))).toBe(true)
    await pass(world, 1)
    expect(taken).toEqual(['a', 'a'])
  })
})

describe('faults of a memory transport', () => {
  it('are the same for the same seed, and others for another', async () => {
    const faults = { lose: 0.2, double: 0.2, delay: 0.4, forget: 0.1 }
    const first = await deliveries(faults, 7)
    expect(await deliveries(faults, 7)).toEqual(first)
    expect(await deliveries(faults, 8)).not.toEqual(first)
  })

  it('lose deliveries, which come again after the lease', async () => {
    const { got, ids, waiting } = await deliveries({ lose: 0.3 })
    expect(new Set(got.map(({ id }) => id))).toEqual(new Set(ids))
    const late = got.filter(({ ms }) => ms > 0)
    expect(late.length).toBeGreaterThan(10)
    expect(late.every(({ ms, repeated }) => ms % 5_000 === 0 && repeated)).toBe(true)
    expect(waiting).toBe(0)
  })

  it('deliver twice, to another taker, too', async () => {
    const { got } = await deliveries({ double: 0.3 })
    const nodes = new Map<string, string[]>()
    for (const { id, node } of got) nodes.set(id, [...(nodes.get(id) ?? []), node])
    const twice = [...nodes.values()].filter((takers) => takers.length === 2)
    expect(nodes.size).toBe(100)
    expect(twice.length).toBeGreaterThan(10)
    expect(twice.some(([one, other]) => one !== other)).toBe(true)
  })

  it('delay deliveries, and so change their order', async () => {
    const { got, ids } = await deliveries({ delay: 0.5, delayMs: 300 })
    expect(got.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    expect(got.map(({ id }) => id)).not.toEqual(ids)
    const latest = Math.max(...got.map(({ ms }) => ms))
    expect([latest > 200, latest <= 300]).toEqual([true, true])
  })

  it('forget offers that were taken, which then are taken again', async () => {
    const { got, answers, waiting } = await deliveries({ forget: 0.3 })
    expect(answers.every(Boolean)).toBe(true)
    expect(got.length).toBeGreaterThan(50)
    expect(got.length).toBeLessThan(90)
    expect(waiting).toBe(0)
    const { a, settle } = cluster({ forget: 1 })
    expect(await settle(a.queue.offer(offerOf('a')))).toBe(true)
    expect(await settle(a.queue.offer(offerOf('a')))).toBe(true)
  })

  it('keep listeners of a mailbox from messages for a while, and tell twice, and never touch what is stored', async () => {
    const told = async (faults: MemoryFaults, ms = 10_000): Promise<string[]> => {
      const world = cluster(faults)
      const { a, b, settle } = world
      const ids: string[] = []
      b.mailbox.subscribe(({ id }) => ids.push(id))
      for (let index = 0; index < 50; index++) await settle(a.mailbox.send(letterOf(`m${index}`)))
      await pass(world, ms)
      expect(await settle(b.mailbox.pending('run'))).toHaveLength(50)
      return ids
    }
    expect(await told({ lose: 1 }, 4_900)).toEqual([])
    expect(await told({ lose: 1 }, 5_100)).toHaveLength(50)
    expect(await told({ double: 1 })).toHaveLength(100)
    const delayed = await told({ delay: 0.5 })
    expect(delayed).toHaveLength(50)
    expect(delayed).not.toEqual(Array.from({ length: 50 }, (_, index) => `m${index}`))
  })

  it('lose questions and answers: whoever asks hears nothing, whether the question came or not', async () => {
    const { a, b, settle } = cluster({ lose: 0.3 })
    let came = 0
    await settle(b.nodes.announce('b'))
    b.nodes.answer('b', async (question) => {
      came++
      return question
    })
    let answered = 0
    for (let index = 0; index < 100; index++)
      if ((await settle(a.nodes.ask('b', text('?'), 100))) !== undefined) answered++
    expect(came).toBeGreaterThan(50)
    expect(came).toBeLessThan(90)
    expect(answered).toBeLessThan(came)
    expect(answered).toBeGreaterThan(30)
  })

  it('lose the answer of an append that was stored, and answer the repeated one in its place', async () => {
    const { a, settle } = cluster({ unanswered: 1 })
    const append = { flowRunId: 'run', expected: 0, epoch: 1, entries: [claimed, submitted] }
    for (let time = 0; time < 2; time++)
      await expect(settle(Promise.resolve(a.journal.append(append)))).rejects.toMatchObject({
        code: 'TRANSPORT_UNAVAILABLE',
      })
    expect(await settle(a.journal.read('run', 1, 10))).toHaveLength(2)
  })

  it('tell twice of a lost node, and later, and always', async () => {
    const world = cluster({ double: 0.5, delay: 0.5, lose: 0.9 })
    const { a, b, clock, settle } = world
    const told: number[] = []
    b.nodes.lost(() => told.push(clock.now()))
    for (let time = 0; time < 50; time++) {
      await settle(a.nodes.announce('a'))
      const before = told.length
      await settle(a.nodes.withdraw('a'))
      await pass(world, 2_000)
      expect(told.length).toBeGreaterThan(before)
    }
    expect(told.length).toBeGreaterThan(60)
  })
})

describe('a node that is cut off', () => {
  it('is lost to the others and told so, after a while, and there again when it is healed', async () => {
    const world = cluster()
    const { transport, a, b, notes, settle } = world
    const lost: string[] = []
    await settle(Promise.all([a.nodes.announce('a'), b.nodes.announce('b')]))
    b.nodes.lost((node) => lost.push(node))
    transport.partition('a')
    await pass(world, 1_400)
    expect([lost, notes.cuts]).toEqual([[], []])
    await pass(world, 200)
    expect(lost).toEqual(['a'])
    expect(notes.cuts).toHaveLength(1)
    expect(TroupeError.is(notes.cuts[0], 'TRANSPORT_UNAVAILABLE')).toBe(true)
    expect(await settle(b.nodes.gone(['a', 'b']))).toEqual(['a'])
    transport.heal('a')
    expect(await settle(b.nodes.gone(['a', 'b']))).toEqual([])
    expect((await settle(a.nodes.list())).map(({ node }) => node).toSorted()).toEqual(['a', 'b'])
  })

  it('is not lost where it is healed in time', async () => {
    const world = cluster()
    const { transport, a, b, notes, settle } = world
    const lost: string[] = []
    await settle(a.nodes.announce('a'))
    b.nodes.lost((node) => lost.push(node))
    for (let time = 0; time < 3; time++) {
      transport.partition('a')
      await pass(world, 1_000)
      transport.heal('a')
      await pass(world, 1_000)
    }
    expect([lost, notes.cuts]).toEqual([[], []])
  })

  it('gets no answers, and what it asked for may be done when it is healed', async () => {
    const world = cluster()
    const { transport, a, b, settle } = world
    transport.partition('a')
    const sent = settle(a.mailbox.send(letterOf('m')))
    await expect(sent).rejects.toMatchObject({ code: 'TRANSPORT_UNAVAILABLE' })
    expect(await settle(b.mailbox.pending('run'))).toEqual([])
    transport.heal('a')
    await pass(world, 1)
    expect(await settle(b.mailbox.pending('run'))).toHaveLength(1)
    await settle(a.mailbox.send(letterOf('n')))
    expect(await settle(a.mailbox.pending('run'))).toHaveLength(2)
  })

  it('hears later of commits, registers and messages, and never of questions', async () => {
    const world = cluster()
    const { transport, a, b, settle } = world
    const told: string[] = []
    a.journal.subscribe((flowRunId) => told.push(`commit ${flowRunId}`))
    a.register.subscribe('', (key) => told.push(`register ${key}`))
    a.mailbox.subscribe(({ id }) => told.push(`message ${id}`))
    await settle(a.nodes.announce('a'))
    a.nodes.answer('a', async (question) => (told.push('question'), question))
    transport.partition('a')
    const entries = [claimed, submitted]
    await settle(Promise.resolve(b.journal.append({ flowRunId: 'run', expected: 0, epoch: 1, entries })))
    await settle(b.register.put('key', text(''), 0))
    await settle(b.mailbox.send(letterOf('m')))
    expect(await settle(b.nodes.ask('a', text('?'), 100))).toBeUndefined()
    expect(told).toEqual([])
    transport.heal('a')
    await pass(world, 1)
    expect(told).toEqual(['commit run', 'register key', 'message m'])
  })

  it('keeps what it took for the time of its lease, and no longer', async () => {
    const world = cluster()
    const { transport, a, b, settle } = world
    for (const id of ['x', 'y']) await settle(a.queue.offer(offerOf(id)))
    const mine: Delivery[] = []
    a.queue.take(main, (delivery) => mine.push(delivery)).want(5)
    await pass(world, 1)
    expect(mine).toHaveLength(2)
    const theirs: Delivery[] = []
    b.queue.take(main, (delivery) => theirs.push(delivery)).want(5)
    transport.partition('a')
    await pass(world, 1_000)
    transport.heal('a')
    await pass(world, 10_000)
    expect(theirs).toEqual([])
    transport.partition('a')
    mine[0]?.done()
    await pass(world, 5_001)
    expect(theirs.map(({ id, repeated }) => [id, repeated])).toEqual([
      ['x', true],
      ['y', true],
    ])
    transport.heal('a')
    // A late word of the one before counts where work is done, and not where it is given back.
    mine[1]?.handBack()
    await pass(world, 1)
    expect((await settle(b.queue.pending(main, 5))).ids).toEqual(['x', 'y'])
    for (const delivery of theirs) delivery.done()
    await pass(world, 1)
    expect((await settle(b.queue.pending(main, 5))).count).toBe(0)
  })

  it('loses what it took when it was lost for the others, though it is healed before the lease is over', async () => {
    const world = cluster()
    const { transport, a, b, settle } = world
    await settle(a.queue.offer(offerOf('x')))
    const mine: Delivery[] = []
    a.queue.take(main, (delivery) => mine.push(delivery)).want(1)
    await pass(world, 1)
    transport.partition('a')
    await pass(world, 2_000)
    transport.heal('a')
    const theirs: Delivery[] = []
    b.queue.take(main, (delivery) => theirs.push(delivery)).want(1)
    await pass(world, 2_000)
    expect(theirs).toEqual([])
    await pass(world, 1_100)
    expect(theirs.map(({ id, repeated }) => [id, repeated])).toEqual([['x', true]])
  })

  it('gives back work of which its word was lost, when its lease is over', async () => {
    const world = cluster()
    const { transport, a, settle } = world
    await settle(a.queue.offer(offerOf('x')))
    const got: Delivery[] = []
    a.queue.take(main, (delivery) => got.push(delivery)).want(2)
    await pass(world, 1)
    transport.partition('a')
    got[0]?.done()
    await pass(world, 100)
    transport.heal('a')
    await pass(world, 5_000)
    expect(got.map(({ id, repeated }) => [id, repeated])).toEqual([
      ['x', false],
      ['x', true],
    ])
  })

  it('takes work again when it is healed, as much as it wanted', async () => {
    const world = cluster()
    const { transport, a, b, settle } = world
    const got: string[] = []
    a.queue.take(main, ({ id }) => got.push(id)).want(2)
    await pass(world, 1)
    transport.partition('a')
    for (const id of ['x', 'y', 'z']) await settle(b.queue.offer(offerOf(id)))
    await pass(world, 100)
    expect(got).toEqual([])
    transport.heal('a')
    await pass(world, 1)
    expect(got).toEqual(['x', 'y'])
  })
})

describe('a node that crashed', () => {
  it('gets no answer any more, not even that it is dead', async () => {
    const world = cluster()
    const { transport, a, b, settle } = world
    const ends: string[] = []
    const note = (what: string) => (): void => void ends.push(what)
    void a.mailbox.send(letterOf('before')).then(note('sent'), note('not sent'))
    transport.crash('a')
    void a.mailbox.pending('run').then(note('read'), note('not read'))
    void a.nodes.ask('b', text('?'), 10).then(note('asked'), note('not asked'))
    void a.close().then(note('closed'), note('not closed'))
    await pass(world, 60_000)
    expect(ends).toEqual(['closed'])
    expect(await settle(b.mailbox.pending('run'))).toEqual([])
  })

  it('leaves its name to another that announces it, and the others hear of that', async () => {
    const world = cluster()
    const { transport, a, b, clock, settle } = world
    await settle(a.nodes.announce('a'))
    const lost: string[] = []
    b.nodes.lost((node) => lost.push(node))
    transport.crash('a')
    const next = transport.open(hostOf('a', clock))
    await settle(next.nodes.announce('a'))
    await pass(world, 1)
    expect(lost).toEqual(['a'])
    await pass(world, 10_000)
    expect(lost).toEqual(['a'])
    expect(await settle(b.nodes.gone(['a']))).toEqual([])
  })
})

describe('memoryTransport', () => {
  it.each<[string, Parameters<typeof memoryTransport>[0]]>([
    ['seeds', { seeds: 1 } as never],
    ['seed', { seed: 1.5 }],
    ['lose', { faults: { lose: 1.1 } }],
    ['delay', { faults: { delay: -0.1 } }],
    ['delayMs', { faults: { delayMs: Number.NaN } }],
    ['losing', { faults: { losing: 1 } as never }],
    ['keep', { keep: -1 }],
  ])('refuses a wrong option and names it: %s', (name, options) => {
    expect(() => memoryTransport(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(`\`${name}\``) }),
    )
  })

  it.each(['partition', 'heal', 'crash'] as const)('refuses to %s a node that is not open', async (what) => {
    const transport = memoryTransport()
    expect(() => transport[what]('a')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    const clock = virtualClock()
    const station = transport.open(hostOf('a', clock))
    transport[what]('a')
    await clock.run(station.close())
    expect(() => transport[what]('a')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })
})
