import {
  flow,
  inputs,
  memoryCache,
  registerValue,
  sleep,
  task,
  waitAll,
  type Cache,
  type CacheEntry,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { later, or, pass } from '../hard/support.ts'
import { observed, taskSteps, through, warnings, went } from './caching-support.ts'
import { deferred, quiet, testEngine } from './support.ts'

const cached = { cache: inputs() }
const refuses = (): never => {
  throw new TypeError('the cache is down')
}
const rejects = async (): Promise<never> => refuses()

/** A cache whose entries are what `change` makes of them. */
const changing = (change: (entry: CacheEntry) => unknown): Cache =>
  through(memoryCache(), {
    get: async (ask) => {
      const entry = await ask()
      return entry === undefined ? undefined : change(entry)
    },
  })

describe('a cached result that can’t be read', () => {
  it.each<[string, Cache]>([
    ['the cache throws', through(memoryCache(), { get: refuses })],
    ['the cache rejects', through(memoryCache(), { get: rejects })],
    [
      'the cache rejects with nothing',
      through(memoryCache(), { get: () => Promise.reject() as Promise<never> }),
    ],
    ['its bytes are garbage', changing((entry) => ({ ...entry, value: Uint8Array.of(255, 1, 2, 3) }))],
    ['its bytes are none', changing((entry) => ({ ...entry, value: new Uint8Array() }))],
    ['its bytes are cut off', changing((entry) => ({ ...entry, value: entry.value.subarray(0, -1) }))],
    ['others follow its bytes', changing((entry) => ({ ...entry, value: Uint8Array.of(...entry.value, 0) }))],
    ['its value is a text', changing((entry) => ({ ...entry, value: 'result' }))],
    ['it has no value', changing(({ runId }) => ({ runId }))],
    ['it is null', changing(() => null)],
    ['it is something else', changing(() => 7)],
  ])('means a warning, and a run, where %s', async (_, cache) => {
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'made', ...cached }, (n: number) => ({ n }))
    const run = flow('reads', async () => [await call(1), await call(1)])()
    expect(await engine.settle(run)).toEqual([{ n: 1 }, { n: 1 }])
    expect(ran).toHaveLength(2)
    expect((await taskSteps(engine, run)).slice(3)).toEqual(went('made-2', 'Pending', 'Running', 'Completed'))
    const line = engine.lines.findLast(({ level }) => level === 'warn')
    expect(line?.message).toMatch(/its cached result can’t be read, and it runs/)
    expect(line?.fields).toMatchObject({ run: 'made-2', flowRunId: run.id })
    expect(Object.keys(line?.fields ?? {})).toContain('err')
  })

  it('is replaced by what the run makes', async () => {
    let isDamaged = true
    const cache = changing((entry) => (isDamaged ? { ...entry, value: Uint8Array.of(9) } : entry))
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'replaced', ...cached }, (): number => ran.length)
    expect(await engine.settle(flow('damaged', async () => [await call(), await call()])())).toEqual([1, 2])
    isDamaged = false
    expect(await engine.settle(flow('healed', () => call())())).toBe(2)
  })

  it('that is gone is made again, and nothing is said of it', async () => {
    const cache = memoryCache({ keep: 1 })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'gone', ...cached }, (n: number) => n)
    const run = flow('evicts', async () => [await call(1), await call(2), await call(1)])()
    expect(await engine.settle(run)).toEqual([1, 2, 1])
    expect(ran).toHaveLength(3)
    expect(warnings(engine)).toEqual([])
  })

  it('where the class of the value does not come back', async () => {
    class Fragile {
      readonly n = 1
    }
    registerValue(Fragile, {
      name: 'test/caching-faults/Fragile',
      encode: ({ n }) => n,
      decode: refuses,
    })
    await using engine = testEngine({ strictValues: false })
    const { call, ran } = observed({ name: 'fragile', ...cached }, () => new Fragile())
    const run = flow('fragile', async () => [(await call()).n, (await call()).n])()
    expect(await engine.settle(run)).toEqual([1, 1])
    expect(ran).toHaveLength(2)
    expect(warnings(engine)).toHaveLength(1)
  })

  it('where the class of the value does not come back, and others wait for it', async () => {
    class Brittle {
      readonly n = 1
    }
    registerValue(Brittle, {
      name: 'test/caching-faults/Brittle',
      encode: ({ n }) => n,
      decode: refuses,
    })
    await using engine = testEngine({ strictValues: false })
    const { call, ran } = observed({ name: 'brittle', ...cached }, () => new Brittle())
    const run = flow('brittle', async () => {
      const futures = [call(), call(), call()]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    expect(await or(engine.clock, run)).toEqual(['Completed', 'Completed', 'Completed'])
    expect(ran).toHaveLength(3)
  })
})

