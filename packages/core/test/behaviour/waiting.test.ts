import { asCompleted, flow, sleep, task, waitAll } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, outcomeOf, testEngine } from './support.ts'

const after = task('after', async (ms: number) => {
  await sleep(ms)
  return ms
})
const fail = task('fail', async (ms: number): Promise<number> => {
  await sleep(ms)
  throw new Error('broken')
})

describe('`waitAll`', () => {
  it('waits for all to end, whatever way, and never rejects', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const run = flow('waits', async () => {
      const futures = [after(30), fail(20), after(10)]
      const { done, pending } = await waitAll(futures)
      expect(done).toEqual(futures)
      expect(pending).toEqual([])
      return done.map(({ state }) => state.name)
    })()
    expect(await engine.settle(run)).toEqual(['Completed', 'Failed', 'Completed'])
    expect(engine.clock.now() - start).toBe(30)
  })

  it('waits no longer than the timeout, and tells what has not ended, in the order given', async () => {
    await using engine = testEngine()
    const run = flow('limited', async () => {
      const futures = [after(500), after(10), after(400), fail(20)]
      const { done, pending } = await waitAll(futures, { timeout: 100 })
      expect(done).toEqual([futures[1], futures[3]])
      expect(pending).toEqual([futures[0], futures[2]])
      const rest = await waitAll(pending, { timeout: '1m' })
      return [rest.done.length, rest.pending.length]
    })()
    const start = engine.clock.now()
    expect(await engine.settle(run)).toEqual([2, 0])
    expect(engine.clock.now() - start).toBe(500)
  })

  it('only looks where the timeout is 0', async () => {
    await using engine = testEngine()
    const run = flow('looks', async () => {
      const [first, second] = [after(1), after(100)]
      await first
      const { done, pending } = await waitAll([first, second], { timeout: 0 })
      return [done.length, pending.length]
    })()
    expect(await engine.settle(run)).toEqual([1, 1])
  })

  it('takes handles, flow runs, any iterable, and nothing', async () => {
    await using engine = testEngine()
    const child = flow('child', () => 1)
    const run = flow('takes', async () => {
      const { done } = await waitAll(new Set([after(1).handle, child().handle, child()]))
      return [done.length, await waitAll([]), await waitAll([], { timeout: 10 })]
    })()
    const nothing = { done: [], pending: [] }
    expect(await engine.settle(run)).toEqual([3, nothing, nothing])
  })

  it('works outside a run', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const runs = [after(5000), after(10)]
    const { done, pending } = await engine.settle(waitAll(runs, { timeout: '1s' }))
    expect([done, pending]).toEqual([[runs[1]], [runs[0]]])
    expect(engine.clock.now() - start).toBe(1000)
    await engine.settle(waitAll(runs))
  })

  it('refuses what is no future, and a timeout that is no duration', async () => {
    await using engine = testEngine()
    // @ts-expect-error no futures
    expect(await errorOf(waitAll([1]))).toEqual(code('INVALID_OPTION', /place 0/))
    // @ts-expect-error no futures
    expect(await errorOf(waitAll([Promise.resolve(1)]))).toEqual(code('INVALID_OPTION'))
    const run = after(1)
    // @ts-expect-error no duration
    expect(await errorOf(waitAll([run], { timeout: 'soon' }))).toEqual(code('INVALID_DURATION'))
    await engine.settle(run)
  })
})

describe('`asCompleted`', () => {
  it('gives runs in the order in which they end, whatever way', async () => {
    await using engine = testEngine()
    const run = flow('order', async () => {
      const seen: string[] = []
      for await (const future of asCompleted([after(30), fail(20), after(10)])) {
        seen.push(await future.result().then(String, (error: unknown) => (error as Error).message))
      }
      return seen
    })()
    expect(await engine.settle(run)).toEqual(['10', 'broken', '30'])
  })

  it('gives those first that have ended already, as they stand in the list', async () => {
    await using engine = testEngine()
    const run = flow('ended', async () => {
      const runs = [after(10), after(30), after(20)]
      await waitAll(runs.slice(1))
      await waitAll(runs.slice(0, 1))
      const seen: string[] = []
      for await (const future of asCompleted([after(5), ...runs])) seen.push(String(await future.result()))
      return seen
    })()
    expect(await engine.settle(run)).toEqual(['10', '30', '20', '5'])
  })

  it('waits for no more than the next', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const run = flow('first', async () => {
      const futures = [after(60_000), after(10)]
      for await (const future of asCompleted(futures)) {
        const value = await future.result()
        void futures[0]?.cancel()
        return value
      }
      return undefined
    })()
    expect(await engine.settle(run)).toBe(10)
    expect(engine.clock.now() - start).toBe(10)
  })

  it('gives what has ended before, too, and the same futures that it was given', async () => {
    await using engine = testEngine()
    const run = flow('ended', async () => {
      const futures = [after(1), after(2)]
      await waitAll(futures)
      const given: unknown[] = []
      for await (const future of asCompleted(futures)) given.push(future)
      return given.length === 2 && given.every((future, index) => future === futures[index])
    })()
    expect(await engine.settle(run)).toBe(true)
  })

  it('can be asked for several at once, and says when it is over', async () => {
    await using engine = testEngine()
    const run = flow('at-once', async () => {
      const iterator = asCompleted([after(20), after(10)])
      const results = await Promise.all([iterator.next(), iterator.next(), iterator.next()])
      return results.map(({ done, value }) => (done === true ? 'over' : value.state.name))
    })()
    expect(await engine.settle(run)).toEqual(['Completed', 'Completed', 'over'])
  })

  it('of nothing is over at once', async () => {
    await using engine = testEngine()
    const run = flow('nothing', async () => (await asCompleted([]).next()).done)()
    expect(await outcomeOf(engine, run)).toMatchObject({ value: true })
  })

  it('refuses what is no future when it is called', async () => {
    await using _engine = testEngine()
    // @ts-expect-error no futures
    expect(() => asCompleted([Promise.resolve(1)])).toThrow(code('INVALID_OPTION', /asCompleted/))
  })

  it('ends early where the loop is left while it waits', async () => {
    await using engine = testEngine()
    const run = flow('left', async () => {
      const iterator = asCompleted([after(10)])
      const waiting = iterator.next()
      await iterator.return?.()
      return [(await iterator.next()).done, (await waiting).done]
    })()
    expect(await engine.settle(run)).toEqual([true, true])
  })
})

describe('a wait for a run that `engine.close` lets go of', () => {
  it('rejects, whatever way it waits', async () => {
    const engine = testEngine()
    const run = after(1000)
    const iterator = asCompleted([run])
    const waits = [run.wait(), run.result(), waitAll([run]), iterator.next(), Promise.resolve(run)].map(
      errorOf,
    )
    await engine.close()
    for (const error of await Promise.all(waits)) expect(error).toEqual(code('ENGINE_CLOSED'))
  })
})
