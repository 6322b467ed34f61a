import { flow, memoryJournal, sleep, task, type DeadLetter, type IntakeStatus } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { Observable, Subject } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { all, code, deferred, quiet, testEngine } from '../behaviour/support.ts'
import { MemorySource } from './memory-source.ts'
import { errorsOf, journalWith, keptJournal, runsOf, takes, waitOn } from './support.ts'

interface Order {
  readonly id: string
  readonly count: number
}

const order = (n: number): Order => ({ id: `order-${n}`, count: n })
const orders = (count: number): Order[] => Array.from({ length: count }, (_, n) => order(n))

describe('an intake', () => {
  it('starts a flow run for each event of a source, with the event as its argument', async () => {
    const engine = testEngine()
    const seen: Order[] = []
    const accept = flow('accept', (event: Order) => void seen.push(event))
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(3))
    source.end()
    const intake = engine.on(source, accept)
    await engine.settle(intake.done)
    expect(seen).toEqual(orders(3))
    expect(source.count('done')).toBe(3)
    expect(intake.status).toMatchObject({
      name: 'accept',
      flow: 'accept',
      state: 'completed',
      received: 3,
      started: 3,
      duplicates: 0,
      dead: 0,
      inFlight: 0,
      waiting: 0,
    })
    await engine.close()
  })

  it('makes arguments, keys and tags of events', async () => {
    const engine = testEngine()
    const accept = flow({ name: 'accept', tags: ['flow'] }, (id: string, count: number) => `${id} ${count}`)
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(2))
    source.end()
    const intake = engine.on(source, accept, {
      name: 'shop',
      parameters: async ({ id, count }) => [id, count],
      key: ({ id }) => id,
      tags: ({ count }) => [`count-${count}`, 'flow'],
    })
    await engine.settle(intake.done)
    const twice = engine.run(accept.with({ idempotencyKey: 'shop/order-1' }), 'order-1', 1)
    expect(await engine.settle(twice)).toBe('order-1 1')
    const runs = await runsOf(engine.journal)
    expect(runs.map(({ tags, flowRunId }) => [tags, flowRunId === twice.id])).toEqual([
      [['flow', 'count-0'], false],
      [['flow', 'count-1'], true],
    ])
    await engine.close()
  })

  it('starts one flow run for the events of one key, also when the first has long ended', async () => {
    const engine = testEngine()
    const begun: string[] = []
    const accept = flow('accept', async ({ id }: Order) => {
      begun.push(id)
      await sleep('1s')
    })
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, accept)
    source.add(order(1), 'one')
    source.add(order(1), 'one')
    await engine.settle(waitOn(engine.clock, 5_000))
    source.add(order(1), 'one')
    source.end()
    await engine.settle(intake.done)
    expect(begun).toEqual(['order-1'])
    expect(intake.status).toMatchObject({ started: 1, duplicates: 2, dead: 0 })
    expect(source.count('done')).toBe(3)
    await engine.close()
  })

  it('knows the flow runs of a process before it', async () => {
    const journal = keptJournal()
    const first = testEngine({ journal })
    const accept = takes<Order>(3600000, 'accept-before')
    const source = new MemorySource<Order>({ clock: first.clock })
    const before = first.on(source, accept)
    source.addAll(orders(3), ({ id }) => id)
    await quiet()
    expect(before.status).toMatchObject({ started: 3, inFlight: 3 })
    await first.close()
    expect(source.count('done')).toBe(3)

    const second = testEngine({ journal, recover: true })
    const after = second.on(source, accept)
    source.addAll(orders(4), ({ id }) => id)
    source.end()
    await second.settle(after.done)
    expect(after.status).toMatchObject({ started: 1, duplicates: 3 })
    expect((await runsOf(journal)).map(({ state }) => state)).toEqual(Array(4).fill('Completed'))
    await second.close()
  })

  it('starts one flow run where two processes take the same event at the same moment', async () => {
    const clock = virtualClock()
    const journal = keptJournal()
    const accept = takes<Order>(1_000, 'accept-both')
    const taken = [1, 2].map((seed) => {
      const engine = testEngine({ journal, clock, seed, node: `node-${seed}` })
      const source = new MemorySource<Order>({ clock }).addAll(orders(10), ({ id }) => id)
      source.end()
      return { engine, intake: engine.on(source, accept, { ackWhen: 'finished' }) }
    })
    for (const { intake } of taken) await clock.run(intake.done)
    const sum = (of: 'started' | 'duplicates'): number =>
      taken.reduce((all, { intake }) => all + intake.status[of], 0)
    expect([sum('started'), sum('duplicates')]).toEqual([10, 10])
    expect((await runsOf(journal)).map(({ state }) => state)).toEqual(Array(10).fill('Completed'))
    for (const { engine } of taken) await engine.close()
  })

  it('is done with an event whose flow run has ended elsewhere, though its value can not be read here', async () => {
    const clock = virtualClock()
    const memory = keptJournal()
    const accept = takes<Order>(1_000, 'accept-unread')
    const owner = testEngine({ journal: memory, clock, node: 'owner' })
    const first = new MemorySource<Order>({ clock }).addAll(orders(1), ({ id }) => id)
    owner.on(first, accept)
    await quiet()
    const garbled = journalWith(memory, {
      read: async (...args) =>
        (await memory.read(...args)).map((entry) =>
          entry.kind === 'transition' && entry.outcome !== undefined
            ? { ...entry, outcome: { value: Uint8Array.of(0xc1) } }
            : entry,
        ),
    })
    const engine = testEngine({ journal: garbled, clock, node: 'other', seed: 2 })
    const source = new MemorySource<Order>({ clock }).addAll(orders(1), ({ id }) => id)
    source.end()
    const intake = engine.on(source, accept, { ackWhen: 'finished' })
    await clock.run(waitOn(clock, 60_000))
    expect(intake.status).toMatchObject({ state: 'completed', duplicates: 1, trouble: undefined })
    for (const each of [owner, engine]) await each.close()
  })

  it('starts a flow run for each delivery of an event that has no key', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll([order(1), order(1)])
    source.end()
    const intake = engine.on(source, takes<Order>())
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 2, duplicates: 0 })
    await engine.close()
  })

  it('never has more flow runs that have not ended than `concurrency` allows, and asks for no more events', async () => {
    const engine = testEngine()
    let [live, most] = [0, 0]
    const accept = flow('accept', async ({ count }: Order) => {
      most = Math.max(most, ++live)
      await sleep((count * 7) % 40)
      live--
    })
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(50))
    source.end()
    await engine.settle(engine.on(source, accept, { concurrency: 4 }).done)
    expect(most).toBe(4)
    expect(source.mostHeld).toBeLessThanOrEqual(4)
    await engine.close()
  })

  it('acknowledges an event only when the journal has its flow run', async () => {
    const gate = deferred()
    const memory = keptJournal()
    const journal = journalWith(memory, {
      append: async (append) => {
        await gate.promise
        return memory.append(append)
      },
    })
    const engine = testEngine({ journal })
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(2), ({ id }) => id)
    const intake = engine.on(source, takes<Order>())
    await quiet()
    expect(source.log).toEqual([])
    expect(intake.status).toMatchObject({ received: 2, started: 0, waiting: 2, inFlight: 0 })
    gate.resolve()
    await quiet()
    expect(source.log).toEqual(['done 0', 'done 1'])
    await engine.close()
  })

  it('acknowledges an event when its flow run has ended, where it is told so, whichever way that ends', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const accept = flow('accept', async ({ count }: Order) => {
      await sleep('1s')
      if (count === 1) throw new RangeError('one is too few')
    })
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(2), ({ id }) => id)
    const intake = engine.on(source, accept, { ackWhen: 'finished' })
    await quiet()
    expect(intake.status).toMatchObject({ started: 2, inFlight: 2 })
    expect(source.log).toEqual([])
    engine.clock.advance(1_000)
    await quiet()
    expect(source.log).toEqual(['done 0', 'done 1'])
    expect(errors).toEqual([expect.objectContaining({ error: new RangeError('one is too few') })])
    await engine.close()
  })

  it('acknowledges a repeated event of a flow run that goes on only when that has ended, where it is told so', async () => {
    const engine = testEngine()
    const accept = takes<Order>(1000)
    const source = new MemorySource<Order>({ clock: engine.clock })
    engine.on(source, accept, { ackWhen: 'finished' })
    source.add(order(1), 'one')
    source.add(order(1), 'one')
    await quiet()
    expect(source.log).toEqual([])
    engine.clock.advance(1_000)
    await quiet()
    expect(source.log).toEqual(['done 0', 'done 1'])
    await engine.close()
  })

  it('keeps alive what it holds, and only that', async () => {
    const engine = testEngine()
    const accept = takes<Order>(25000)
    const source = new MemorySource<Order>({ clock: engine.clock, keepAliveMs: 10_000 })
    const intake = engine.on(source, accept, { ackWhen: 'finished' })
    source.add(order(0), 'zero')
    await engine.settle(waitOn(engine.clock, 30_000))
    expect(source.log).toEqual(['keepAlive 0', 'keepAlive 0', 'done 0'])
    await engine.settle(intake.stop())
    expect(engine.clock.waiting).toBe(0)
    await engine.close()
  })

  it('shows its status, at once and when it has changed', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>())
    const statuses: IntakeStatus[] = []
    intake.statuses.subscribe({
      next: (status) => statuses.push(status),
      complete: () => statuses.push(intake.status),
    })
    expect(statuses).toHaveLength(1)
    source.addAll(orders(2))
    await quiet()
    expect(engine.health().intakes).toEqual([intake.status])
    source.end()
    await engine.settle(intake.done)
    expect(statuses.at(-2)).toEqual(statuses.at(-1))
    expect(statuses.map(({ state }) => state)).toContain('running')
    expect(statuses.at(-1)).toMatchObject({ state: 'completed', started: 2 })
    expect(engine.health().intakes).toEqual([])
    await engine.close()
  })
})