describe('a result that can’t be kept', () => {
  it.each<[string, Cache]>([
    ['the cache throws', through(memoryCache(), { put: refuses })],
    ['the cache rejects', through(memoryCache(), { put: rejects })],
  ])('is the run’s all the same, and a warning, where %s', async (_, cache) => {
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'unkept', ...cached }, async (n: number) => {
      await sleep('1s')
      return n
    })
    const run = flow('keeps', async () => [...(await Promise.all([call(1), call(1)])), await call(1)])()
    expect(await engine.settle(run)).toEqual([1, 1, 1])
    expect(ran).toHaveLength(2)
    expect(warnings(engine)).toHaveLength(2)
    expect(warnings(engine)[0]).toMatch(/its result can’t be cached: the cache is down/)
  })

  it('because it can’t be encoded: each call runs, and each says so', async () => {
    await using engine = testEngine({ strictValues: false })
    const { call, ran } = observed({ name: 'makes-function', ...cached }, async () => {
      await sleep('1s')
      return { run: () => 1 }
    })
    const run = flow('functions', async () => {
      const atOnce = await Promise.all([call(), call()])
      const later = await call()
      return [...atOnce, later].map((made) => made.run())
    })()
    expect(await engine.settle(run)).toEqual([1, 1, 1])
    expect(ran).toHaveLength(3)
    expect(warnings(engine)).toHaveLength(3)
    expect(warnings(engine)[0]).toMatch(/its result can’t be cached: .*`result\.run`.*a function/)
  })

  it('because it can’t be encoded where it must be: the run fails, and nothing is kept', async () => {
    await using engine = testEngine({ strictValues: true })
    const { call, ran } = observed({ name: 'makes-function', ...cached }, () => () => 1)
    const run = flow('functions', async () => {
      const futures = [call(), call()]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    expect(await engine.settle(run)).toEqual(['Failed', 'Failed'])
    expect(ran).toHaveLength(2)
  })
})

