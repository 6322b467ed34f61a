import {
  createEngine,
  currentTaskRun,
  exponentialBackoff,
  flow,
  inputs,
  memoryCache,
  retryAfter,
  task,
  version,
  withTags,
  type CachePolicy,
  type EngineOptions,
  type Limit,
  type LimitTarget,
  type TaskCallOptions,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { counts, Gauge } from '../behaviour/limit-support.ts'
import { code, quiet, testEngine } from '../behaviour/support.ts'
import { abandoned, or } from './support.ts'

const body = (): number => 1
const wrong: Readonly<Record<string, readonly unknown[]>> = {
  retries: [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3', null, true, 3n],
  retryDelay: [
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '',
    '1',
    '1 s',
    's',
    [],
    [1, -1],
    [undefined],
    null,
    {},
    true,
  ],
  retryJitter: [-0.1, 1.1, Number.NaN, '0.5', null, [], true],
  retryOn: [true, null, 'always', {}, []],
  retryOnCrash: [1, null, 'yes'],
  timeout: [0, '0s', -1, Number.NaN, Number.POSITIVE_INFINITY, '', null, true, {}],
  waitTimeout: [0, '0ms', -1, Number.NaN, Number.POSITIVE_INFINITY, '', null, true, {}],
  priority: [Number.NaN, Number.POSITIVE_INFINITY, '1', null, 1n, true],
  cache: [true, null, '', 'inputs', [], [inputs], [inputs(), null], {}, inputs],
  cacheKey: ['key', null, true, {}],
  cacheExpiry: ['1h', 0, null, Number.NaN],
  refreshCache: [true, 1, null],
  onScheduled: [null, 'log', [null], {}],
  onPending: [null, 'log', [null], {}],
  onRunning: [null, 'log', [null], {}],
  onPaused: [null, 'log', [null], {}],
  onCancelling: [null, 'log', [null], {}],
  onCompletion: [null, 'log', [null], {}],
  onFailure: [null, 'log', [null], {}],
  onCrashed: [null, 'log', [null], {}],
  onCancellation: [null, 'log', [null], {}],
  runName: ['', null, 5, {}, []],
  tags: ['tag', [''], [1], null, {}, new Set(['a'])],
  onFailed: [body],
  concurrency: [1],
}

describe('a wrong option', () => {
  for (const [option, values] of Object.entries(wrong)) {
    it(`is refused where it is given: ${option}`, () => {
      const refused = expect.objectContaining({
        code: expect.stringMatching(/^INVALID_(OPTION|DURATION)$/) as unknown,
      }) as unknown
      for (const value of values) {
        const options = { name: 'wrong', [option]: value }
        expect(() => task(options, body), `task ${option} ${String(value)}`).toThrow(refused)
        expect(() => flow(options, body), `flow ${option} ${String(value)}`).toThrow(refused)
        const given = { [option]: value } as TaskCallOptions
        expect(() => task('right', body).with(given), `with ${option} ${String(value)}`).toThrow(refused)
      }
    })
  }

  it('names the option', () => {
    expect(() => task({ name: 'wrong', retryJitter: 2 }, body)).toThrow(
      code('INVALID_OPTION', /`retryJitter`.*from 0 to 1, got 2/),
    )
  })
})

describe('a wrong limit', () => {
  const limits: readonly unknown[] = [
    undefined,
    null,
    'db',
    5,
    {},
    { tag: 'db' },
    { tag: '', concurrency: 1 },
    { tag: 5, concurrency: 1 },
    { tag: 'a', task: 'b', concurrency: 1 },
    { tag: 'db', concurrency: 0 },
    { tag: 'db', concurrency: -1 },
    { tag: 'db', concurrency: 1.5 },
    { tag: 'db', concurrency: Number.NaN },
    { tag: 'db', concurrency: Number.POSITIVE_INFINITY },
    { tag: 'db', concurrency: '1' },
    { tag: 'db', concurrency: null },
    { tag: 'db', rate: null },
    { tag: 'db', rate: 5 },
    { tag: 'db', rate: {} },
    { tag: 'db', rate: { count: 0, per: '1s' } },
    { tag: 'db', rate: { count: 1 } },
    { tag: 'db', rate: { count: 1, per: 0 } },
    { tag: 'db', rate: { count: 1, per: 'soon' } },
    { tag: 'db', rate: { count: Number.NaN, per: '1s' } },
    { tag: 'db', concurency: 1, rate: { count: 1, per: '1s' } },
  ]
  const refused = expect.objectContaining({
    code: expect.stringMatching(/^INVALID_(OPTION|DURATION)$/) as unknown,
  }) as unknown

  it.each(limits)('is refused, and changes nothing: %o', async (limit) => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 3 }] })
    expect(() => engine.limits.set(limit as Limit)).toThrow(refused)
    expect(engine.limits.list()).toMatchObject([{ tag: 'db', concurrency: 3 }])
    expect(() => createEngine({ limits: [limit as Limit] })).toThrow(refused)
  })

  it('is refused by remove, too', async () => {
    await using engine = testEngine()
    for (const target of [undefined, null, {}, 'db', { tag: '' }])
      expect(() => engine.limits.remove(target as unknown as LimitTarget)).toThrow(refused)
    expect(engine.limits.remove({ tag: 'none' })).toBe(false)
  })

  it('leaves no engine open behind', async () => {
    expect(() => createEngine({ limits: [{ tag: 'db', concurrency: 0 }] })).toThrow(code('INVALID_OPTION'))
    await using engine = testEngine()
    expect(await engine.settle(flow('ambient', body)())).toBe(1)
  })
})

