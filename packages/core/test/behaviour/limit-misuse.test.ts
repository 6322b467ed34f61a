import { flow, task, type Limit, type LimitTarget } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, testEngine } from './support.ts'

const twoTargets = { tag: 'x', task: 'y', concurrency: 1 } as unknown as Limit

describe('misuse of limits', () => {
  const invalid: [string, unknown][] = [
    ['two targets', twoTargets],
    ['no target', { concurrency: 1 }],
    ['an empty name', { tag: '', concurrency: 1 }],
    ['a name that is no text', { task: 5, concurrency: 1 }],
    ['a slot too few', { tag: 'x', concurrency: 0 }],
    ['fewer than none', { tag: 'x', concurrency: -1 }],
    ['half a slot', { tag: 'x', concurrency: 1.5 }],
    ['endless slots', { tag: 'x', concurrency: Number.POSITIVE_INFINITY }],
    ['no number', { tag: 'x', concurrency: Number.NaN }],
    ['a text for a number', { tag: 'x', concurrency: '2' }],
    ['null slots', { tag: 'x', concurrency: null }],
    ['neither slots nor rate', { tag: 'x' }],
    ['a rate of none', { tag: 'x', rate: { count: 0, per: '1s' } }],
    ['a rate of half', { tag: 'x', rate: { count: 0.5, per: '1s' } }],
    ['a rate in no time', { tag: 'x', rate: { count: 1, per: 0 } }],
    ['a rate that is a number', { tag: 'x', rate: 5 }],
    ['good slots with a bad rate', { tag: 'x', concurrency: 5, rate: { count: -1, per: '1s' } }],
    ['a text', 'db'],
  ]
  const careless: [string, unknown][] = [
    ['null', null],
    ['nothing', undefined],
    ['a null rate', { tag: 'x', rate: null }],
    ['a misspelt option', { tag: 'x', concurrency: 1, raet: { count: 1, per: '1s' } }],
  ]
  const durations: [string, unknown][] = [
    ['a week', { tag: 'x', rate: { count: 1, per: '1 week' } }],
    ['endless', { tag: 'x', rate: { count: 1, per: Number.POSITIVE_INFINITY } }],
    ['before now', { tag: 'x', rate: { count: 1, per: -5 } }],
    ['no time', { tag: 'x', rate: { count: 1 } }],
  ]

  /** What each way to give a limit throws. */
  async function refusals(limit: unknown): Promise<unknown[]> {
    await using engine = testEngine({ limits: [{ tag: 'x', concurrency: 2 }] })
    const before = engine.limits.list()
    const ways = [
      () => engine.limits.set(limit as Limit),
      () => testEngine({ limits: [{ tag: 'y', concurrency: 1 }, limit as Limit] }),
    ]
    const thrown = ways.map((way) => {
      try {
        return way()
      } catch (error) {
        return error
      }
    })
    expect(engine.limits.list()).toEqual(before)
    // The engine that could not be made is not open: a call still knows the one that is.
    expect(await engine.settle(flow('still-one', () => 1)())).toBe(1)
    return thrown
  }

  it.each(invalid)('throws INVALID_OPTION for %s, and changes nothing', async (_, limit) => {
    expect(await refusals(limit)).toEqual([code('INVALID_OPTION'), code('INVALID_OPTION')])
  })

  it.each(careless)('throws INVALID_OPTION for %s, and changes nothing', async (_, limit) => {
    expect(await refusals(limit)).toEqual([code('INVALID_OPTION'), code('INVALID_OPTION')])
  })

  it.each(durations)('throws INVALID_DURATION for a rate in %s, and changes nothing', async (_, limit) => {
    expect(await refusals(limit)).toEqual([code('INVALID_DURATION'), code('INVALID_DURATION')])
  })

  it('throws INVALID_OPTION where limits are no list', () => {
    for (const limits of [{ tag: 'x', concurrency: 1 }, 'x', 5])
      expect(() => testEngine({ limits: limits as never })).toThrow(code('INVALID_OPTION') as Error)
  })

  it('throws INVALID_OPTION where a removal has no target, or two', async () => {
    await using engine = testEngine({ limits: [{ tag: 'x', concurrency: 2 }] })
    for (const target of [{}, { tag: '' }, { flow: 3 }, twoTargets, 'x'])
      expect(() => engine.limits.remove(target as LimitTarget)).toThrow(code('INVALID_OPTION') as Error)
    expect(engine.limits.list()).toHaveLength(1)
    expect(engine.limits.remove({ tag: 'y' })).toBe(false)
    expect(engine.limits.remove({ task: 'x' })).toBe(false)
  })

  it('throws INVALID_OPTION where a removal is of nothing at all', async () => {
    await using engine = testEngine({ limits: [{ tag: 'x', concurrency: 2 }] })
    for (const target of [null, undefined])
      expect(() => engine.limits.remove(target as never)).toThrow(code('INVALID_OPTION') as Error)
  })

  it('throws for a priority that is no finite number', () => {
    for (const priority of [Number.NaN, Number.POSITIVE_INFINITY, '1', null])
      expect(() => task({ name: 'urgent', priority: priority as number }, () => 1)).toThrow(
        code('INVALID_OPTION') as Error,
      )
  })

  it('throws for a waiting time that is no duration, or none at all', () => {
    const named = (waitTimeout: unknown) => () =>
      task({ name: 'waits', waitTimeout: waitTimeout as '1s' }, () => 1)
    for (const waitTimeout of ['1 week', -1, Number.NaN, true])
      expect(named(waitTimeout)).toThrow(code('INVALID_DURATION') as Error)
    expect(named(0)).toThrow(code('INVALID_OPTION') as Error)
  })
})
