import {
  cancelled,
  currentFlowRun,
  currentTaskRun,
  failed,
  flow,
  inputs,
  memoryCache,
  sleep,
  task,
  taskSource,
  waitAll,
} from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { observed, taskSteps, warnings, went } from './caching-support.ts'
import { all, code, quiet, statesOf, testEngine } from './support.ts'

const engines = [
  ['by reference', { strictValues: false }],
  ['with values encoded', { strictValues: true }],
] as const

describe.each(engines)('a task with a cache, in an engine that passes values %s', (_, options) => {
  it('takes the result of an equal earlier call, and its body does not run', async () => {
    await using engine = testEngine(options)
    const { call, ran } = observed({ name: 'double', cache: inputs() }, (n: number) => 2 * n)
    const run = flow('calls', async () => [await call(2), await call(2), await call(3)])()
    expect(await engine.settle(run)).toEqual([4, 4, 6])
    expect(ran).toEqual([[2], [3]])
    expect(await taskSteps(engine, run)).toEqual([
      'double-1: Pending',
      'double-1: Running',
      'double-1: Completed',
      'double-2: Pending',
      'double-2: Cached',
      'double-3: Pending',
      'double-3: Running',
      'double-3: Completed',
    ])
  })

  it('gives every caller a copy of its own, which nobody else can change', async () => {
    await using engine = testEngine(options)
    const made: unknown[] = []
    const { call, ran } = observed({ name: 'lists', cache: inputs() }, () => {
      const list = { items: [1, 2, 3], at: new Date(7), by: new Map([['a', 1]]) }
      made.push(list)
      return list
    })
    const changes = flow('changes', async () => {
      const first = await call()
      first.items.push(4)
      first.by.set('b', 2)
      const second = await call()
      second.items.length = 0
      const third = await call()
      return [second, third].map(({ items, at, by }) => [items.length, at.getTime(), by.size, items])
    })
    expect(await engine.settle(changes())).toEqual([
      [0, 7, 1, []],
      [3, 7, 1, [1, 2, 3]],
    ])
    expect(ran).toHaveLength(1)
    expect(await engine.settle(flow('later', () => call())())).toEqual({
      items: [1, 2, 3],
      at: new Date(7),
      by: new Map([['a', 1]]),
    })
  })

  it('is COMPLETED like any other: it has a value, runs onCompletion, and feeds what depends on it', async () => {
    await using engine = testEngine(options)
    const hooks: string[] = []
    const { call } = observed(
      {
        name: 'base',
        cache: inputs(),
        onCompletion: ({ transition, value }) => {
          hooks.push(`${transition.to.name} ${String(value)}`)
        },
        onRunning: () => void hooks.push('runs'),
      },
      (n: number) => n + 1,
    )
    const add = task('add', (a: number, b: number) => a + b)
    const run = flow('sums', async () => {
      await call(1)
      const again = call(1)
      const sum = await add(again, again)
      return [sum, again.state.type, again.state.name, await again.result(), (await again.wait()).name]
    })()
    expect(await engine.settle(run)).toEqual([4, 'COMPLETED', 'Cached', 2, 'Cached'])
    await quiet()
    expect(hooks).toEqual(['runs', 'Completed 2', 'Cached 2'])
  })

  it('keeps undefined and null, which are results like others', async () => {
    await using engine = testEngine(options)
    const { call, ran } = observed({ name: 'nothing', cache: inputs() }, (which: string) =>
      which === 'null' ? null : undefined,
    )
    const run = flow('nothings', async () => [
      await call('null'),
      await call('undefined'),
      await call('null'),
      await call('undefined'),
    ])()
    expect(await engine.settle(run)).toEqual([null, undefined, null, undefined])
    expect(ran).toEqual([['null'], ['undefined']])
  })

  it('runs in each flow run that finds nothing, and in none that does', async () => {
    const cache = memoryCache()
    const { call, ran } = observed({ name: 'shared', cache: inputs() }, (n: number) => ({ n }))
    const asks = flow('asks', () => call(1))
    await using engine = testEngine({ ...options, cache })
    const first = engine.run(asks)
    expect(await engine.settle(first)).toEqual({ n: 1 })
    expect(await engine.settle(engine.run(asks))).toEqual({ n: 1 })
    await using other = testEngine({ ...options, cache })
    const elsewhere = other.run(asks)
    expect(await other.settle(elsewhere)).toEqual({ n: 1 })
    expect(await taskSteps(other, elsewhere)).toEqual(['shared-1: Pending', 'shared-1: Cached'])
    await using apart = testEngine(options)
    expect(await apart.settle(apart.run(asks))).toEqual({ n: 1 })
    expect(ran).toHaveLength(2)
  })
})