describe('a source without acknowledgements', () => {
  it('that is an async iterable is pulled only for flow runs that may begin', async () => {
    const engine = testEngine()
    let given = 0
    const events = async function* (): AsyncGenerator<number> {
      while (given < 100) yield given++
    }
    const gates: (() => void)[] = []
    const accept = flow('accept', async (n: number) => {
      await new Promise<void>((resolve) => gates.push(resolve))
      return n
    })
    const intake = engine.on(events(), accept, { concurrency: 3 })
    await quiet()
    expect(given).toBe(3)
    gates.shift()?.()
    await quiet()
    expect(given).toBe(4)
    for (const gate of gates) gate()
    await engine.settle(intake.stop())
    await engine.close()
  })

  it('that is both an Observable and an async iterable is pulled', async () => {
    const engine = testEngine()
    const step = task('step', (n: number) => n)
    const first = flow('first', () => step.map([1, 2, 3]))
    const run = engine.run(first)
    await engine.settle(run)
    const seen: string[] = []
    const second = flow('second', (seq: number, name: string) => seq * seen.push(name))
    const intake = engine.on(engine.watch({ flowRunId: run.id }), second, {
      concurrency: 1,
      parameters: ({ seq, to }) => [seq, to.name],
    })
    await engine.settle(intake.done)
    const transitions = await all(run.transitions)
    expect(transitions).toHaveLength(12)
    expect(seen).toEqual(transitions.map(({ to }) => to.name))
    await engine.close()
  })

  it('that is an Observable waits in a bounded buffer, and what does not fit is a dead letter', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    const gates: (() => void)[] = []
    const letters: DeadLetter<number>[] = []
    const accept = flow('accept', async (n: number) => {
      await new Promise<void>((resolve) => gates.push(resolve))
      return n
    })
    const intake = engine.on(events, accept, {
      concurrency: 2,
      buffer: 3,
      deadLetter: (letter) => letters.push(letter),
    })
    for (let n = 0; n < 7; n++) events.next(n)
    await quiet()
    expect(intake.status).toMatchObject({ received: 7, started: 2, waiting: 3, dead: 2 })
    expect(letters.map(({ event, error }) => [event, error])).toEqual([
      [5, code('BUFFER_FULL')],
      [6, code('BUFFER_FULL')],
    ])
    while (intake.status.started < 5) {
      gates.shift()?.()
      await quiet()
    }
    events.complete()
    for (const gate of gates) gate()
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ received: 7, started: 5, dead: 2, waiting: 0 })
    await engine.close()
  })

  it('that overflows ends its intake, where it is told so', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const events = new Subject<number>()
    const accept = takes<number>(1000)
    const intake = engine.on(events, accept, { concurrency: 1, buffer: 1, overflow: 'fail' })
    for (let n = 0; n < 4; n++) events.next(n)
    expect(events.observed).toBe(false)
    await expect(engine.settle(intake.done)).rejects.toEqual(code('BUFFER_FULL'))
    expect(intake.status).toMatchObject({ state: 'failed', received: 3, started: 2, dead: 1 })
    expect(errors.map(({ error }) => error)).toEqual([code('BUFFER_FULL'), code('BAD_EVENT')])
    await engine.close()
  })

  it.each([
    [
      'an Observable',
      () =>
        new Observable<number>((observer) => {
          observer.next(1)
          observer.error(new RangeError('the end of the world'))
        }),
    ],
    [
      'an async iterable',
      async function* (): AsyncGenerator<number> {
        yield 1
        throw new RangeError('the end of the world')
      },
    ],
  ] as const)('that fails for good fails its intake, after what it gave: %s', async (_, events) => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const intake = engine.on(events(), takes<number>(1000))
    await expect(engine.settle(intake.done)).rejects.toThrow('the end of the world')
    expect(intake.status).toMatchObject({ state: 'failed', started: 1, inFlight: 0 })
    expect(errors.map(({ error }) => error)).toEqual([new RangeError('the end of the world')])
    await engine.close()
  })
})

