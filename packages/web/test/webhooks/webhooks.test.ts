/** What is sent, how it is signed, and what becomes of deliveries that fail. */
import { flow, memoryJournal, sleep, task, type EngineError, type Journal } from '@troupe/core'
import { webhooks, type WebhookEndpoint, type WebhookOptions, type Webhooks } from '@troupe/web'
import type { TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { rest, testEngine } from '../support.ts'
import { named, receiver, secret } from './support.ts'

const pay = task('pay', (n: number) => n)
const order = flow({ name: 'order', runName: 'order {0}' }, async (n: number) => {
  await pay(n)
  if (n < 0) throw new RangeError('a negative order')
  return n
})
const other = flow('other', () => sleep(1))

const url = 'https://shop.example/hooks'
const everything: WebhookEndpoint = { url, states: ['COMPLETED', 'FAILED'], secret }

/** An engine with webhooks on its clock, and a receiver. */
function open(
  endpoints: readonly WebhookEndpoint[],
  options: WebhookOptions & { journal?: Journal } = {},
): { engine: TestEngine; hooks: Webhooks } {
  const { journal, ...rest } = options
  const engine = testEngine({ recover: true, ...(journal === undefined ? undefined : { journal }) })
  const quiet = (): void => undefined
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
  return { engine, hooks: webhooks(engine, endpoints, { clock: engine.clock, logger, ...rest }) }
}

function bound(journal: Journal): Journal {
  return {
    encodes: journal.encodes,
    append: (append) => journal.append(append),
    read: (flowRunId, from, limit) => journal.read(flowRunId, from, limit),
    summary: (flowRunId) => journal.summary(flowRunId),
    list: (query) => journal.list(query),
    delete: (flowRunId) => journal.delete(flowRunId),
    subscribe: (listener, flowRunId) => journal.subscribe(listener, flowRunId),
    close: () => journal.close(),
  }
}

/** Lets virtual time pass until it holds. */
async function passes(engine: TestEngine, what: () => boolean): Promise<void> {
  await engine.settle(
    (async () => {
      while (!what()) await new Promise((resolve) => setTimeout(resolve, 1))
    })(),
  )
}

describe('webhooks', () => {
  it('send the transitions of flow runs into the states that were asked for', async () => {
    const { fetch, received, taken } = receiver()
    const { engine, hooks } = open([{ ...everything, id: 'shop' }], { fetch })
    await using _ = engine
    const run = order(1)
    await engine.settle(run)
    await passes(engine, () => taken.length === 1)
    await rest()
    expect(taken).toEqual(['order 1 Completed'])
    const [{ event, headers, id } = { event: undefined, headers: new Headers(), id: '' }] = received
    expect(event).toEqual({
      type: 'flow.Completed',
      timestamp: new Date(event!.data.at).toISOString(),
      data: expect.objectContaining({
        runId: run.id,
        flow: 'order',
        seq: 3,
        to: { type: 'COMPLETED', name: 'Completed' },
      }),
    })
    expect(id).toMatch(/^msg_[0-9a-z]+$/)
    expect(headers.get('content-type')).toBe('application/json')
    await passes(engine, () => hooks.status()[0]?.inFlight === 0)
    expect(hooks.status()).toEqual([
      { id: 'shop', url, state: 'delivering', delivered: 1, failed: 0, inFlight: 0 },
    ])
    await hooks.close()
    expect(hooks.status()[0]?.state).toBe('closed')
  })

  it.each<[string, Partial<WebhookEndpoint>, string[]]>([
    ['by the name of a state', { states: ['Failed'] }, ['order -1 Failed']],
    ['of a flow', { flow: 'other' }, ['other Completed']],
    [
      'of several flows',
      { flow: ['other', 'order'], states: ['Completed'] },
      ['order 1 Completed', 'other Completed'],
    ],
    ['of a task', { task: 'pay' }, ['pay-1 Completed', 'pay-1 Completed', 'pay-1 Completed']],
    ['of flow runs with a tag', { tag: 'rush', flow: 'order' }, ['order 7 Completed']],
  ])('go by what they are asked for: %s', async (_, asked, expected) => {
    const { fetch, taken } = receiver()
    const { engine } = open([{ ...everything, ...asked }], { fetch })
    await using __ = engine
    await engine.settle(order(1))
    await engine.settle(order(-1).wait())
    await engine.settle(other())
    await engine.settle(order.with({ tags: ['rush'] })(7))
    await passes(engine, () => taken.length >= expected.length)
    await rest(100)
    // Those of `COMPLETED` and of the rush order are among them where nothing else is asked for.
    expect(taken.filter((one) => expected.includes(one)).toSorted()).toEqual([...expected].toSorted())
    const extra = taken.filter((one) => !expected.includes(one))
    expect(extra).toEqual(
      asked.flow !== undefined && asked.states?.[0] === 'Completed' ? ['order 7 Completed'] : [],
    )
  })

  it('send none for their own runs, whatever is asked for', async () => {
    const { fetch, taken } = receiver()
    const { engine } = open([{ ...everything, states: ['SCHEDULED', 'PENDING', 'RUNNING', 'COMPLETED'] }], {
      fetch,
    })
    await using _ = engine
    await engine.settle(order(1))
    await passes(engine, () => taken.length === 3)
    await rest(200)
    expect(taken).toEqual(['order 1 Pending', 'order 1 Running', 'order 1 Completed'])
  })

  it('come in the order of their flow run, though some are answered late', async () => {
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const { fetch, taken, received } = receiver(async (one, count) => {
      if (count === 1) await gate
      return new Response(null, { status: named(one).includes('Running') && count < 4 ? 500 : 200 })
    })
    const { engine } = open([{ ...everything, states: ['PENDING', 'RUNNING', 'COMPLETED'] }], { fetch })
    await using _ = engine
    await engine.settle(order(1))
    await passes(engine, () => received.length > 0)
    await rest(100)
    expect(received).toHaveLength(1)
    release()
    await passes(engine, () => taken.length === 3)
    expect(taken).toEqual(['order 1 Pending', 'order 1 Running', 'order 1 Completed'])
  })

  it('come in that order, though the journal fails while they are followed', async () => {
    const { fetch, received, taken } = receiver((_, count) =>
      count <= 3 ? new Response(null, { status: 503 }) : undefined,
    )
    const memory = memoryJournal()
    const failed = new Set<string>()
    let isFailing = false
    const summary: Journal['summary'] = (id) => {
      if (!isFailing || failed.has(id)) return memory.summary(id)
      failed.add(id)
      return Promise.reject(new RangeError('the disk does not answer'))
    }
    const { engine } = open([{ ...everything, states: ['RUNNING', 'COMPLETED'] }], {
      fetch,
      journal: { ...bound(memory), summary },
    })
    await using _ = engine
    await rest()
    isFailing = true
    await engine.settle(order(1))
    await passes(engine, () => taken.length === 2)
    expect(failed.size).toBeGreaterThanOrEqual(2)
    expect(received.map(named)).toEqual([...Array<string>(4).fill('order 1 Running'), 'order 1 Completed'])
  })

  it('wait for what a receiver asks for, and bear the same id each time', async () => {
    const times: number[] = []
    const { fetch, received, taken } = receiver((_, count) => {
      times.push(engine.clock.now())
      const until = new Date(Math.ceil(engine.clock.now() / 1000) * 1000 + 60_000).toUTCString()
      if (count === 1) return new Response('busy', { status: 503, headers: { 'retry-after': '120' } })
      if (count === 2) return new Response('busy', { status: 429, headers: { 'retry-after': until } })
      if (count === 3) return new Response('busy', { status: 503, headers: { 'retry-after': '999999999' } })
      if (count === 4) throw new TypeError('connection refused')
      if (count === 6) return new Response(null, { status: 503, headers: { 'retry-after': '0' } })
      if (count === 5)
        return new Response(null, { status: 302, headers: { location: 'https://elsewhere.example/' } })
      return undefined
    })
    const { engine } = open([everything], { fetch, retryJitter: 0 })
    await using _ = engine
    await engine.settle(order(1))
    await passes(engine, () => taken.length === 1)
    const waits = times.slice(1).map((time, i) => Math.round((time - times[i]!) / 1000))
    expect(waits[0]).toBe(120)
    expect(waits[1]).toBeGreaterThanOrEqual(60)
    expect(waits[1]).toBeLessThanOrEqual(61)
    expect(waits.slice(2)).toEqual([3600, 8, 16, 32])
    expect(new Set(received.map(({ id }) => id)).size).toBe(1)
    const timestamps = received.map(({ headers }) => Number(headers.get('webhook-timestamp')))
    expect(timestamps[1]! - timestamps[0]!).toBe(120)
  })

  it('give a delivery up in the end, and say so in `engine.errors`', async () => {
    const { fetch, taken } = receiver((one) =>
      named(one) === 'order 1 Completed' ? new Response(null, { status: 500 }) : undefined,
    )
    const { engine, hooks } = open([everything], { fetch, retries: 2 })
    await using _ = engine
    const errors: EngineError[] = []
    engine.errors.subscribe((error) => errors.push(error))
    await engine.settle(order(1))
    await engine.settle(order(2))
    await passes(engine, () => hooks.status()[0]?.failed === 1 && taken.length === 1)
    expect(taken).toEqual(['order 2 Completed'])
    expect(errors.map(({ error }) => String(error))).toEqual(['RunError: the receiver answered 500'])
    const [failed] = await engine.list({ state: 'FAILED' })
    expect(failed?.runName).toBe('order order 1 Completed')
  })

  it('end where a receiver answers 410 Gone, also after a restart', async () => {
    const { fetch, received } = receiver(() => new Response(null, { status: 410 }))
    const journal = memoryJournal()
    const first = open([{ ...everything, id: 'shop' }], { fetch, journal })
    await first.engine.settle(order.with({ engine: first.engine })(1))
    await passes(first.engine, () => first.hooks.status()[0]?.state === 'gone')
    await first.engine.settle(order.with({ engine: first.engine })(2))
    await rest(100)
    await first.engine.close()
    const second = open([{ ...everything, id: 'shop' }], { fetch, journal })
    await passes(second.engine, () => second.hooks.status()[0]?.state === 'gone')
    await second.engine.close()
    second.engine.clock.advance(1_000)
    const third = open([{ ...everything, id: 'shop-2' }], { fetch, journal })
    await third.engine.settle(order.with({ engine: third.engine })(3))
    await passes(third.engine, () => third.hooks.status()[0]?.state === 'gone')
    await third.engine.close()
    expect(received.map(named)).toEqual(['order 1 Completed', 'order 3 Completed'])
  })

  it.each(['append', 'list', 'read'] as const)(
    'are closed though the journal does not answer: %s',
    async (method) => {
      const journal = memoryJournal()
      const { engine, hooks } = open([everything], {
        fetch: receiver().fetch,
        journal: {
          ...bound(journal),
          [method]: () => new Promise(() => undefined),
        },
      })
      await rest()
      await hooks.close()
      expect(hooks.status()[0]?.state).toBe('closed')
      await engine.settle(engine.close())
    },
  )

  it('keep only a few deliveries under way while a receiver is down, and lose none', async () => {
    let up = false
    const { fetch, taken } = receiver(() => {
      if (!up) throw new TypeError('connection refused')
      return undefined
    })
    const { engine, hooks } = open([everything], {
      fetch,
      concurrency: 4,
      journal: memoryJournal({ keep: 10_000 }),
    })
    await using _ = engine
    for (let n = 0; n < 200; n++) await engine.settle(order(n))
    await passes(engine, () => hooks.status()[0]?.inFlight === 4)
    await rest(100)
    expect(engine.health().liveRuns).toBe(4)
    expect(hooks.status()[0]).toMatchObject({ inFlight: 4, delivered: 0, failed: 0 })
    up = true
    await passes(engine, () => taken.length === 200)
    expect(taken.toSorted()).toEqual(Array.from({ length: 200 }, (_, n) => `order ${n} Completed`).toSorted())
  })

  it('to one receiver go on while another is down', async () => {
    const { fetch, taken } = receiver((one) => {
      if (one.headers.get('x-to') === 'down') throw new TypeError('connection refused')
      return undefined
    })
    const headers = { 'x-to': 'down' }
    const down = { ...everything, id: 'down', headers }
    const { engine } = open([down, { ...everything, id: 'up' }], { fetch, concurrency: 1 })
    await using _ = engine
    for (let n = 0; n < 10; n++) await engine.settle(order(n))
    await passes(engine, () => taken.length === 10)
    expect(new Set(taken).size).toBe(10)
  })
})

describe('what is refused', () => {
  const key = Buffer.alloc(32).toString('base64')
  it.each<[string, object]>([
    ['an address of another kind', { url: 'ftp://shop.example' }],
    ['no address', { url: 'shop' }],
    ['a password in the address', { url: 'https://me:word@shop.example' }],
    ['a state that there is not', { states: ['Done'] }],
    ['no states', { states: [] }],
    ['a short secret', { secret: 'whsec_AAAA' }],
    ['a secret that is no base64', { secret: `whsec_${key}!` }],
    ['no secret', { secret: [] }],
    ['an id with other letters', { id: 'a b' }],
    ['no flows', { flow: [] }],
    ['a header with a line break', { headers: { 'x-a': 'b\r\nc: d' } }],
    ['an option that there is not', { to: 1 }],
  ])('%s', async (_, wrong) => {
    await using engine = testEngine()
    const endpoint = { ...everything, ...wrong } as WebhookEndpoint
    expect(() => webhooks(engine, [endpoint])).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('two endpoints of one id, none at all, and options that can not be meant', async () => {
    await using engine = testEngine()
    const refused = expect.objectContaining({ code: 'INVALID_OPTION' }) as Error
    expect(() => webhooks(engine, [everything, everything])).toThrow(refused)
    expect(() => webhooks(engine, [])).toThrow(refused)
    expect(() => webhooks(engine, [everything], { concurrency: 0 })).toThrow(refused)
    expect(() => webhooks(engine, [everything], { pace: 1 } as WebhookOptions)).toThrow(refused)
    expect(() => webhooks(engine, [everything], { retries: -1 })).toThrow(refused)
  })

  it('and no address is in a journal where the receiver can not be reached', async () => {
    const journal: Journal = { ...bound(memoryJournal()), encodes: true }
    const cause = Object.assign(new Error('getaddrinfo ENOTFOUND shop.example'), { code: 'ENOTFOUND' })
    const fetch = (): Promise<never> => Promise.reject(new TypeError('fetch failed', { cause }))
    const { engine, hooks } = open([{ ...everything, id: 'shop' }], { fetch, journal, retries: 1 })
    await using _ = engine
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(String(error)))
    await engine.settle(order(1))
    await passes(engine, () => hooks.status()[0]?.failed === 1)
    expect(errors).toEqual(['RunError: the receiver could not be reached (ENOTFOUND)'])
    expect(await textOf(journal)).toContain('could not be reached')
    expect(await textOf(journal)).not.toContain('shop.example')
  })

  it('and no secret or address is in a journal, a log line or a status', async () => {
    const { fetch, taken } = receiver()
    const journal = memoryJournal()
    const { engine, hooks } = open([{ ...everything, url: `${url}?token=quiet` }], { fetch, journal })
    await using _ = engine
    await engine.settle(order(1))
    await passes(engine, () => taken.length === 1)
    const written = await textOf(journal)
    const text = written + JSON.stringify(hooks.status())
    expect(text).toContain('troupe-webhook-to-')
    expect(text).not.toContain(secret.slice(6))
    expect(written).not.toContain('token=quiet')
  })

  /** All that is in a journal. */
  async function textOf(journal: Journal): Promise<string> {
    const written: unknown[] = []
    for (const { flowRunId } of await journal.list({ limit: 100 })) {
      for (const entry of await journal.read(flowRunId, 1, 1_000)) {
        written.push(
          JSON.stringify(entry, (_, value: unknown) =>
            value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
          ),
        )
      }
    }
    return written.join('\n')
  }
})