describe('the message of a cached run', () => {
  it('names the run that made the result, also after many hits and in another engine', async () => {
    const cache = memoryCache()
    await using engine = testEngine({ cache })
    const { call } = observed({ name: 'made', cache: inputs() }, () => 'x')
    const asks = flow('asks', () => call())
    const maker = asks()
    await engine.settle(maker)
    const makerId = (await all(maker.transitions)).find(({ task: name }) => name === 'made')?.runId
    await using other = testEngine({ cache })
    for (const each of [engine, engine, other]) {
      const run = each.run(asks)
      await each.settle(run)
      const hit = (await all(run.transitions)).find(({ to }) => to.name === 'Cached')
      expect(hit?.to.message).toBe(`result of ${makerId}`)
    }
  })

  it('names the run that made it where several calls find it at once', async () => {
    await using engine = testEngine()
    const { call } = observed({ name: 'made', cache: inputs() }, () => 'x')
    const maker = flow('maker', () => call())()
    await engine.settle(maker)
    const makerId = (await all(maker.transitions)).find(({ task: name }) => name === 'made')?.runId
    const run = flow('at-once', () => [call(), call(), call()])()
    await engine.settle(run)
    const hits = (await all(run.transitions)).filter(({ to }) => to.name === 'Cached')
    expect(hits.map(({ to }) => to.message)).toEqual(Array(3).fill(`result of ${makerId}`))
  })

  it('names the run that was waited for where it is made meanwhile', async () => {
    await using engine = testEngine()
    const { call } = observed({ name: 'made', cache: inputs() }, () => 'x')
    const ids: string[] = []
    const run = flow('at-once', () => {
      const futures = [call(), call()]
      ids.push(...futures.map(({ id }) => id))
      return futures
    })()
    await engine.settle(run)
    const hits = (await all(run.transitions)).filter(({ to }) => to.name === 'Cached')
    expect(hits.map(({ to }) => to.message)).toEqual([`result of ${ids[0]}`])
  })
})

describe('expiry', () => {
  it('is a time from the end of the run that made the result; at that moment it does not count any more', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'expiring', cache: inputs(), cacheExpiry: '10s' },
      async (): Promise<number> => {
        await sleep('5s')
        return ran.length
      },
    )
    const ask = flow('ask', () => call())
    expect(await engine.settle(ask())).toBe(1)
    engine.clock.advance(9_999)
    expect(await engine.settle(ask())).toBe(1)
    engine.clock.advance(1)
    expect(await engine.settle(ask())).toBe(2)
    engine.clock.advance(9_999)
    expect(await engine.settle(ask())).toBe(2)
  })

  it('is for ever where none is given', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'kept', cache: inputs() }, () => 1)
    const ask = flow('ask', () => call())
    await engine.settle(ask())
    engine.clock.advance(100 * 365 * 86_400_000)
    await engine.settle(ask())
    expect(ran).toHaveLength(1)
  })

  it('is that of the call which made the result; `.with` gives another', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'expiring', cache: inputs(), cacheExpiry: '10s' },
      (): number => ran.length,
    )
    expect(await engine.settle(flow('long', () => call.with({ cacheExpiry: '1h' })())())).toBe(1)
    engine.clock.advance(60_000)
    expect(await engine.settle(flow('short', () => call())())).toBe(1)
  })

  it('of no time at all keeps nothing but for those who wait already', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'momentary', cache: inputs(), cacheExpiry: 0 },
      (): number => ran.length,
    )
    expect(await engine.settle(flow('two', () => [call(), call()])())).toEqual([1, 1])
    expect(await engine.settle(flow('one', () => call())())).toBe(2)
  })
})