describe('a cache that does not answer', () => {
  it('holds up the run until it does: then it runs, or is Cached', async () => {
    const gates = [deferred(), deferred()]
    let asked = 0
    const cache = through(memoryCache(), {
      get: async (ask) => {
        await gates[asked++]?.promise
        return ask()
      },
    })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'held-up', ...cached }, (n: number) => n)
    const ask = flow('ask', () => call(1))
    const first = ask()
    await quiet()
    expect([first.state.name, ran.length]).toEqual(['Running', 0])
    gates[0]?.resolve()
    expect(await engine.settle(first)).toBe(1)
    const second = ask()
    await quiet()
    gates[1]?.resolve()
    expect(await engine.settle(second)).toBe(1)
    expect(ran).toHaveLength(1)
  })

  it('at all: a run that waits no longer than it may is TimedOut, and the next one asks anew', async () => {
    let isDown = true
    const cache = through(memoryCache(), {
      get: (ask) => (isDown ? new Promise<never>(() => undefined) : ask()),
    })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'impatient', ...cached }, (n: number) => n)
    const run = flow('asks', async () => {
      const futures = [call.with({ waitTimeout: '1s' })(1), call(1)]
      await sleep(500)
      isDown = false
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    expect(await or(engine.clock, run)).toEqual(['TimedOut', 'Completed'])
    expect(ran).toHaveLength(1)
  })

  it('at all: after ten seconds the run goes on without it, with a warning', async () => {
    const cache = through(memoryCache(), { get: () => new Promise<never>(() => undefined) })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'patient', ...cached }, (n: number) => n)
    const started = engine.clock.now()
    expect(await or(engine.clock, flow('asks', () => [call(1), call(1)])())).toEqual([1, 1])
    expect(engine.clock.now() - started).toBe(10_000)
    expect(ran).toHaveLength(1)
    expect(warnings(engine)).toEqual([expect.stringMatching(/its cached result can’t be read, and it runs/)])
  })

  it('in ten seconds, and rejects later: nobody is told, and nothing ends', async () => {
    const cache = through(memoryCache(), {
      get: async () => {
        await later(engine.clock, 20_000)
        throw new TypeError('the cache is down')
      },
    })
    await using engine = testEngine({ cache })
    const { call } = observed({ name: 'patient', ...cached }, (n: number) => n)
    expect(await or(engine.clock, flow('asks', () => call(1))())).toBe(1)
    await pass(engine.clock, 20_000)
    expect(warnings(engine)).toHaveLength(1)
    await engine.close()
  })

  it('at all: a run can be cancelled, and so can its flow run', async () => {
    const cache = through(memoryCache(), { get: () => new Promise<never>(() => undefined) })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'hung', ...cached }, (n: number) => n)
    const run = flow('hangs', async () => {
      const first = call(1)
      await first.cancel()
      return await call(1)
    })()
    await quiet()
    expect((await engine.settle(run.cancel())).name).toBe('Cancelled')
    expect(await taskSteps(engine, run)).toEqual([
      ...went('hung-1', 'Pending', 'Cancelled'),
      ...went('hung-2', 'Pending', 'Cancelled'),
    ])
    expect(ran).toHaveLength(0)
  })

  it('at all: closing the engine does not wait for it', async () => {
    const cache = through(memoryCache(), { get: () => new Promise<never>(() => undefined) })
    await using engine = testEngine({ cache })
    const { call } = observed({ name: 'hung', ...cached }, (n: number) => n)
    const run = flow('hangs', () => call(1))()
    const end = run.result().catch(() => 'let go')
    await quiet()
    await engine.close()
    expect(await end).toBe('let go')
  })

  it('at all: nothing is said of it, and no timer is left, once the run or its engine has ended', async () => {
    const cache = through(memoryCache(), { get: () => new Promise<never>(() => undefined) })
    await using engine = testEngine({ cache })
    const { call } = observed({ name: 'hung', ...cached }, (n: number) => n)
    const cancelled = flow('cancelled', () => call(1))()
    await quiet()
    await engine.settle(cancelled.cancel())
    expect(engine.clock.waiting).toBe(0)
    const cut = flow('cut', () => call(2))()
    void cut.wait().catch(() => undefined)
    await quiet()
    await engine.close()
    expect(engine.clock.waiting).toBe(0)
    await pass(engine.clock, 20_000)
    expect(warnings(engine)).toEqual([])
  })

  it('whether it kept a result: those who wait for the result have it', async () => {
    const cache = through(memoryCache(), { put: () => new Promise<never>(() => undefined) })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'kept', ...cached }, async (n: number) => {
      await sleep('1s')
      return n
    })
    const run = flow('keeps', () => [call(1), call(1)])()
    expect(await or(engine.clock, run)).toEqual([1, 1])
    expect(ran).toHaveLength(1)
  })

  it('whether it kept a result: later calls of the engine are not held up for ever', async () => {
    const cache = through(memoryCache(), { put: () => new Promise<never>(() => undefined) })
    await using engine = testEngine({ cache })
    const { call } = observed({ name: 'kept', ...cached }, (n: number) => n)
    expect(await engine.settle(flow('first', () => call(1))())).toBe(1)
    await pass(engine.clock, 1000)
    expect(await or(engine.clock, flow('second', () => call(1))())).toBe(1)
  })

  it('for a while whether it kept a result: later calls take it, and nothing runs twice', async () => {
    const gate = deferred()
    const cache = through(memoryCache(), {
      put: async (store) => {
        await gate.promise
        await store()
      },
    })
    await using engine = testEngine({ cache })
    const { call, ran } = observed({ name: 'slow-put', ...cached }, (n: number) => n)
    const ask = flow('ask', () => call(1))
    const first = ask()
    expect(await engine.settle(first)).toBe(1)
    const second = ask()
    await quiet()
    gate.resolve()
    expect(await engine.settle(second)).toBe(1)
    expect(ran).toHaveLength(1)
  })
})

describe('a cache that is asked', () => {
  it('gets keys of 32 hexadecimal digits, one for each call, and entries of bytes, run and expiry', async () => {
    const seen: unknown[] = []
    const cache = through(memoryCache(), {
      get: (ask, key) => {
        seen.push(['get', key])
        return ask()
      },
      put: (store, key, entry) => {
        seen.push(['put', key, entry])
        return store()
      },
    })
    await using engine = testEngine({ cache })
    const { call } = observed({ name: 'seen', ...cached, cacheExpiry: '1m' }, (n: number) => n)
    const run = flow('seen', async () => [await call(1), await call(1)])()
    await engine.settle(run)
    const key = expect.stringMatching(/^[0-9a-f]{32}$/) as unknown
    const entry = {
      value: expect.any(Uint8Array) as unknown,
      runId: expect.stringContaining(`${run.id}.`) as unknown,
      expires: engine.clock.now() + 60_000,
    }
    expect(seen).toEqual([
      ['get', key],
      ['put', key, entry],
      ['get', key],
    ])
  })

  it('is not asked for tasks without a cache, for calls without a key, or twice for one key at once', async () => {
    let asked = 0
    const cache = through(memoryCache(), {
      get: (ask) => {
        asked++
        return ask()
      },
    })
    await using engine = testEngine({ cache })
    const plain = task('plain', () => 1)
    const { call } = observed(
      { name: 'keyed', cacheKey: (n: number) => (n === 0 ? undefined : `${n}`) },
      (n: number) => n,
    )
    const run = flow('asks', () => [plain(), call(0), call(1), call(1), call(1), call(2)])()
    await engine.settle(run)
    expect(asked).toBe(2)
  })
})
