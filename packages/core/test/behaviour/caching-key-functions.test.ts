import { flow, inputs, opaque, task, version } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { observed, runsFor, taskSteps, warnings } from './caching-support.ts'
import { testEngine } from './support.ts'

const byInputs = { cache: inputs() }
const one = task('one', (value: string) => value)

describe('the key of a call', () => {
  it('has the name and the version of its task in it, and not the options of the call', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'a', cache: inputs() }, (n: number) => n)
    const run = flow('same', async () => {
      await call(1)
      await call.with({ retries: 2, tags: ['x'], runName: 'other', key: 'k', timeout: '1m' })(1)
      await call.with({ name: 'b' })(1)
      await call.with({ version: '2' })(1)
      await call.with({ name: 'b' }).with({ version: '1' })(1)
    })
    await engine.settle(run())
    expect(ran).toHaveLength(3)
  })

  it('is apart from those of functions of the same text', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'text', cache: version('x') }, () => 1)
    const keyed = call.with({ cacheKey: () => 'x' })
    await engine.settle(
      flow('texts', async () => [await call(), await keyed(), await keyed(), await call()])(),
    )
    expect(ran).toHaveLength(2)
  })

  it('of arguments that can’t be hashed is none: the body runs, and the log says what to do', async () => {
    await using engine = testEngine({ strictValues: false })
    const { call, ran } = observed(
      { name: 'takes-function', cache: inputs() },
      (n: number, fn: () => number) => n + fn(),
    )
    const run = flow('unhashable', async () => [await call(1, () => 1), await call(1, () => 1)])()
    expect(await engine.settle(run)).toEqual([2, 2])
    expect(ran).toHaveLength(2)
    expect(await taskSteps(engine, run)).toEqual(
      ['takes-function-1', 'takes-function-2'].flatMap((name) =>
        ['Pending', 'Running', 'Completed'].map((state) => `${name}: ${state}`),
      ),
    )
    const lines = engine.lines.filter(({ level }) => level === 'warn')
    expect(lines).toHaveLength(2)
    expect(lines[0]?.message).toMatch(/its cache key can't be made, and it runs uncached: .*a function/)
    expect(lines[0]?.message).toMatch(
      /leave the part out with `inputs\(\{ omit: \[…\] \}\)`, or give `cacheKey`/,
    )
    expect(lines[0]?.fields).toMatchObject({
      run: 'takes-function-1',
      flowRunId: run.id,
      runId: expect.stringContaining(`${run.id}.`) as unknown,
      err: { code: 'NOT_ENCODABLE' },
    })
  })

  it.each([
    [
      'a cycle',
      () => {
        const list: unknown[] = []
        list.push(list)
        return list
      },
    ],
    ['a symbol', () => Symbol('x')],
    ['an instance of a class that is not registered', () => new (class Unknown {})()],
    [
      'a proxy that was revoked',
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return opaque(proxy)
      },
    ],
  ])('can’t be made of %s', async (_, make) => {
    await using engine = testEngine({ strictValues: false })
    expect(await runsFor(engine, byInputs, [make()], [make()])).toEqual([0, 1])
    expect(warnings(engine)).toHaveLength(2)
  })
})

describe('cacheKey', () => {
  it('says by a text which calls are the same', async () => {
    await using engine = testEngine()
    const options = { cacheKey: (a: number, b: number) => `${a + b}` }
    expect(await runsFor(engine, options, [1, 2], [2, 1], [3, 0], [1, 1])).toEqual([0, 3])
  })

  it('gets the values of futures, and takes all texts as they are, the empty one, too', async () => {
    await using engine = testEngine()
    const keys: string[] = []
    const { call, ran } = observed(
      { name: 'keyed', cacheKey: (text: string) => (keys.push(text), text) },
      (text: string) => text,
    )
    const texts = ['', 'a', 'a\0', '\uD800', '\uD801', 'ü'.normalize('NFC'), 'ü'.normalize('NFD')]
    const run = flow('texts', async () => {
      for (const text of [...texts, ...texts]) await call(one(text))
    })
    await engine.settle(run())
    expect(ran.flat()).toEqual(texts)
    expect(keys).toEqual([...texts, ...texts])
  })

  it('that gives undefined means that the call is not cached, and nothing is said of it', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'sometimes', cacheKey: (n: number) => (n > 0 ? 'positive' : undefined) },
      (n: number) => n,
    )
    const run = flow('some', async () => [
      await call(-1),
      await call(-2),
      await call(1),
      await call(2),
      await call(-1),
    ])()
    expect(await engine.settle(run)).toEqual([-1, -2, 1, 1, -1])
    expect(ran).toHaveLength(4)
    expect(warnings(engine)).toEqual([])
  })

  it.each([
    ['null', () => null, /`cacheKey` to give a text, got null/],
    ['a number', () => 7, /to give a text, got 7/],
    ['a list', () => ['a'], /to give a text/],
    ['a promise', async () => 'a', /to give a text, got a promise/],
    [
      'what it throws',
      () => {
        throw new TypeError('no account')
      },
      /no account/,
    ],
    [
      'what is no error',
      () => {
        throw 'nothing'
      },
      /nothing/,
    ],
  ])('that gives %s means a warning, and a run', async (_, make, message) => {
    await using engine = testEngine()
    const cacheKey = make as unknown as () => string
    expect(await runsFor(engine, { cacheKey }, [1], [1])).toEqual([0, 1])
    expect(warnings(engine)).toHaveLength(2)
    expect(warnings(engine)[0]).toMatch(message)
  })

  it('that throws is not told to be given', async () => {
    await using engine = testEngine()
    const cacheKey = (): string => {
      throw new TypeError('no account')
    }
    await runsFor(engine, { cacheKey }, [1])
    expect(warnings(engine)[0]).not.toMatch(/or give `cacheKey`/)
  })

  it('that is asynchronous and rejects ends no process', async () => {
    await using engine = testEngine()
    const cacheKey = (async () => {
      throw new TypeError('no account')
    }) as unknown as () => string
    expect(await runsFor(engine, { cacheKey }, [1], [1])).toEqual([0, 1])
    expect(warnings(engine)).toHaveLength(2)
  })

  it('may look at what could not be hashed', async () => {
    await using engine = testEngine({ strictValues: false })
    const options = { cacheKey: (fn: { name: string }) => fn.name }
    expect(await runsFor(engine, options, [function a() {}], [function a() {}], [function b() {}])).toEqual([
      0, 2,
    ])
    expect(warnings(engine)).toEqual([])
  })
})