describe('refreshCache', () => {
  it('runs the body although there is a result, and keeps the new one', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'fresh', cache: inputs() }, (): number => ran.length)
    const run = flow('refreshes', async () => [
      await call(),
      await call.with({ refreshCache: true })(),
      await call(),
      await call.with({ refreshCache: true }).with({ refreshCache: false })(),
    ])()
    expect(await engine.settle(run)).toEqual([1, 2, 2, 2])
  })

  it('leaves the old result where the body fails', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'failing', cache: inputs() }, (): number => {
      if (ran.length === 2) throw new Error('no')
      return ran.length
    })
    const run = flow('refreshes', async () => {
      const first = await call()
      const { name } = await call.with({ refreshCache: true })().wait()
      return [first, name, await call()]
    })()
    expect(await engine.settle(run)).toEqual([1, 'Failed', 1])
  })

  it('is waited for by equal calls that are made meanwhile', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'slow', cache: inputs() }, async (): Promise<number> => {
      const number = ran.length
      await sleep('1s')
      return number
    })
    const run = flow('refreshes', async () => {
      await call()
      return await Promise.all([call.with({ refreshCache: true })(), call(), call()])
    })()
    expect(await engine.settle(run)).toEqual([2, 2, 2])
  })

  it('keeps the new result also where an older run was on its way', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'slow', cache: inputs() }, async (): Promise<number> => {
      const number = ran.length
      await sleep(number === 1 ? '1s' : '2s')
      return number
    })
    const run = flow('refreshes', async () => {
      const older = call()
      await sleep(1)
      const newer = await call.with({ refreshCache: true })()
      return [await older, newer, await call()]
    })()
    expect(await engine.settle(run)).toEqual([1, 2, 2])
  })

  it('keeps the newest of several that refresh at once', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'slow', cache: inputs() }, async (): Promise<number> => {
      const number = ran.length
      await sleep(1000 * number)
      return number
    })
    const fresh = call.with({ refreshCache: true })
    const run = flow('refreshes', async () => [...(await Promise.all([fresh(), fresh()])), await call()])()
    expect(await engine.settle(run)).toEqual([1, 2, 2])
  })
})

describe('what did not complete', () => {
  const endings = [
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('no')
      },
    ],
    ['returns failed', () => failed(new Error('no'))],
    ['returns cancelled', () => cancelled('no')],
    ['times out', () => sleep('1h')],
    [
      'has a run that failed unseen',
      () =>
        void task('fails', () => {
          throw new Error('no')
        })(),
    ],
  ] as const

  it.each(endings)('is never kept: a body that %s', async (_, ending) => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'ends', cache: inputs(), timeout: '1m' }, (): unknown =>
      ran.length === 1 ? ending() : 'good',
    )
    const run = flow('ends', async () => {
      const { type } = await call().wait()
      return [type === 'COMPLETED', await call(), await call()]
    })()
    expect(await engine.settle(run)).toEqual([false, 'good', 'good'])
    expect(ran).toHaveLength(2)
  })

  it('is never kept: a run that was cancelled before, while and after its body ran', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'cancelled', cache: inputs() }, async (): Promise<number> => {
      if (ran.length === 1) await sleep('1h').catch(() => undefined)
      return ran.length
    })
    const run = flow('cancels', async () => {
      const pending = call()
      await pending.cancel()
      const running = call()
      await sleep(1)
      await running.cancel()
      const states = [pending.state.name, running.state.name]
      return [...states, await call(), await call()]
    })()
    expect(await engine.settle(run)).toEqual(['Cancelled', 'Cancelled', 2, 2])
  })

  it('is never kept: what a body found after its time was up', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'late', cache: inputs(), timeout: '1s' },
      async (): Promise<number> => {
        const number = ran.length
        if (number === 1) await new Promise<void>((go) => void engine.clock.at(engine.clock.now() + 2000, go))
        return number
      },
    )
    const run = flow('late', async () => {
      const { name } = await call().wait()
      await sleep('10s')
      return [name, await call()]
    })()
    expect(await engine.settle(run)).toEqual(['TimedOut', 2])
  })

  it('is kept once a retry completed', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'tries', cache: inputs(), retries: 2, retryDelay: '1m' }, () => {
      if (ran.length < 3) throw new Error('not yet')
      return currentTaskRun().attempt
    })
    expect(await engine.settle(flow('tries', async () => [await call(), await call()])())).toEqual([3, 3])
    expect(ran).toHaveLength(3)
  })
})

