import {
  abort,
  CodecError,
  flow,
  JournalError,
  retryAfter,
  type DeadLetter,
  type EventSource,
} from '@troupe/core'
import { Subject } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { code, quiet, testEngine } from '../behaviour/support.ts'
import { MemorySource } from './memory-source.ts'
import { errorsOf, journalWith, keptJournal, numbers, takes, waitOn } from './support.ts'

interface Order {
  readonly id: string
  readonly count: number
}

const order = (n: number): Order => ({ id: `order-${n}`, count: n })
const orders = (count: number): Order[] => Array.from({ length: count }, (_, n) => order(n))

describe('an event that can never become a flow run', () => {
  const invalid = {
    'that can not be read': { bad: 'read' },
    'of which no arguments can be made': { bad: 'parameters' },
    'of which no list of arguments is made': { bad: 'list' },
    'whose key is no text': { bad: 'key' },
    'whose tags are none': { bad: 'tags' },
    'that the schema of the flow refuses': { bad: 'schema' },
    'that can not be recorded': { bad: 'function' },
  }

  it.each(Object.entries(invalid))('%s is a dead letter, and its neighbours are not', async (_, { bad }) => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const seen: unknown[] = []
    const accept = flow({ name: 'accept', parameters: numbers }, (...args: number[]) => void seen.push(args))
    const source = new MemorySource<number>({
      clock: engine.clock,
      read: (n: number) => {
        if (n === 2 && bad === 'read') throw new SyntaxError('garbage')
        return n
      },
    }).addAll([1, 2, 3], String)
    source.end()
    const isBad = (n: number, what: string): boolean => n === 2 && bad === what
    const intake = engine.on(source, accept, {
      parameters: (n) => {
        if (isBad(n, 'parameters')) throw new TypeError('no arguments')
        if (isBad(n, 'list')) return 'list' as never
        if (isBad(n, 'schema')) return ['two' as never]
        return isBad(n, 'function') ? [(() => 2) as never] : [n]
      },
      key: (n) => (isBad(n, 'key') ? (7 as never) : undefined),
      tags: (n) => (isBad(n, 'tags') ? ([''] as never) : ['n']),
    })
    await engine.settle(intake.done)
    expect(seen).toEqual([[1], [3]])
    expect(intake.status).toMatchObject({ started: 2, dead: 1 })
    expect(source.messages.map(({ state }) => state)).toEqual(['done', 'dead', 'done'])
    expect(source.letters).toMatchObject([
      { letter: { intake: 'accept', flow: 'accept', key: '2', deliveries: 1 }, place: undefined },
    ])
    expect(errors).toEqual([
      expect.objectContaining({ error: code('BAD_EVENT', /event "2" of intake accept/) }),
    ])
    await engine.close()
  })

  it('whose names the journal can never take is a dead letter, and nothing hangs', async () => {
    const kept = keptJournal()
    const tooLarge = new CodecError('PAYLOAD_TOO_LARGE', 'its tags are too long')
    const journal = journalWith(kept, {
      append: async (append) => {
        const isLong = append.entries.some((entry) => entry.kind === 'submitted' && entry.tags !== undefined)
        if (isLong) throw tooLarge
        return kept.append(append)
      },
    })
    const engine = testEngine({ journal })
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(2))
    source.end()
    const intake = engine.on(source, takes<Order>(), {
      key: ({ id }) => id,
      tags: ({ count }) => (count === 0 ? ['long'] : []),
    })
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 1, dead: 1 })
    expect(source.messages.map(({ state }) => state)).toEqual(['dead', 'done'])
    await engine.close()
  })

  it('has the reason, and the event where that could be read', async () => {
    const engine = testEngine()
    const letters: DeadLetter<Order>[] = []
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(1))
    source.end()
    const cause = new TypeError('no such thing')
    const intake = engine.on(source, takes<Order>(), {
      parameters: () => {
        throw abort(cause)
      },
      deadLetter: (letter) => letters.push(letter),
    })
    await engine.settle(intake.done)
    expect(letters).toEqual([
      {
        intake: 'accept',
        flow: 'accept',
        event: order(0),
        key: undefined,
        deliveries: 1,
        error: cause,
        at: expect.any(Number) as number,
      },
    ])
    expect(source.log).toContain('done 0')
    await engine.close()
  })

  it('goes to the place that was given', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(1))
    source.end()
    const accept = takes<Order>()
    await engine.settle(
      engine.on(source, accept, { parameters: () => [(() => 1) as never], deadLetter: 'the cellar' }).done,
    )
    expect(source.letters).toMatchObject([{ place: 'the cellar', letter: { error: code('NOT_ENCODABLE') } }])
    await engine.close()
  })

  it('of a key that started another flow run is a dead letter', async () => {
    const journal = keptJournal()
    for (const isLater of [false, true]) {
      const engine = testEngine({ journal, seed: isLater ? 2 : 1 })
      const source = new MemorySource<Order>({ clock: engine.clock })
      const accept = takes<Order>(1000)
      const intake = engine.on(source, accept)
      if (!isLater) source.add(order(1), 'one')
      source.add(order(2), 'one')
      source.end()
      await engine.settle(intake.done)
      expect(source.letters).toMatchObject([{ letter: { error: code('IDEMPOTENCY_CONFLICT') } }])
      expect(intake.status).toMatchObject({ dead: 1, duplicates: 0 })
      await engine.close()
    }
  })

  it('is acknowledged only when its letter is kept, however often that has to be tried', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    let tries = 0
    const source = new MemorySource<Order>({
      clock: engine.clock,
      bury: () => (++tries < 4 ? Promise.reject(new RangeError('no room')) : Promise.resolve()),
    }).addAll(orders(1))
    source.end()
    const intake = engine.on(source, takes<Order>(), {
      parameters: () => {
        throw new TypeError('no')
      },
    })
    await quiet()
    expect(intake.status).toMatchObject({ dead: 0, waiting: 1, trouble: 'no room' })
    await engine.settle(intake.done)
    expect(tries).toBe(4)
    expect(intake.status).toMatchObject({ dead: 1, waiting: 0, trouble: undefined })
    expect(errors.map(({ error }) => error)).toEqual([code('BAD_EVENT'), new RangeError('no room')])
    await engine.close()
  })

  it('without a place goes to engine.errors', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const events = async function* (): AsyncGenerator<number> {
      yield* [1, 2, 3]
    }
    const accept = flow({ name: 'accept', parameters: numbers }, (n: number) => n)
    const intake = engine.on(events(), accept, { parameters: (n) => [n === 2 ? ('two' as never) : n] })
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 2, dead: 1 })
    expect(errors.map(({ error }) => [error, (error as Error).cause])).toEqual([
      [code('BAD_EVENT'), code('INVALID_PARAMETERS')],
    ])
    await engine.close()
  })

  it('is one that was delivered too often', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(2), ({ id }) => id)
    source.end()
    if (source.messages[1] !== undefined) source.messages[1].deliveries = 3
    const accept = takes<Order>()
    await engine.settle(engine.on(source, accept, { maxDeliveries: 3 }).done)
    expect(source.letters).toMatchObject([{ letter: { key: 'order-1', deliveries: 4 } }])
    expect(source.count('done')).toBe(1)
    await engine.close()
  })
})

