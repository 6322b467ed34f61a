import {
  ConcurrentTaskRunner,
  currentTaskRun,
  flow,
  inputs,
  memoryCache,
  memoryJournal,
  sleep,
  task,
  waitAll,
  type TaskFuture,
} from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { or } from '../hard/support.ts'
import { observed, taskSteps, through, went } from './caching-support.ts'
import { code, errorOf, quiet, testEngine } from './support.ts'

const cached = { cache: inputs() }
const statesOf = (futures: readonly TaskFuture<unknown>[]): string[] => futures.map(({ state }) => state.name)

/** A task whose body takes a second. */
function slow(options: Parameters<typeof observed>[0] = { name: 'slow', ...cached }) {
  return observed(options, async (n: number) => {
    await sleep('1s')
    return { n }
  })
}

describe('equal calls that are made at once', () => {
  it.each([
    ['by reference', false],
    ['with values encoded', true],
  ])('run once in a flow run, and each gets a copy of its own: %s', async (_, strictValues) => {
    await using engine = testEngine({ strictValues })
    const { call, ran } = slow()
    const run = flow('at-once', async () => {
      const values = await Promise.all(Array.from({ length: 20 }, () => call(1)))
      for (const value of values) value.n++
      return [values.map(({ n }) => n), new Set(values).size] as const
    })()
    expect(await engine.settle(run)).toEqual([Array(20).fill(2), 20])
    expect(ran).toHaveLength(1)
    const ends = (await taskSteps(engine, run)).filter((step) => /Completed|Cached/.test(step))
    expect(ends).toEqual([
      'slow-1: Completed',
      ...Array.from({ length: 19 }, (__, at) => `slow-${at + 2}: Cached`),
    ])
  })

  it('run once over the flow runs of an engine', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const ask = flow('ask', (n: number) => call(n))
    const started = engine.clock.now()
    const runs = [1, 1, 2, 1, 2].map((n) => ask(n))
    expect(await engine.settle(Promise.all(runs))).toEqual([1, 1, 2, 1, 2].map((n) => ({ n })))
    expect(ran).toEqual([[1], [2]])
    expect(engine.clock.now() - started).toBe(1000)
  })

  it('stay Pending while they wait, and are Cached when the one that runs has ended', async () => {
    await using engine = testEngine()
    const { call } = slow()
    const run = flow('waits', async () => {
      const futures = [call(1), call(1)]
      await sleep(999)
      const before = statesOf(futures)
      await waitAll(futures)
      return [before, statesOf(futures)]
    })()
    expect(await engine.settle(run)).toEqual([
      ['Running', 'Pending'],
      ['Completed', 'Cached'],
    ])
  })

  it('take no slot of their runner while they wait', async () => {
    await using engine = testEngine()
    const { call } = slow()
    const taskRunner = new ConcurrentTaskRunner({ limit: 2 })
    const other = task('other', () => 'ran')
    const run = flow({ name: 'slots', taskRunner }, async () => {
      const futures = [call(1), call(1), call(1), call(1)]
      const beside = await other()
      return [beside, statesOf(futures)]
    })()
    expect(await engine.settle(run)).toEqual(['ran', ['Running', 'Pending', 'Pending', 'Pending']])
  })

  it('run in a runner with one slot, from bodies that lend theirs', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const asks = task('asks', async (n: number) => (await call(n)).n)
    const taskRunner = new ConcurrentTaskRunner({ limit: 1 })
    const run = flow({ name: 'lends', taskRunner }, () => asks.map([1, 1, 2, 1, 2]))()
    expect(await or(engine.clock, run)).toEqual([1, 1, 2, 1, 2])
    expect(ran).toHaveLength(2)
  })
})