describe('a cached task', () => {
  it('has a result for runs that its own body submits, too', async () => {
    await using engine = testEngine()
    const inner = observed({ name: 'inner', cache: inputs() }, (n: number) => n * 10)
    const outer = observed({ name: 'outer', cache: inputs() }, async (n: number) => (await inner.call(n)) + 1)
    const run = flow('nests', async () => [await outer.call(1), await outer.call(1), await inner.call(1)])()
    expect(await engine.settle(run)).toEqual([11, 11, 10])
    expect([outer.ran, inner.ran]).toEqual([[[1]], [[1]]])
  })

  it('keeps the values of the runs in what it returns', async () => {
    await using engine = testEngine()
    const one = task('one', (n: number) => n)
    const { call, ran } = observed({ name: 'returns', cache: inputs() }, () => ({ list: [one(1), one(2)] }))
    const run = flow('futures', async () => [await call(), await call()])()
    expect(await engine.settle(run)).toEqual([{ list: [1, 2] }, { list: [1, 2] }])
    expect(ran).toHaveLength(1)
  })

  it('takes and keeps results outside any flow, too', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'alone', cache: inputs() }, (n: number) => n)
    expect(await engine.settle(call(1))).toBe(1)
    const again = call(1)
    expect(await statesOf(engine, again)).toEqual(['Pending', 'Cached'])
    expect(await engine.settle(flow('within', () => call(1))())).toBe(1)
    expect(ran).toHaveLength(1)
  })

  it('works with map', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'mapped', cache: inputs() }, (n: number) => n % 3)
    const run = flow('maps', () => call.map([1, 2, 1, 3, 2, 1]))()
    expect(await engine.settle(run)).toEqual([1, 2, 1, 0, 2, 1])
    expect(ran).toEqual([[1], [2], [3]])
  })

  it('of a failed upstream neither looks for a result nor has one', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'downstream', cache: inputs() }, (n: number) => n)
    const fails = task('fails', (): number => {
      throw new Error('no')
    })
    const run = flow('upstream', async () => {
      await call(1)
      return (await call(fails()).wait()).name
    })()
    expect(await engine.settle(run)).toBe('UpstreamFailed')
    expect(ran).toEqual([[1]])
  })

  it('in a flow that is retried: what was cached is there, what failed runs again', async () => {
    await using engine = testEngine()
    const good = observed({ name: 'good', cache: inputs() }, (n: number) => n)
    const bad = observed({ name: 'bad', cache: inputs() }, () => {
      if (bad.ran.length < 3) throw new Error('no')
      return 'at last'
    })
    const run = flow({ name: 'tries', retries: 3 }, async () => [
      await good.call(1),
      await good.call(1),
      await bad.call(),
      currentFlowRun().attempt,
    ])()
    expect(await engine.settle(run)).toEqual([1, 1, 'at last', 3])
    expect([good.ran.length, bad.ran.length]).toEqual([1, 3])
    expect(await taskSteps(engine, run)).toEqual([
      ...went('good-1', 'Pending', 'Running', 'Completed'),
      ...went('good-2', 'Pending', 'Cached'),
      ...went('bad-3', 'Pending', 'Running', 'Failed'),
      ...went('bad-4', 'Pending', 'Running', 'Failed'),
      ...went('bad-5', 'Pending', 'Running', 'Completed'),
    ])
  })

  it('takes a result in the cleanup of a run that is being cancelled', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'cleans', cache: inputs() }, (n: number) => n)
    const seen: unknown[] = []
    const run = flow('cancelled', async () => {
      await call(1)
      await sleep('1h').catch(() => undefined)
      seen.push(await call.with({ cleanup: true })(1))
    })()
    await quiet()
    expect((await engine.settle(run.cancel())).name).toBe('Cancelled')
    expect([seen, ran]).toEqual([[1], [[1]]])
    expect((await taskSteps(engine, run)).at(-1)).toBe('cleans-2: Cached')
  })

  it('runs as ever where the cache is taken away or never was', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'off', cache: inputs(), cacheExpiry: '1h' },
      (): number => ran.length,
    )
    const off = call.with({ cache: false })
    const run = flow('off', async () => [await call(), await off(), await off(), await call()])()
    expect(await engine.settle(run)).toEqual([1, 2, 3, 1])
    const plain = observed({ name: 'plain' }, (): number => plain.ran.length)
    const on = plain.call.with({ cache: inputs() })
    const other = flow('on', async () => [await plain.call(), await on(), await on(), await plain.call()])()
    expect(await engine.settle(other)).toEqual([1, 2, 2, 3])
    expect(warnings(engine)).toEqual([])
  })
})

