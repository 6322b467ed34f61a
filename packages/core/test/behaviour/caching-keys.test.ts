import {
  allowFailure,
  flow,
  flowParameters,
  inputs,
  registerValue,
  runId,
  task,
  taskSource,
  version,
  type CachePolicy,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { observed, runsFor, warnings } from './caching-support.ts'
import { code, testEngine } from './support.ts'

const byInputs = { cache: inputs() }
const one = task('one', (value: number) => value)
const list = task('list', (...items: number[]) => items)

describe('inputs()', () => {
  const map = new Map<unknown, unknown>([
    ['a', 1],
    [{ x: 1 }, 'object'],
  ])
  it.each<[string, unknown[], unknown[]]>([
    [
      'objects with their properties in another order',
      [{ a: 1, b: { c: 2, d: 3 } }],
      [{ b: { d: 3, c: 2 }, a: 1 }],
    ],
    ['Maps with their entries in another order', [map], [new Map([...map].toReversed())]],
    ['Sets with their members in another order', [new Set([1, 'a', [2]])], [new Set([[2], 'a', 1])]],
    ['objects with a property that is undefined, and without it', [{ a: 1 }], [{ a: 1, b: undefined }]],
    ['a call with undefined at its end', [1], [1, undefined]],
    ['a call with several', [], [undefined, undefined]],
    [
      'equal lists, dates, patterns, addresses, bytes and big numbers',
      [[1, [2]], new Date(5), /x/gi, new URL('https://troupe.dev/a'), Uint8Array.of(1, 2), 10n ** 30n],
      [[1, [2]], new Date(5), /x/gi, new URL('https://troupe.dev/a'), Uint8Array.of(1, 2), 10n ** 30n],
    ],
    ['NaN', [Number.NaN], [Number.NaN]],
    ['text of any kind', ['ü \u{1F600} \0 \uD800'], ['ü \u{1F600} \0 \uD800']],
    ['views of equal bytes', [Uint8Array.of(0, 1, 2).subarray(1)], [Uint8Array.of(1, 2)]],
  ])('takes for the same call: %s', async (_, first, second) => {
    await using engine = testEngine()
    expect(await runsFor(engine, byInputs, first, second)).toEqual([0])
  })

  it.each<[string, unknown[], unknown[]]>([
    ['a number and its text', [1], ['1']],
    ['a number and a big number', [1], [1n]],
    ['null and undefined', [null], [undefined]],
    ['an empty list and an empty object', [[]], [{}]],
    ['lists in another order', [[1, 2]], [[2, 1]]],
    ['undefined before the end', [undefined, 1], [1]],
    ['undefined at the end of a list in an argument', [[1]], [[1, undefined]]],
    ['an argument and a list of it', [1, 2], [[1, 2]]],
    ['arguments that read alike side by side', ['ab', 'c'], ['a', 'bc']],
    ['a Set and a list', [new Set([1])], [[1]]],
    ['a Map and an object', [new Map([['a', 1]])], [{ a: 1 }]],
    ['a date and its number', [new Date(5)], [5]],
    ['halves of a pair of surrogates', ['\uD800'], ['\uD801']],
    ['a list with a hole filled by undefined, and a shorter one', [[undefined]], [[]]],
  ])('tells apart: %s', async (_, first, second) => {
    await using engine = testEngine()
    expect(await runsFor(engine, byInputs, first, second, first, second)).toEqual([0, 1])
  })

  it('counts a future by its value, wherever it stands', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'sum', ...byInputs }, (a: number, { list }: { list: number[] }) =>
      list.reduce((sum, n) => sum + n, a),
    )
    const holder = task('holder', (items: number[]) => ({ list: items }))
    const run = flow('futures', async () => [
      await call(1, { list: [2, 3] }),
      await call(one(1), { list: [2, one(3)] }),
      await call(one(one(1)), { list: list(2, one(3)) }),
      await call(1, holder(list(2, 3))),
    ])()
    expect(await engine.settle(run)).toEqual([6, 6, 6, 6])
    expect(ran).toHaveLength(1)
  })

  it('counts what schemas make of the arguments', async () => {
    await using engine = testEngine()
    let calls = 0
    const parsed = task(
      {
        name: 'parsed',
        parameters: z.tuple([z.coerce.number(), z.string().trim().default('none')]),
        ...byInputs,
      },
      (n, text) => `${++calls} ${n} ${text}`,
    )
    const run = flow('parses', async () => [
      await parsed('7', ' a '),
      await parsed(7, 'a'),
      await parsed(7),
      await parsed('7', 'none'),
    ])()
    expect(await engine.settle(run)).toEqual(['1 7 a', '1 7 a', '2 7 none', '2 7 none'])
  })

  it('counts instances of registered classes by what is written of them', async () => {
    class Money {
      readonly cents: number
      seen = 0
      constructor(cents: number) {
        this.cents = cents
      }
    }
    registerValue(Money, {
      name: 'test/caching-keys/Money',
      encode: ({ cents }) => cents,
      decode: (cents) => new Money(cents),
    })
    await using engine = testEngine()
    const seen = new Money(1)
    seen.seen = 9
    expect(await runsFor(engine, byInputs, [new Money(1)], [seen], [new Money(2)], [1])).toEqual([0, 2, 3])
  })

  it('takes -0 for 0, and errors of one name and message for the same', async () => {
    await using engine = testEngine()
    expect(await runsFor(engine, byInputs, [0], [-0])).toEqual([0])
    const second = Object.assign(new Error('x'), { code: 'OTHER' })
    expect(await runsFor(engine, byInputs, [new TypeError('x')], [new Error('x')], [second])).toEqual([0, 1])
  })

  it('counts the error that allowFailure passes on', async () => {
    await using engine = testEngine()
    const fails = task('fails', (why: string): number => {
      throw new Error(why)
    })
    const { call, ran } = observed(
      { name: 'tolerant', ...byInputs },
      (value: unknown) => (value as Error).message,
    )
    const run = flow('tolerates', async () => [
      await call(allowFailure(fails('a')) as unknown),
      await call(allowFailure(fails('a')) as unknown),
      await call(allowFailure(fails('b')) as unknown),
    ])()
    expect(await engine.settle(run)).toEqual(['a', 'a', 'b'])
    expect(ran).toHaveLength(2)
  })

  it('looks at the arguments as they are when the call is ready, not at what the body makes of them', async () => {
    await using engine = testEngine({ strictValues: false })
    const { call, ran } = observed({ name: 'changes', ...byInputs }, (list: number[]) => {
      list.push(0)
      return list.length
    })
    const run = flow('changing', async () => [await call([1]), await call([1]), await call([1, 0])])()
    expect(await engine.settle(run)).toEqual([2, 2, 3])
    expect(ran).toHaveLength(2)
  })
})

