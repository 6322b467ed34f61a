import { flow, inputs, sleep, task, waitAll } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { or } from '../hard/support.ts'
import { observed, warnings } from './caching-support.ts'
import { quiet, testEngine } from './support.ts'

const cached = { cache: inputs() }

/** A task whose body takes a second. */
function slow(options: Parameters<typeof observed>[0] = { name: 'slow', ...cached }) {
  return observed(options, async (n: number) => {
    await sleep('1s')
    return { n }
  })
}

describe('cached tasks that call each other', () => {
  it('one that calls itself with the same arguments does not wait for itself', async () => {
    await using engine = testEngine()
    let depth = 0
    const again: { call?: (n: number) => PromiseLike<number> } = {}
    const { call, ran } = observed({ name: 'self', ...cached }, async (n: number): Promise<number> => {
      if (++depth < 3) return (await again.call?.(n)) ?? 0
      return depth
    })
    again.call = call
    expect(await or(engine.clock, flow('self', () => call(1))())).toBe(3)
    expect(ran).toHaveLength(3)
    expect(await or(engine.clock, flow('later', () => call(1))())).toBe(3)
    expect(ran).toHaveLength(3)
  })

  it('one that calls itself through another, which calls it with the same arguments', async () => {
    await using engine = testEngine()
    let depth = 0
    const loop: { a?: (n: number) => PromiseLike<number> } = {}
    const b = task('b', async (n: number): Promise<number> => (await loop.a?.(n)) ?? 0)
    const a = observed({ name: 'a', ...cached }, async (n: number): Promise<number> =>
      ++depth < 3 ? await b(n) : depth,
    )
    loop.a = a.call
    expect(await or(engine.clock, flow('loop', () => a.call(1))())).toBe(3)
    expect(a.ran).toHaveLength(3)
  })

  it('and through a subflow', async () => {
    await using engine = testEngine()
    let depth = 0
    const loop: { a?: (n: number) => PromiseLike<number> } = {}
    const between = flow('between', async (n: number): Promise<number> => (await loop.a?.(n)) ?? 0)
    const a = observed({ name: 'a', ...cached }, async (n: number): Promise<number> =>
      ++depth < 3 ? await between(n) : depth,
    )
    loop.a = a.call
    expect(await or(engine.clock, flow('loop', () => a.call(1))())).toBe(3)
  })

  it.each([
    ['in one flow run', false],
    ['in two flow runs', true],
  ])('crossed, %s: none waits for ever', async (_, apart) => {
    await using engine = testEngine()
    const loop: { b?: (n: number, deep: boolean) => PromiseLike<string> } = {}
    let calls = 0
    const a = observed({ name: 'a', ...cached }, async (n: number): Promise<string> => {
      await sleep(10)
      return ++calls > 10 ? 'deep' : `a${n} ${await loop.b?.(2, true)}`
    })
    const b = observed({ name: 'b', ...cached }, async (n: number): Promise<string> => {
      await sleep(10)
      return ++calls > 10 ? 'deep' : `b${n} ${await a.call(1)}`
    })
    loop.b = b.call as typeof loop.b & object
    const values = apart
      ? Promise.all([flow('first', () => a.call(1))(), flow('second', () => b.call(2))()])
      : flow('both', () => [a.call(1), b.call(2)])()
    expect(await or(engine.clock, values)).toEqual([expect.any(String), expect.any(String)])
  })

  it('in a ring of three that begin at once, each of which asks for the next', async () => {
    await using engine = testEngine()
    let calls = 0
    const ring: { ask?: (n: number) => PromiseLike<string> } = {}
    const { call, ran } = observed({ name: 'ring', ...cached }, async (n: number): Promise<string> => {
      await sleep(10)
      return ++calls > 20 ? 'deep' : `${n} ${await ring.ask?.((n + 1) % 3)}`
    })
    ring.ask = call
    const values = Promise.all([0, 1, 2].map((n) => flow(`ring-${n}`, () => call(n))()))
    expect(await or(engine.clock, values)).toEqual(Array(3).fill(expect.any(String)))
    expect(ran.length).toBeGreaterThan(3)
  })

  it('that do not wait in a ring still run once each', async () => {
    await using engine = testEngine()
    const leaf = slow({ name: 'leaf', ...cached })
    const left = observed({ name: 'left', ...cached }, async () => (await leaf.call(1)).n)
    const right = observed(
      { name: 'right', ...cached },
      async () => (await leaf.call(1)).n + (await left.call()),
    )
    const run = flow('diamond', () => [left.call(), right.call(), left.call(), right.call()])()
    expect(await or(engine.clock, run)).toEqual([1, 2, 1, 2])
    expect([leaf.ran.length, left.ran.length, right.ran.length]).toEqual([1, 1, 1])
  })

  it('after one that waited was cancelled: the ring it was part of is no more', async () => {
    await using engine = testEngine()
    const leaf = slow({ name: 'leaf', ...cached })
    const first = observed({ name: 'first', ...cached }, async () => {
      const gone = leaf.call(1)
      await gone.cancel()
      await sleep('10s')
      return 'first'
    })
    const run = flow('cancelled', async () => {
      const leading = leaf.call(1)
      await sleep(1)
      const outer = first.call()
      await waitAll([leading, outer])
      return [leading.state.name, await outer]
    })()
    expect(await or(engine.clock, run)).toEqual(['Completed', 'first'])
  })

  it('where the one that is waited for needs a slot that a body above the waiting one holds: an error, no hang', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const query = slow({ name: 'query', ...cached, tags: ['db'] })
    const holds = task({ name: 'holds', tags: ['db'] }, async () => {
      await sleep(10)
      return await query.call(1)
    })
    const run = flow('holder', () => holds())()
    await quiet()
    const other = flow('other', () => query.call(1))()
    await quiet()
    expect(await or(engine.clock, run)).toBe('rejected LIMIT_DEADLOCK')
    expect(await or(engine.clock, other)).toEqual({ n: 1 })
  })

  it('where a run below the one that is waited for needs that slot: no hang either', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const query = task({ name: 'query', tags: ['db'] }, () => 'row')
    const report = observed({ name: 'report', ...cached }, async (n: number) => {
      await sleep(5)
      return `${n} ${await query()}`
    })
    const holds = task({ name: 'holds', tags: ['db'] }, async () => {
      await sleep(2)
      return (await report.call(1).wait()).name
    })
    const other = flow('other', () => report.call(1))()
    const run = flow('holder', () => holds())()
    expect(await or(engine.clock, Promise.all([run, other]))).toEqual(['Failed', '1 row'])
  })

  it('where the one that is waited for waits for another, which needs that slot: no hang either', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const query = observed({ name: 'query', ...cached, tags: ['db'] }, () => 'row')
    const report = observed({ name: 'report', ...cached }, async (n: number) => {
      await sleep(5)
      return `${n} ${await query.call()}`
    })
    const holds = task({ name: 'holds', tags: ['db'] }, async () => {
      await sleep(2)
      return (await report.call(1).wait()).name
    })
    const other = flow('other', () => report.call(1))()
    const run = flow('holder', () => holds())()
    const third = flow('third', () => query.call())()
    const values = Promise.all([run, other, third])
    expect(await or(engine.clock, values)).toEqual(['Failed', '1 row', 'row'])
  })

  it('says nothing in the log of any of that', async () => {
    await using engine = testEngine()
    const { call } = slow()
    await engine.settle(flow('quiet', () => [call(1), call(1), call(2)])())
    expect(warnings(engine)).toEqual([])
  })
})