describe('limits and a cache', () => {
  it('a hit takes no slot, and no start of a rate', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'limited', concurrency: 1 },
        { task: 'rated', rate: { count: 1, per: '1h' } },
      ],
    })
    const limited = observed({ name: 'limited', cache: inputs() }, async (n: number) => {
      if (n > 1) await sleep('1m')
      return n
    })
    const rated = observed({ name: 'rated', cache: inputs() }, (n: number) => n)
    const run = flow('limits', async () => {
      await limited.call(1)
      await rated.call(1)
      const slow = limited.call(2)
      await sleep('1s')
      const before = engine.clock.now()
      const hits = [await limited.call(1), await rated.call(1), await rated.call(1)]
      return [...hits, engine.clock.now() - before, slow.state.name]
    })()
    expect(await engine.settle(run)).toEqual([1, 1, 1, 0, 'Running'])
  })

  it('equal calls that wait for the one that runs hold no slots, and take none', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 2 }] })
    const { call } = observed({ name: 'query', cache: inputs(), tags: ['db'] }, async (n: number) => {
      await sleep('1s')
      return n
    })
    const run = flow('queries', async () => {
      const futures = [call(1), call(1), call(1), call(2)]
      await sleep(1)
      const [{ held, waiting } = { held: 0, waiting: 0 }] = engine.limits.list()
      await waitAll(futures)
      return [held, waiting, engine.clock.now()]
    })
    const started = engine.clock.now()
    expect(await engine.settle(run())).toEqual([2, 0, started + 1000])
  })

  it('takes what another process made while this one waited for its slot', async () => {
    const cache = memoryCache()
    const clock = virtualClock()
    const options = { cache, clock, limits: [{ task: 'query', concurrency: 1 }] }
    await using one = testEngine(options)
    await using two = testEngine(options)
    const { call, ran } = observed({ name: 'query', cache: inputs() }, async (n: number) => {
      await sleep(n)
      return n
    })
    const before = two.run(flow('before', () => call(5000)))
    await quiet()
    const waiting = two.run(flow('waits', () => call(1000)))
    await quiet()
    const following = two.run(flow('follows', () => call(1000)))
    const other = one.run(flow('other', () => call(1000)))
    const values = await clock.run(Promise.all([before, waiting, following, other]))
    expect(values).toEqual([5000, 1000, 1000, 1000])
    expect(ran).toEqual([[5000], [1000]])
    expect(await taskSteps(two, waiting)).toEqual([
      'query-1: Pending',
      'query-1: AwaitingConcurrencySlot',
      'query-1: Cached',
    ])
    const [limit] = two.limits.list()
    expect([limit?.held, limit?.waiting]).toEqual([0, 0])
  })
})

describe('misuse of cache options is refused where they are given', () => {
  const body = (n: number): number => n
  it.each([
    ['an empty list', { cache: [] }, /`cache`.*cache policy such as `inputs\(\)`/],
    ['something else', { cache: 'inputs' }, /`cache`/],
    ['a list with something else', { cache: [inputs(), inputs] }, /`cache`/],
    ['true', { cache: true }, /`cache`/],
    ['a function that was not called', { cache: inputs }, /`cache`/],
    ['null', { cache: null }, /`cache`/],
    ['a key that is no function', { cacheKey: 'key' }, /`cacheKey`.*function/],
    [
      'a key besides policies',
      { cache: inputs(), cacheKey: (): string => 'k' },
      /`cacheKey`.*without `cache`/,
    ],
    ['a key besides false', { cache: false, cacheKey: () => 'k' }, /`cacheKey`/],
    ['an expiry alone', { cacheExpiry: '1h' }, /`cacheExpiry`.*`cache` or `cacheKey`/],
    ['a refresh alone', { refreshCache: true }, /`refreshCache`.*`cache` or `cacheKey`/],
    ['a refresh that is no flag', { cache: inputs(), refreshCache: 1 }, /`refreshCache`.*true or false/],
  ])('%s', (_, options, message) => {
    const define = (): unknown => task({ name: 'misused', ...(options as object) }, body)
    expect(define).toThrow(code('INVALID_OPTION', message))
    const call = task('plain', body)
    expect(() => call.with(options as object)).toThrow(code('INVALID_OPTION', message))
  })

  it.each(['soon', -1, Number.NaN, ''])('an expiry of %j', (cacheExpiry) => {
    expect(() => task({ name: 'misused', cache: inputs(), cacheExpiry: cacheExpiry as '1s' }, body)).toThrow(
      code('INVALID_DURATION'),
    )
  })

  it.each(['cache', 'cacheKey', 'cacheExpiry', 'refreshCache'])('%s of a flow', (name) => {
    expect(() => flow({ name: 'cached-flow', [name]: undefined }, body)).toThrow(
      code('INVALID_OPTION', /options of a flow/),
    )
  })

  it('`.with` changes what makes the key, from policies to a function and back', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'rekeyed', cache: inputs() }, (n: number) => n)
    const byKey = call.with({ cacheKey: (n: number) => String(n % 2) })
    const back = byKey.with({ cache: [inputs(), taskSource()] })
    const run = flow('rekeys', async () => [
      await byKey(1),
      await byKey(3),
      await call(3),
      await back(5),
      await back(5),
      await byKey.with({ cache: false })(1),
    ])()
    expect(await engine.settle(run)).toEqual([1, 1, 3, 5, 5, 1])
    expect(ran).toEqual([[1], [3], [5], [1]])
  })
})