describe('inputs({ omit })', () => {
  it.each<[string, (number | string)[], unknown[][], number[]]>([
    [
      'an argument by its place',
      [1],
      [
        ['a', 1],
        ['a', 2],
        ['b', 1],
      ],
      [0, 2],
    ],
    ['the last, also where it is not given', [1], [['a', 1], ['a']], [0]],
    ['the first, and the others keep their places', [0], [[1, 'a'], [2, 'a'], ['a']], [0, 2]],
    [
      'several',
      [0, 2],
      [
        [1, 'a', 1],
        [2, 'a', 2],
        [1, 'b', 1],
      ],
      [0, 2],
    ],
    ['all', [0, 1], [[1, 2], [3, 4], []], [0]],
    [
      'a place as text',
      ['1'],
      [
        ['a', 1],
        ['a', 2],
      ],
      [0],
    ],
    [
      'a property',
      ['0.requestId'],
      [[{ id: 1, requestId: 'x' }], [{ id: 1, requestId: 'y' }], [{ id: 1 }], [{ id: 2 }]],
      [0, 3],
    ],
    [
      'a property far below',
      ['0.a.b.c'],
      [[{ a: { b: { c: 1, d: 2 } } }], [{ a: { b: { c: 9, d: 2 } } }], [{ a: { b: { c: 1, d: 3 } } }]],
      [0, 2],
    ],
    [
      'a property of an item of a list',
      ['0.1.at'],
      [[[{ at: 1 }, { at: 1 }]], [[{ at: 1 }, { at: 2 }]], [[{ at: 2 }, { at: 1 }]]],
      [0, 2],
    ],
    ['an item of a list', ['0.0'], [[[1, 2]], [[3, 2]], [[3, 4]]], [0, 2]],
    [
      'two properties of one argument',
      ['0.a', '0.b'],
      [[{ a: 1, b: 1, c: 1 }], [{ a: 2, b: 2, c: 1 }], [{ c: 1 }], [{ c: 2 }]],
      [0, 3],
    ],
    ['what is below something else that is left out', ['0', '0.a'], [[{ a: 1 }], [{ b: 1 }]], [0]],
    [
      'a path that leads nowhere',
      ['5', '0.x.y', '0.a.b.c'],
      [[{ a: null }], [{ a: null }], [{ a: 1 }], [1], [null]],
      [0, 2, 3, 4],
    ],
    ['a path that the prototype has', ['0.toString', '0.__proto__'], [[{ a: 1 }], [{ a: 2 }]], [0, 1]],
    [
      'nothing',
      [],
      [
        [1, 2],
        [1, 3],
      ],
      [0, 1],
    ],
  ])('leaves out %s', async (_, omit, calls, ranFor) => {
    await using engine = testEngine()
    expect(await runsFor(engine, { cache: inputs({ omit }) }, ...calls)).toEqual(ranFor)
    expect(warnings(engine)).toEqual([])
  })

  it('leaves the length of a list alone: its items count', async () => {
    await using engine = testEngine()
    const cache = inputs({ omit: ['0.length'] })
    expect(await runsFor(engine, { cache }, [[1, 2]], [[9, 2]])).toEqual([0, 1])
  })

  it('leaves out what could not be hashed, so that the rest can', async () => {
    await using engine = testEngine({ strictValues: false })
    const log = (): void => undefined
    const calls = [
      [{ log, n: 1 }, log],
      [{ log: () => 1, n: 1 }, () => 2],
      [{ log, n: 2 }, log],
    ]
    expect(await runsFor(engine, { cache: inputs({ omit: ['0.log', 1] }) }, ...calls)).toEqual([0, 2])
    expect(warnings(engine)).toEqual([])
  })

  it('does not change the arguments that the body gets', async () => {
    await using engine = testEngine({ strictValues: false })
    const given = { id: 1, requestId: 'x', list: [1, 2] }
    const { call, ran } = observed(
      { name: 'whole', cache: inputs({ omit: ['0.requestId', '0.list.0', 1] }) },
      (_given: object, _more: string) => undefined,
    )
    await engine.settle(flow('whole', () => call(given, 'more'))())
    expect(ran).toEqual([[{ id: 1, requestId: 'x', list: [1, 2] }, 'more']])
    expect(ran[0]?.[0]).toBe(given)
  })

  it('says nothing of Maps, which count whole', async () => {
    await using engine = testEngine()
    const calls = [[new Map([['requestId', 1]])], [new Map([['requestId', 2]])]]
    expect(await runsFor(engine, { cache: inputs({ omit: ['0.requestId'] }) }, ...calls)).toEqual([0, 1])
  })

  it.each([['requestId'], ['.0'], ['0.'], ['0..a'], ['-1'], [-1], [''], [Number.NaN], [null], [{}]])(
    'refuses the path %j',
    (path) => {
      expect(() => inputs({ omit: [path as string] })).toThrow(code('INVALID_OPTION', /`omit`/))
    },
  )

  it('refuses what is no list of paths', () => {
    expect(() => inputs({ omit: [1.5] })).toThrow(code('INVALID_OPTION', /`omit`/))
    for (const omit of ['0', 0, null, {}, new Set([0])])
      expect(() => inputs({ omit: omit as unknown as number[] })).toThrow(code('INVALID_OPTION', /`omit`/))
  })
})