describe('when the run that was waited for does not complete', () => {
  it('fails: the next runs, and the others go on waiting', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'fails', ...cached }, async (): Promise<number> => {
      const number = ran.length
      await sleep('1s')
      if (number < 3) throw new Error(`no ${number}`)
      return number
    })
    const run = flow('fails', async () => {
      const futures = [call(), call(), call(), call(), call()]
      const { done } = await waitAll(futures)
      return [statesOf(futures), done.length, engine.clock.now()]
    })
    const started = engine.clock.now()
    expect(await engine.settle(run())).toEqual([
      ['Failed', 'Failed', 'Completed', 'Cached', 'Cached'],
      5,
      started + 3000,
    ])
    expect(ran).toHaveLength(3)
  })

  it('fails each time: each has its own failure, and each body ran', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'always', ...cached }, (): number => {
      throw new Error(`no ${ran.length}`)
    })
    const run = flow('always', async () => {
      const futures = [call(), call(), call()]
      const errors = await Promise.all(futures.map((future) => errorOf(future)))
      return errors.map((error) => (error as Error).message)
    })()
    expect(await engine.settle(run)).toEqual(['no 1', 'no 2', 'no 3'])
  })

  it('times out: the next runs', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'times-out', ...cached, timeout: '1s' },
      async (): Promise<number> => {
        if (ran.length === 1) await sleep('1h')
        return ran.length
      },
    )
    const run = flow('times-out', async () => {
      const futures = [call(), call(), call()]
      await waitAll(futures)
      return [statesOf(futures), await futures[1], await futures[2]]
    })()
    expect(await engine.settle(run)).toEqual([['TimedOut', 'Completed', 'Cached'], 2, 2])
  })

  it.each([
    ['before it looked', 0, 1],
    ['while its body runs', 500, 2],
  ])('is cancelled %s: the next runs', async (_, after, bodies) => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const run = flow('cancels', async () => {
      const futures = [call(1), call(1), call(1)]
      if (after > 0) await sleep(after)
      await futures[0]?.cancel()
      await waitAll(futures)
      return statesOf(futures)
    })()
    expect(await engine.settle(run)).toEqual(['Cancelled', 'Completed', 'Cached'])
    expect(ran).toHaveLength(bodies)
  })

  it('is cancelled and takes its grace: the next runs when it has ended', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'stubborn', ...cached, grace: '5s' },
      async (): Promise<number> => {
        if (ran.length === 1)
          await new Promise<void>((go) => void engine.clock.at(engine.clock.now() + 60_000, go))
        return ran.length
      },
    )
    const cancelled = flow('cancelled', () => call())()
    await quiet()
    const other = flow('other', () => call())()
    await quiet()
    const started = engine.clock.now()
    void cancelled.cancel()
    expect(await engine.settle(other)).toBe(2)
    expect(engine.clock.now() - started).toBe(5000)
    expect((await engine.settle(cancelled.wait())).name).toBe('Cancelled')
  })

  it('is cancelled with its whole flow run: those of other flow runs go on', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const ask = flow('ask', () => [call(1), call(1)])
    const [first, second, third] = [ask(), ask(), ask()]
    await quiet()
    await engine.settle(first.cancel())
    await engine.settle(second.cancel())
    expect(await engine.settle(third)).toEqual([{ n: 1 }, { n: 1 }])
    expect(ran).toHaveLength(3)
  })

  it('waits to be tried again: the others wait, too, and take what it then makes', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'tries', ...cached, retries: 1, retryDelay: '1h' }, () => {
      if (ran.length === 1) throw new Error('no')
      return currentTaskRun().attempt
    })
    const run = flow('tries', async () => {
      const futures = [call(), call()]
      await sleep('30m')
      const between = statesOf([...futures, call()])
      return [between, await futures[0], await futures[1]]
    })()
    expect(await engine.settle(run)).toEqual([['AwaitingRetry', 'Pending', 'Pending'], 2, 2])
    expect(ran).toHaveLength(2)
  })

  it('has its last attempt fail: the next begins with all of its own', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'tries', ...cached, retries: 2 }, () => {
      if (ran.length < 5) throw new Error('no')
      return currentTaskRun().attempt
    })
    const run = flow('tries', async () => {
      const futures = [call(), call()]
      await waitAll(futures)
      return statesOf(futures)
    })()
    expect(await engine.settle(run)).toEqual(['Failed', 'Completed'])
    expect(ran).toHaveLength(5)
  })

  it('is in a flow that tries again: it is led anew', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'shared', ...cached }, async (): Promise<number> => {
      await sleep('1s')
      if (ran.length === 1) throw new Error('no')
      return ran.length
    })
    const tries = flow({ name: 'tries', retries: 1 }, () => call())()
    await quiet()
    const other = flow('other', () => call())()
    expect(await engine.settle(Promise.all([tries, other]))).toEqual([2, 2])
    expect(ran).toHaveLength(2)
  })

  it('never begins, for its flow run is paused: the next of another flow run goes first', async () => {
    const memory = memoryCache()
    const asked: (() => void)[] = []
    const cache = through(memory, {
      get: async (ask) => {
        await new Promise<void>((go) => asked.push(go))
        return ask()
      },
    })
    const answer = async (): Promise<void> => {
      await quiet()
      for (const go of asked.splice(0)) go()
      await quiet()
    }
    await using engine = testEngine({ cache })
    const { call, ran } = slow()
    const ask = flow('ask', () => call(1))
    const paused = ask()
    await quiet()
    await paused.pause()
    const other = ask()
    await answer()
    expect(ran).toHaveLength(0)
    await answer()
    expect(await engine.settle(other)).toEqual({ n: 1 })
    expect(paused.state.name).toBe('Paused')
    await paused.resume()
    await answer()
    expect(await engine.settle(paused)).toEqual({ n: 1 })
    expect(ran).toHaveLength(1)
    expect((await taskSteps(engine, paused)).at(-1)).toBe('slow-1: Cached')
  })

  it('leads a second time after it stood back: what it makes is kept once', async () => {
    const asked: (() => void)[] = []
    let puts = 0
    const cache = through(memoryCache(), {
      get: async (ask) => {
        await new Promise<void>((go) => asked.push(go))
        return ask()
      },
      put: (store) => {
        puts++
        return store()
      },
    })
    const answer = async (): Promise<void> => {
      await quiet()
      for (const go of asked.splice(0)) go()
      await quiet()
    }
    await using engine = testEngine({ cache })
    const { call, ran } = slow()
    const ask = flow('ask', () => call(1))
    const first = ask()
    await quiet()
    await first.pause()
    const second = ask()
    await answer()
    await second.pause()
    await first.resume()
    await answer()
    await answer()
    expect(await engine.settle(first)).toEqual({ n: 1 })
    await second.resume()
    await answer()
    expect(await engine.settle(second)).toEqual({ n: 1 })
    expect([ran.length, puts]).toEqual([1, 1])
  })

  it('runs on while its flow run is paused: others get its result', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const ask = flow('ask', () => call(1))
    const paused = ask()
    await quiet()
    await paused.pause()
    const other = ask()
    expect(await engine.settle(other)).toEqual({ n: 1 })
    expect(paused.state.name).toBe('Paused')
    await paused.resume()
    expect(await engine.settle(paused)).toEqual({ n: 1 })
    expect(ran).toHaveLength(1)
  })

  it('waits for a retry while its flow run is paused: the others go on when its time comes', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'tries', ...cached, retries: 1, retryDelay: '1m' }, (): number => {
      if (ran.length === 1) throw new Error('no')
      return ran.length
    })
    const ask = flow('ask', () => call())
    const paused = ask()
    await quiet()
    await paused.pause()
    const other = ask()
    expect(await or(engine.clock, other)).toBe(2)
    await paused.resume()
    expect(await or(engine.clock, paused)).toBe(3)
    expect((await taskSteps(engine, paused)).slice(1)).toEqual(
      went('tries-1', 'Running', 'AwaitingRetry', 'Retrying', 'Completed'),
    )
  })
})