describe('what is asked of an intake that can not be done', () => {
  const accept = takes<Order>()
  const source = (): MemorySource<Order> => new MemorySource<Order>({ clock: virtualClock() })

  it.each([
    ['an unknown option', { many: 3 }],
    ['a concurrency of 0', { concurrency: 0 }],
    ['a name with a slash', { name: 'a/b' }],
    ['another moment of acknowledgement', { ackWhen: 'never' }],
    ['a buffer of 0', { buffer: 0 }],
    ['parameters that are no function', { parameters: [] }],
    ['tags that are none', { tags: [''] }],
  ])('is refused at once: %s', async (_, options) => {
    const engine = testEngine()
    expect(() => engine.on(source(), accept, options as never)).toThrow(code('INVALID_OPTION') as Error)
    await engine.close()
  })

  it('is refused at once: a source that is none, a flow that is none, an id for all of its runs', async () => {
    const engine = testEngine()
    const refused = code('INVALID_OPTION') as Error
    expect(() => engine.on([1] as unknown as Subject<Order>, accept)).toThrow(refused)
    expect(() => engine.on(source(), 7 as never)).toThrow(refused)
    expect(() => engine.on(source(), task('a task', () => 1) as never)).toThrow(refused)
    expect(() => engine.on(source(), accept.with({ id: 'one' }))).toThrow(refused)
    expect(() => engine.on(source(), accept.with({ idempotencyKey: 'one' }))).toThrow(refused)
    expect(() => engine.on(new Subject<Order>(), accept, { deadLetter: 'cellar' })).toThrow(refused)
    await engine.close()
  })

  it('is refused at once: two intakes of one name, other nodes without a transport, a closed engine', async () => {
    const engine = testEngine()
    const first = engine.on(source(), accept)
    expect(() => engine.on(source(), accept)).toThrow(code('INVALID_OPTION') as Error)
    engine.on(source(), accept, { name: 'another' })
    expect(() => engine.on(source(), 'accept')).toThrow(code('NO_TRANSPORT') as Error)
    expect(() => engine.on(source(), accept.with({ on: 'any' }))).toThrow(code('NO_TRANSPORT') as Error)
    await engine.settle(first.stop())
    engine.on(source(), accept)
    await engine.close()
    expect(() => engine.on(source(), accept)).toThrow(code('ENGINE_CLOSED') as Error)
  })
})

describe('the journal in memory', () => {
  it('keeps the flow runs of events for as long as it keeps others: then an event begins anew', async () => {
    const engine = testEngine({ journal: memoryJournal({ keep: 1 }) })
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>(), { concurrency: 1 })
    source.add(order(1), 'one')
    source.add(order(2), 'two')
    source.add(order(1), 'one')
    source.end()
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 3, duplicates: 0 })
    await engine.close()
  })
})