describe('trouble that may pass', () => {
  it('holds events until the journal answers, and is told', async () => {
    const memory = keptJournal()
    let isDown = true
    const unavailable = (): JournalError => new JournalError('JOURNAL_UNAVAILABLE', 'the disk is full')
    const journal = journalWith(memory, {
      summary: (id) => (isDown ? Promise.reject(unavailable()) : memory.summary(id)),
    })
    const engine = testEngine({ journal })
    const errors = errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(5), ({ id }) => id)
    source.end()
    const intake = engine.on(source, takes<Order>())
    await engine.settle(waitOn(engine.clock, 600_000))
    expect(intake.status).toMatchObject({ started: 0, waiting: 5, trouble: 'the disk is full' })
    expect(source.log).toEqual([])
    isDown = false
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 5, waiting: 0, trouble: undefined })
    expect(errors.map(({ error }) => error)).toEqual([code('JOURNAL_UNAVAILABLE')])
    await engine.close()
  })

  it('of a server is told once, also where several connections to it are lost in one moment', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const sources = ['a', 'b'].map((name) => {
      const source = new MemorySource<Order>({ clock: engine.clock })
      engine.on(source, takes<Order>(), { name })
      return source
    })
    const lose = (words: string): void => {
      for (const source of sources) {
        source.trouble(undefined)
        source.trouble(new JournalError('TRANSPORT_UNAVAILABLE', words))
      }
    }
    lose('one was lost')
    lose('the other was lost')
    await engine.settle(waitOn(engine.clock, 1_000))
    lose('the other was lost')
    expect(errors.map(({ error }) => (error as Error).message)).toEqual([
      'one was lost',
      'the other was lost',
      'the other was lost',
    ])
    await engine.close()
  })

  it('waits as long as it is told before the next try', async () => {
    const memory = keptJournal()
    const asked: number[] = []
    const journal = journalWith(memory, {
      summary: (id) => {
        asked.push(engine.clock.monotonic())
        return asked.length < 5 ? Promise.reject(new RangeError('no')) : memory.summary(id)
      },
    })
    const engine = testEngine({ journal })
    engine.errors.subscribe()
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(1), ({ id }) => id)
    source.end()
    const accept = takes<Order>()
    await engine.settle(engine.on(source, accept, { retryDelay: ['1s', '3s'] }).done)
    expect(asked.map((at) => at - (asked[0] ?? 0))).toEqual([0, 1_000, 4_000, 7_000, 10_000])
    await engine.close()
  })

  it('waits the usual time where nobody can say how long', async () => {
    const memory = keptJournal()
    let tries = 0
    const journal = journalWith(memory, {
      summary: (id) => (++tries < 3 ? Promise.reject(new RangeError('no')) : memory.summary(id)),
    })
    const engine = testEngine({ journal })
    const errors = errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(1), ({ id }) => id)
    source.end()
    const from = engine.clock.monotonic()
    const intake = engine.on(source, takes<Order>(), {
      retryDelay: () => {
        throw new TypeError('how should I know')
      },
    })
    await engine.settle(intake.done)
    expect(engine.clock.monotonic() - from).toBe(300)
    expect(errors.map(({ error }) => String(error))).toEqual([
      'RangeError: no',
      'TypeError: how should I know',
      'TypeError: how should I know',
    ])
    await engine.close()
  })

  it('of the source is told', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const source = new MemorySource<Order>({ clock: engine.clock })
    const intake = engine.on(source, takes<Order>())
    source.trouble(new RangeError('the line is dead'))
    expect(intake.status.trouble).toBe('the line is dead')
    source.trouble(undefined)
    expect(intake.status.trouble).toBeUndefined()
    expect(errors).toHaveLength(1)
    await engine.close()
  })

  it('that arguments can not be made now hands the event back for so long', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock }).addAll(orders(1), ({ id }) => id)
    source.end()
    let tries = 0
    const intake = engine.on(source, takes<Order>(), {
      parameters: (event) => {
        if (++tries < 3) throw retryAfter('10s')
        return [event]
      },
    })
    await engine.settle(intake.done)
    expect(source.log.slice(0, 3)).toEqual(['handBack after 10000 0', 'handBack after 10000 0', 'done 0'])
    expect(intake.status).toMatchObject({ received: 3, handedBack: 2, started: 1 })
    await engine.close()
  })

  it('is a dead letter where the event would not be delivered again', async () => {
    const engine = testEngine()
    const source = new MemorySource<Order>({ clock: engine.clock, maxDeliver: 2 }).addAll(orders(1))
    source.end()
    const intake = engine.on(source, takes<Order>(), {
      parameters: () => {
        throw retryAfter('10s', new RangeError('busy'))
      },
    })
    await engine.settle(intake.done)
    expect(source.letters).toMatchObject([{ letter: { deliveries: 2, error: new RangeError('busy') } }])
    expect(intake.status).toMatchObject({ handedBack: 1, dead: 1 })
    await engine.close()
  })

  it('holds an event here whose source takes nothing back', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    let tries = 0
    const intake = engine.on(
      events,
      flow('accept', (n: number) => n),
      {
        parameters: (n) => {
          if (++tries < 3) throw retryAfter('10s')
          return [n]
        },
      },
    )
    events.next(1)
    events.complete()
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ received: 1, started: 1, handedBack: 0 })
    await engine.close()
  })
})