describe('a wrong argument', () => {
  const refused = expect.objectContaining({
    code: expect.stringMatching(/^INVALID_(OPTION|DURATION)$/) as unknown,
  }) as unknown

  it('is refused by what takes options', () => {
    const calls: Readonly<Record<string, () => unknown>> = {
      'inputs omit text': () => inputs({ omit: 'x' as unknown as [] }),
      'inputs omit name': () => inputs({ omit: ['request'] }),
      'version()': () => version(undefined as unknown as string),
      'version symbol': () => version(Symbol('x') as unknown as string),
      'memoryCache keep': () => memoryCache({ keep: 0 }),
      'backoff first': () => exponentialBackoff(-1),
      'backoff factor': () => exponentialBackoff(1, { factor: 0.5 }),
      'backoff factor NaN': () => exponentialBackoff(1, { factor: Number.NaN }),
      'backoff max': () => exponentialBackoff(1, { max: 'x' as '1s' }),
      retryAfter: () => retryAfter(Number.NaN),
      'withTags text': () => withTags('x' as unknown as [], body),
      'withTags no function': () => withTags(['x'], undefined as unknown as () => void),
      'createEngine cache': () => createEngine({ cache: {} } as EngineOptions),
      'createEngine limits': () =>
        createEngine({ limits: { tag: 'db', concurrency: 1 } } as unknown as EngineOptions),
    }
    for (const [name, call] of Object.entries(calls)) expect.soft(call, name).toThrow(refused)
  })
})

describe('options that are changed after they were given', () => {
  it('change no tags', async () => {
    await using engine = testEngine()
    const tags = ['a']
    const tagged = task({ name: 'tagged', tags }, () => currentTaskRun().tags)
    tags.push('b')
    expect(await engine.settle(engine.run(flow('one', () => tagged())))).toEqual(['a'])
  })

  it('change no tags where a body changes what it is shown', async () => {
    await using engine = testEngine({ strictValues: false })
    const tagged = task({ name: 'tagged', tags: ['a'] }, () => {
      const { tags } = currentTaskRun()
      const seen = [...tags]
      try {
        ;(tags as string[]).push('b')
      } catch {
        // Frozen is as good.
      }
      return seen
    })
    const twice = flow('twice', async () => [await tagged(), await tagged()])
    expect(await engine.settle(engine.run(twice))).toEqual([['a'], ['a']])
  })

  it('change no cache policy', async () => {
    await using engine = testEngine()
    const cache: [CachePolicy, ...CachePolicy[]] = [inputs()]
    let calls = 0
    const cached = task({ name: 'cached', cache }, (n: number) => {
      calls++
      return n
    })
    cache.splice(0, 1, version('x'))
    const both = flow('both', async () => [await cached(1), await cached(2)])
    expect(await engine.settle(engine.run(both))).toEqual([1, 2])
    expect(calls).toBe(2)
  })

  it('change no limit', async () => {
    const limit = { task: 'limited', concurrency: 1, rate: { count: 5, per: '1s' as const } }
    await using engine = testEngine({ limits: [limit] })
    const gauge = new Gauge()
    const limited = task('limited', gauge.body)
    limit.concurrency = 5
    limit.rate.count = 0
    const [shown] = engine.limits.list()
    if (shown?.rate !== undefined) (shown.rate as { count: number }).count = 99
    expect(engine.limits.list()).toMatchObject([{ concurrency: 1, rate: { count: 5 } }])
    await engine.settle(engine.run(flow('many', () => limited.map(['a', 'b', 'c']))))
    expect(gauge.most).toBe(1)
  })
})

describe('`.with`', () => {
  it('takes options away that can be unset, and keeps the others', async () => {
    await using engine = testEngine()
    let calls = 0
    const base = task(
      {
        name: 'base',
        cache: inputs(),
        cacheExpiry: '1h',
        timeout: 5,
        waitTimeout: 5,
        retries: 2,
        retryDelay: '1h',
      },
      () => {
        calls++
        return new Promise<number>(
          (resolve) => void engine.clock.at(engine.clock.now() + 50, () => resolve(calls)),
        )
      },
    )
    const free = base.with({ cache: false, timeout: false, waitTimeout: false, retries: 0, retryDelay: 0 })
    const before = engine.clock.now()
    const twice = flow('twice', async () => [await free(), await free()])
    expect(await engine.settle(engine.run(twice))).toEqual([1, 2])
    expect(engine.clock.now() - before).toBe(100)
    const again = free.with({ cache: inputs() })
    expect(
      await engine.settle(engine.run(flow('again', async () => [await again(), await again()]))),
    ).toEqual([3, 3])
  })

  it('with undefined keeps what there was', async () => {
    await using engine = testEngine()
    const base = task(
      { name: 'base', timeout: 5, retries: 1, cache: inputs() },
      () => new Promise(() => undefined),
    )
    const same = base.with({
      timeout: undefined,
      retries: undefined,
      cache: undefined,
    } as unknown as TaskCallOptions)
    const run = abandoned(engine.run(flow('times', () => same())))
    await quiet()
    expect(await or(engine.clock, run)).toBe('rejected RUN_TIMED_OUT')
    expect(counts(engine)).toBe('')
  })
})