describe('a refresh while others wait', () => {
  it('for a run that waits to be tried again: they get what that makes', async () => {
    await using engine = testEngine()
    const { call, ran } = observed(
      { name: 'tries', ...cached, retries: 1, retryDelay: '10s' },
      (): number => {
        if (ran.length === 1) throw new Error('no')
        return ran.length
      },
    )
    const run = flow('refreshes', async () => {
      const futures = [call(), call()]
      await sleep('1s')
      const fresh = await call.with({ refreshCache: true })()
      return [fresh, await futures[0], await futures[1], await call()]
    })()
    expect(await or(engine.clock, run)).toEqual([2, 3, 3, 2])
  })

  it('for a run that fails: they go on with what the refresh makes', async () => {
    await using engine = testEngine()
    const { call, ran } = observed({ name: 'fails', ...cached }, async (): Promise<number> => {
      const number = ran.length
      await sleep(number * 1000)
      if (number === 1) throw new Error('no')
      return number
    })
    const run = flow('refreshes', async () => {
      const futures = [call(), call(), call()]
      await sleep(500)
      const fresh = call.with({ refreshCache: true })()
      const after = call()
      await waitAll([...futures, fresh, after])
      return [statesOf(futures), await fresh, await futures[1], await futures[2], await after]
    })()
    expect(await or(engine.clock, run)).toEqual([['Failed', 'Cached', 'Cached'], 2, 2, 2, 2])
    expect(ran).toHaveLength(2)
  })
})