describe('taskSource()', () => {
  const named = { name: 'sourced', cache: taskSource() }

  it('alone takes all calls of a body for the same, whatever their arguments', async () => {
    await using engine = testEngine()
    expect(await runsFor(engine, { cache: taskSource() }, [1], [2], ['x'])).toEqual([0])
  })

  it('makes another key of another source text, and the same of an equal one', async () => {
    await using engine = testEngine()
    const first = task(named, (n: number) => n + 1)
    const changed = task(named, (n: number) => n + 2)
    const restored = task(named, (n: number) => n + 1)
    const run = flow('sources', async () => [
      await first(1),
      await changed(1),
      await restored(5),
      await first(9),
    ])()
    expect(await engine.settle(run)).toEqual([2, 3, 2, 2])
  })

  it('warns of a body without source text, and runs it', async () => {
    await using engine = testEngine()
    const bound = task(named, ((n: number) => n).bind(undefined))
    const run = flow('bound', async () => [await bound(1), await bound(2)])()
    expect(await engine.settle(run)).toEqual([1, 2])
    const [warning = ''] = warnings(engine)
    expect(warning).toMatch(/its cache key can't be made, and it runs uncached: the body of sourced is bound/)
    expect(warning).toMatch(/use `version\('…'\)`/)
    expect(warnings(engine)).toHaveLength(2)
  })

  it('takes the words of a native function in a body for what they are: its text', async () => {
    await using engine = testEngine()
    const tells = task(named, (text: string) => text.includes('[native code]'))
    const run = flow('tells', async () => [await tells('x'), await tells('[native code]')])()
    expect(await engine.settle(run)).toEqual([false, false])
    expect(warnings(engine)).toEqual([])
  })
})

describe('flowParameters()', () => {
  const asked = observed({ name: 'by-flow', cache: flowParameters() }, (n: number) => n)
  const asking = flow('asking', async (_parameter: unknown, ...list: number[]) => {
    const values: number[] = []
    for (const n of list) values.push(await asked.call(n))
    return values
  })

  it('takes calls in flow runs with equal parameters for the same, whatever their own arguments', async () => {
    await using engine = testEngine()
    expect(await engine.settle(asking({ a: 1, b: 2 }, 1))).toEqual([1])
    expect(await engine.settle(asking({ b: 2, a: 1 }, 1))).toEqual([1])
    expect(await engine.settle(asking({ a: 1 }, 2, 3))).toEqual([2, 2])
    expect(asked.ran).toEqual([[1], [2]])
  })

  it('are those of the flow run that the task run belongs to, through tasks, and not those above a subflow', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'leaf', cache: flowParameters() }, (n: number) => n)
    const between = task('between', (n: number) => call(n))
    const below = flow('below', (_p: string, n: number) => between(n))
    const above = flow('above', async (_p: string) => [
      await below('same', 1),
      await below('same', 1),
      await below('other', 1),
    ])
    expect(await engine.settle(above('first'))).toEqual([1, 1, 1])
    expect(await engine.settle(above('second'))).toEqual([1, 1, 1])
    expect(ran).toHaveLength(2)
  })

  it('do not count outside any flow', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'rootless', cache: flowParameters() }, (n: number) => n)
    expect(await engine.settle(call(1))).toBe(1)
    expect(await engine.settle(call(2))).toBe(1)
    expect(ran).toEqual([[1]])
  })

  it('are what the body got, also where it changes them', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'early', cache: [flowParameters(), inputs()] }, (n: number) => n)
    const changing = flow('changing', async (options: { seen: number[] }) => {
      await call(1)
      options.seen.push(1)
      await call(1)
    })
    await engine.settle(changing({ seen: [] }))
    expect(ran).toEqual([[1]])
  })

  it('are the same for a flow that is given undefined at its end', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'optional', cache: flowParameters() }, () => 1)
    const optional = flow('optional', (_a: number, _b?: string) => call())
    await engine.settle(optional(1))
    await engine.settle(optional(1, undefined))
    expect(ran).toHaveLength(1)
  })

  it('that can’t be hashed mean a warning and a run', async () => {
    await using engine = testEngine({ strictValues: false })
    const { call, ran } = observed({ name: 'unhashable', cache: flowParameters() }, () => 1)
    const takesFunction = flow('takes-function', async (_fn: () => void) => [await call(), await call()])
    expect(await engine.settle(takesFunction(() => undefined))).toEqual([1, 1])
    expect(ran).toHaveLength(2)
    expect(warnings(engine)[0]).toMatch(/its cache key can't be made/)
  })
})

