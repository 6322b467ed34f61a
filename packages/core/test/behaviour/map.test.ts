import { flow, task, unmapped } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, outcomeOf, steps, testEngine, all } from './support.ts'

const join = task('join', (a: string, b: string, c: string = '-') => `${a}${c}${b}`)
const letters = task('letters', (text: string) => text.split(''))
const letter = task('letter', (text: string) => text)
const count = task('count', (list: string[], item: string) => list.filter((one) => one === item).length)

describe('`map`', () => {
  it('calls the task once for each item, in order, and gives the futures', async () => {
    await using engine = testEngine()
    const run = flow('maps', () => {
      const futures = letter.map(['a', 'b', 'c'])
      expect(futures.map(({ kind }) => kind)).toEqual(['task', 'task', 'task'])
      return futures
    })()
    expect(await engine.settle(run)).toEqual(['a', 'b', 'c'])
    const submitted = (await all(run.transitions)).filter(({ kind, seq }) => kind === 'task' && seq === 1)
    expect(steps(submitted)).toEqual(['letter-1: Pending', 'letter-2: Pending', 'letter-3: Pending'])
  })

  it('takes several lists of one length, and what is not iterable or is a string for every call', async () => {
    await using engine = testEngine()
    const run = flow('lists', () => join.map(['a', 'b'], ['c', 'd'], '+'))()
    expect(await engine.settle(run)).toEqual(['a+c', 'b+d'])
  })

  it('takes any iterable', async () => {
    await using engine = testEngine()
    function* generate(): Generator<string> {
      yield 'x'
      yield 'y'
    }
    const run = flow('iterables', () => [
      ...letter.map(new Set(['a', 'b'])),
      ...letter.map(new Map([['k', 1]]).keys()),
      ...letter.map(generate()),
    ])()
    expect(await engine.settle(run)).toEqual(['a', 'b', 'k', 'x', 'y'])
  })

  it('leaves out parameters that have defaults', async () => {
    await using engine = testEngine()
    expect(await engine.settle(flow('defaults', () => join.map(['a'], ['b'], undefined))())).toEqual(['a-b'])
    expect(await engine.settle(flow('defaults-2', () => join.map(['a'], ['b']))())).toEqual(['a-b'])
  })

  it('hands an `unmapped` list to every call', async () => {
    await using engine = testEngine()
    const run = flow('unmapped', () => count.map(unmapped(['a', 'b', 'a']), ['a', 'b', 'c']))()
    expect(await engine.settle(run)).toEqual([2, 1, 0])
  })

  it('takes futures as items, as constants and in `unmapped`', async () => {
    await using engine = testEngine()
    const run = flow('futures', () => [
      ...join.map([letter('a'), 'b'], letter('c')),
      ...count.map(unmapped(letters('abca')), ['a', letter('b')]),
    ])()
    expect(await engine.settle(run)).toEqual(['a-c', 'b-c', 2, 1])
  })

  it('fails only the calls whose items failed', async () => {
    await using engine = testEngine()
    const fail = task('fail', (): string => {
      throw new Error('no letter')
    })
    const run = flow('partly', async () => {
      const futures = letter.map([letter('a'), fail()])
      return Promise.all(futures.map(async (future) => (await future.wait()).name))
    })()
    expect(await engine.settle(run)).toEqual(['Completed', 'UpstreamFailed'])
  })

  it('gives no futures for empty lists', async () => {
    await using engine = testEngine()
    expect(await engine.settle(flow('empty', () => letter.map([]))())).toEqual([])
  })

  it('refuses lists of unequal length, and calls nothing', async () => {
    await using engine = testEngine()
    const run = flow('unequal', () => {
      expect(() => join.map(['a', 'b'], ['c'])).toThrow(code('MAP_LENGTHS', /join\.map.*2, 1/))
      expect(() => join.map([], ['c'])).toThrow(code('MAP_LENGTHS', /0, 1/))
    })()
    await engine.settle(run)
    expect((await all(run.transitions)).filter(({ kind }) => kind === 'task')).toEqual([])
  })

  it('refuses a call without any list', async () => {
    await using engine = testEngine()
    const run = flow('no-list', () => {
      expect(() => join.map('ab', 'cd')).toThrow(code('MAP_LENGTHS', /none/))
      expect(() => count.map(unmapped(['a']), 'a')).toThrow(code('MAP_LENGTHS'))
      expect(() => letter.map(letter('a'))).toThrow(code('MAP_LENGTHS'))
    })()
    await engine.settle(run)
  })

  it('keeps the options of a copy', async () => {
    await using engine = testEngine()
    const flaky = task('flaky', (n: number) => {
      throw new Error(`no ${n}`)
    })
    const run = flow('copies', async () => {
      const [first] = flaky.with({ retries: 1 }).map([1])
      return errorOf(first ?? Promise.resolve())
    })()
    expect(await engine.settle(run)).toMatchObject({ message: 'no 1' })
    expect(steps(await all(run.transitions))).toContain('flaky-1: Retrying')
  })

  it('works outside a flow, each call a run of its own', async () => {
    await using engine = testEngine()
    const futures = letter.map(['a', 'b'])
    expect(await engine.settle(Promise.all(futures))).toEqual(['a', 'b'])
    expect(new Set(futures.map(({ id }) => id)).size).toBe(2)
  })
})

describe('`unmapped` outside `map`', () => {
  it('is refused', async () => {
    await using engine = testEngine()
    const run = flow('outside', () => {
      // @ts-expect-error no argument
      expect(() => letter(unmapped('a'))).toThrow(code('INVALID_OPTION', /unmapped.*args\[0\]/))
      // @ts-expect-error no argument
      expect(() => letters([unmapped('a')])).toThrow(code('INVALID_OPTION', /args\[0\]\[0\]/))
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Completed' })
  })
})