describe('when one that waits does not go on waiting', () => {
  it('is cancelled: it ends at once, and the others are not touched', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const run = flow('cancels', async () => {
      const futures = [call(1), call(1), call(1)]
      await sleep(500)
      const before = engine.clock.now()
      await futures[1]?.cancel()
      const took = engine.clock.now() - before
      await waitAll(futures)
      return [took, statesOf(futures)]
    })()
    expect(await engine.settle(run)).toEqual([0, ['Completed', 'Cancelled', 'Cached']])
    expect(ran).toHaveLength(1)
  })

  it('has waited for as long as it may: TimedOut by way of AwaitingConcurrencySlot, and never retried', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const run = flow('impatient', async () => {
      const leader = call(1)
      const impatient = call.with({ waitTimeout: 300, retries: 2 })(1)
      const patient = call.with({ waitTimeout: '2s' })(1)
      await waitAll([leader, impatient, patient])
      return [await errorOf(impatient), statesOf([leader, impatient, patient])]
    })()
    const [error, states] = (await engine.settle(run)) as unknown[]
    expect(error).toMatchObject({ code: 'RUN_TIMED_OUT' })
    expect(states).toEqual(['Completed', 'TimedOut', 'Cached'])
    expect(await taskSteps(engine, run)).toContain('slow-2: AwaitingConcurrencySlot')
    expect(ran).toHaveLength(1)
  })

  it('is in a flow run that is paused: its body is handed the result when the run goes on', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const first = flow('first', () => call(1))()
    await quiet()
    let got = false
    const waiting = flow('waiting', async () => {
      await call(1)
      got = true
    })()
    await quiet()
    await waiting.pause()
    await engine.settle(first)
    await quiet()
    expect([got, waiting.state.name]).toEqual([false, 'Paused'])
    await waiting.resume()
    await engine.settle(waiting)
    expect(ran).toHaveLength(1)
  })
})

describe('when the engine closes', () => {
  it('those that waited are let go with the one that ran, and all go on after recovery', async () => {
    const journal = memoryJournal()
    const cache = memoryCache()
    await using first = testEngine({ journal, cache })
    const { call, ran } = slow()
    const ask = flow('asks-and-closes', () => call(1))
    const runs = [first.run(ask), first.run(ask), first.run(ask)]
    const ends = runs.map((run) => errorOf(run))
    await quiet()
    await first.close()
    expect(await Promise.all(ends)).toEqual(Array(3).fill(code('ENGINE_CLOSED')))
    expect(ran).toHaveLength(1)
    await using second = testEngine({ journal, cache })
    const recovered = await second.settle(second.recover())
    expect(recovered).toHaveLength(3)
    expect(await second.settle(Promise.all(recovered.map((run) => run.result())))).toEqual(
      Array(3).fill({ n: 1 }),
    )
    expect(ran).toHaveLength(2)
  })

  it('with a grace, those that wait get the result within it', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const ask = flow('ask', () => call(1))
    const runs = [engine.run(ask), engine.run(ask)]
    const ends = Promise.all(runs)
    await quiet()
    await engine.close({ grace: '5s' })
    expect(await ends).toEqual([{ n: 1 }, { n: 1 }])
    expect(ran).toHaveLength(1)
  })

  it('the other engines that share the cache are not held up', async () => {
    const clock = virtualClock()
    const cache = memoryCache()
    await using closing = testEngine({ clock, cache })
    await using other = testEngine({ clock, cache })
    const { call, ran } = slow()
    const ask = flow('ask', () => call(1))
    const lost = closing.run(ask)
    const kept = other.run(ask)
    const end = errorOf(lost)
    await quiet()
    await closing.close()
    expect(await end).toEqual(code('ENGINE_CLOSED'))
    expect(await other.settle(kept)).toEqual({ n: 1 })
    expect(ran).toHaveLength(2)
  })
})

describe('a thousand equal calls', () => {
  it('in a hundred flow runs run once, and all get the value', async () => {
    await using engine = testEngine()
    const { call, ran } = slow()
    const asks = flow(
      'asks',
      async () => (await Promise.all(Array.from({ length: 10 }, () => call(1)))).length,
    )
    const runs = Array.from({ length: 100 }, () => asks())
    expect(await engine.settle(Promise.all(runs))).toEqual(Array(100).fill(10))
    expect(ran).toHaveLength(1)
  })
})