describe('runId()', () => {
  it('takes calls of one flow run for the same, whatever their arguments, and those of others for others', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'once-a-run', cache: runId() }, (n: number) => n)
    const nested = task('nested', (n: number) => call(n))
    const below = flow('below', (n: number) => call(n))
    const above = flow('above', async (n: number) => [await call(n), await nested(n + 1), await below(n + 2)])
    expect(await engine.settle(above(1))).toEqual([1, 1, 3])
    expect(await engine.settle(above(10))).toEqual([10, 10, 12])
    expect(ran).toEqual([[1], [3], [10], [12]])
  })

  it('is of no use outside any flow: each run is one of its own', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'alone', cache: runId() }, () => 1)
    await engine.settle(call())
    await engine.settle(call())
    expect(ran).toHaveLength(2)
  })
})

describe("version('…')", () => {
  it('alone takes all calls for the same until the text changes', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'versioned', cache: version('1') }, (n: number) => n)
    const second = call.with({ cache: version('2') })
    const run = flow('versions', async () => [
      await call(1),
      await call(2),
      await second(3),
      await second(4),
      await call(5),
    ])()
    expect(await engine.settle(run)).toEqual([1, 1, 3, 3, 1])
    expect(ran).toEqual([[1], [3]])
  })

  it.each([[''], [1], [undefined], [null], [{}]])('refuses %j', (text) => {
    expect(() => version(text as string)).toThrow(code('INVALID_OPTION', /`version`/))
  })
})

