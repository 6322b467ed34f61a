import { flow, task } from '@troupe/core'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { code, outcomeOf, statesOf, testEngine } from './support.ts'

type Validate<In extends unknown[], Out extends unknown[]> = StandardSchemaV1<
  In,
  Out
>['~standard']['validate']

/** A schema written by hand, as any Standard Schema library makes them. */
function schema<In extends unknown[], Out extends unknown[]>(
  validate: Validate<In, Out>,
): StandardSchemaV1<In, Out> {
  return { '~standard': { version: 1, vendor: 'by hand', validate } }
}

/** Takes a positive number, as text too, and a unit that is `m` where it is left out. */
function check(args: unknown): StandardSchemaV1.Result<[number, string]> {
  const [value, unit = 'm'] = args as [unknown, string?]
  const number = Number(value)
  if (number > 0) return { value: [number, unit] }
  return {
    issues: [
      { message: 'must be positive', path: [0] },
      { message: 'in all', path: [{ key: 'a' }, 'b'] },
    ],
  }
}

const length = schema<[number | string, string?], [number, string]>(check)
const lengthLater = schema<[number | string, string?], [number, string]>(async (args) => check(args))

for (const [kind, parameters] of [
  ['a sync schema', length],
  ['an async schema', lengthLater],
] as const) {
  describe(`parameters with ${kind}`, () => {
    it('give the body what the schema gives: converted, with defaults', async () => {
      await using engine = testEngine()
      const show = task({ name: 'show', parameters }, (n, unit) => `${typeof n} ${n} ${unit}`)
      expect(await engine.settle(show('12'))).toBe('number 12 m')
      expect(
        await engine.settle(flow({ name: 'show-flow', parameters }, (n, unit) => n + unit)(3, 'km')),
      ).toBe('3km')
    })

    it('that are invalid fail the run, with all issues, and its body is not run', async () => {
      await using engine = testEngine()
      let ran = false
      const body = (): void => {
        ran = true
      }
      for (const run of [
        task({ name: 'picky', parameters, retries: 3 }, body)(-1),
        flow({ name: 'picky', parameters, retries: 3 }, body)('none'),
      ]) {
        expect(await outcomeOf(engine, run)).toMatchObject({
          state: 'Failed',
          message: 'invalid parameters of picky: 0: must be positive; a.b: in all',
          error: { code: 'INVALID_PARAMETERS', details: { issues: [{ path: [0] }, { message: 'in all' }] } },
        })
        expect(await statesOf(engine, run)).toEqual(['Pending', 'Failed'])
      }
      expect(ran).toBe(false)
    })

    it('are checked when the futures among them have values', async () => {
      await using engine = testEngine()
      const source = task('source', (n: number) => n)
      const show = task({ name: 'show', parameters }, (n, unit) => `${n}${unit}`)
      const run = flow('checks-futures', async () => [
        await show(source(4)),
        (await show(source(-4)).wait()).name,
      ])()
      expect(await engine.settle(run)).toEqual(['4m', 'Failed'])
    })
  })
}

describe('a schema', () => {
  it('that throws or rejects makes the parameters invalid', async () => {
    await using engine = testEngine()
    const throwing = schema<[], []>(() => {
      throw new RangeError('bad schema')
    })
    const rejecting = schema<[], []>(async () => {
      throw new RangeError('bad schema')
    })
    for (const parameters of [throwing, rejecting]) {
      expect(await outcomeOf(engine, task({ name: 'threw', parameters }, () => 1)())).toMatchObject({
        state: 'Failed',
        error: {
          code: 'INVALID_PARAMETERS',
          message: expect.stringContaining('bad schema') as unknown,
          cause: { name: 'RangeError' },
        },
      })
    }
  })

  it('that gives no list is refused', async () => {
    await using engine = testEngine()
    const odd = schema<[], []>(() => ({ value: 'text' as unknown as [] }))
    expect(await outcomeOf(engine, task({ name: 'odd', parameters: odd }, () => 1)())).toMatchObject({
      state: 'Failed',
      error: code('INVALID_PARAMETERS'),
    })
  })

  it('that is still checking can be cancelled', async () => {
    await using engine = testEngine()
    let ran = false
    let finish: (result: StandardSchemaV1.Result<[]>) => void = () => undefined
    const slow = schema<[], []>(() => new Promise((resolve) => (finish = resolve)))
    const run = flow({ name: 'checking', parameters: slow }, () => {
      ran = true
    })()
    expect(await engine.settle(run.cancel())).toMatchObject({ name: 'Cancelled' })
    finish({ value: [] })
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Cancelled'])
    expect(ran).toBe(false)
  })

  it('that is still checking when the engine is closed starts nothing', async () => {
    const engine = testEngine()
    let ran = false
    let finish: (result: StandardSchemaV1.Result<[]>) => void = () => undefined
    const slow = schema<[], []>(() => new Promise((resolve) => (finish = resolve)))
    const begin = (): void => {
      ran = true
    }
    flow({ name: 'checking', parameters: slow }, begin)().ignore()
    await engine.close()
    finish({ value: [] })
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(ran).toBe(false)
  })
})

describe('parameters with a schema of', () => {
  const libraries = {
    zod: z.tuple([z.string().min(2)]),
    valibot: v.tuple([v.pipe(v.string(), v.minLength(2))]),
    arktype: type(['string >= 2']),
  }
  for (const [name, parameters] of Object.entries(libraries)) {
    it(`${name} are checked`, async () => {
      await using engine = testEngine()
      const shout = task(
        { name: `shout-${name}`, parameters: parameters as StandardSchemaV1<[string]> },
        (text) => text.toUpperCase(),
      )
      expect(await engine.settle(shout('abc'))).toBe('ABC')
      expect(await outcomeOf(engine, shout('a'))).toMatchObject({
        state: 'Failed',
        error: { code: 'INVALID_PARAMETERS', details: { issues: [{}] } },
      })
    })
  }

  it('zod are converted, by reference and encoded', async () => {
    for (const strictValues of [true, false]) {
      await using engine = testEngine({ strictValues })
      const parameters = z.tuple([z.coerce.number(), z.object({ unit: z.string().default('m') })])
      const show = flow({ name: 'show-zod', parameters }, (n, { unit }) => `${n + 1}${unit}`)
      expect(await engine.settle(show('4', {}))).toBe('5m')
    }
  })
})