describe('a source that breaks its word', () => {
  it('fails its intake where it can not be opened', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const source: EventSource<Order> = {
      name: 'a broken one',
      open: () => {
        throw new RangeError('no')
      },
    }
    const intake = engine.on(source, takes<Order>())
    await expect(engine.settle(intake.done)).rejects.toThrow('no')
    expect(intake.status.state).toBe('failed')
    expect(errors).toHaveLength(1)
    await engine.close()
  })

  it('is told of, and keeps no engine from closing', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const source: EventSource<Order> = {
      name: 'a broken one',
      open: () => ({
        want: () => {
          throw new RangeError('want')
        },
        stop: () => Promise.reject(new RangeError('stop')),
        close: () => new Promise(() => undefined),
      }),
    }
    const intake = engine.on(source, takes<Order>())
    await engine.close()
    expect(intake.status.state).toBe('stopped')
    expect(errors.map(({ error }) => String(error))).toEqual(['RangeError: want', 'RangeError: stop'])
  })

  it('is told of where it throws when it hears of an event, which is dealt with all the same', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const done = new RangeError('done')
    const source: EventSource<Order> = {
      name: 'a broken one',
      open: (taker) => ({
        want: (count) => {
          if (count !== 100) return
          taker.deliver({
            key: 'one',
            deliveries: 1,
            read: () => order(1),
            done: () => {
              throw done
            },
            handBack: () => undefined,
          })
          taker.completed()
        },
        stop: () => Promise.resolve(),
        close: () => Promise.resolve(),
      }),
    }
    const intake = engine.on(source, takes<Order>())
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ state: 'completed', started: 1 })
    expect(errors.map(({ error }) => error)).toEqual([done])
    await engine.close()
  })
})