describe('policies in a list', () => {
  it('make a key of all of them', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'composed', cache: [inputs(), runId()] }, (n: number) => n)
    const asks = flow('asks', async () => [await call(1), await call(2), await call(1)])
    await engine.settle(asks())
    expect(ran).toEqual([[1], [2]])
    await engine.settle(asks())
    expect(ran).toEqual([[1], [2], [1], [2]])
  })

  it.each<[string, [CachePolicy, ...CachePolicy[]]]>([
    ['inputs and version', [inputs(), version('x')]],
    ['inputs and source', [inputs(), taskSource()]],
    ['inputs with parts left out, twice', [inputs({ omit: [1] }), inputs({ omit: [0] })]],
    ['all', [inputs(), taskSource(), flowParameters(), runId(), version('x')]],
  ])('%s: another argument is another call', async (_, cache) => {
    await using engine = testEngine()
    expect(await runsFor(engine, { cache }, [1, 1], [1, 2], [1, 1], [2, 1], [2, 1])).toEqual([0, 1, 3])
  })

  it('one alone and in a list make the same key', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'listed', cache: inputs() }, (n: number) => n)
    const listed = call.with({ cache: [inputs()] })
    await engine.settle(flow('both', async () => [await call(1), await listed(1)])())
    expect(ran).toHaveLength(1)
  })
})
