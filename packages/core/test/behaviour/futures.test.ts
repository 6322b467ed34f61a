import { flow, sleep, task } from '@troupe/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { all, code, errorOf, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

const fail = task('fail', () => {
  throw new TypeError('out of order')
})
const slowly = task('slowly', async (ms: number) => {
  await sleep(ms)
  return ms
})

describe('a call', () => {
  it('returns at once, and the body of a flow begins later', async () => {
    await using engine = testEngine()
    let began = false
    const run = flow('begins', () => {
      began = true
      return 1
    })()
    expect(began).toBe(false)
    expect(run.kind).toBe('flow')
    await engine.settle(run)
    expect(began).toBe(true)
  })

  it('submits a task at once, whether or not it is awaited', async () => {
    await using engine = testEngine()
    const begun: number[] = []
    const mark = task('mark', (n: number) => void begun.push(n))
    await engine.settle(
      flow('marks', () => {
        mark(1)
        mark(2)
        expect(begun).toEqual([])
      })(),
    )
    expect(begun).toEqual([1, 2])
  })

  it('gives an id at once: that of a task run begins with that of its flow run', async () => {
    await using engine = testEngine()
    let taskId = ''
    const run = flow('ids', () => {
      taskId = slowly(1).id
    })()
    expect(run.id).toMatch(/^[0-9a-z]{18}$/)
    await engine.settle(run)
    expect(taskId).toMatch(new RegExp(`^${run.id}\\.[0-9a-z]+$`))
  })

  it('of a task outside any flow is a run of its own', async () => {
    await using engine = testEngine()
    const future = slowly(10)
    expect(future.kind).toBe('task')
    expect(await engine.settle(future)).toBe(10)
  })
})

describe('a handle', () => {
  it('tells the newest committed state', async () => {
    await using engine = testEngine()
    const run = flow('tells', () => slowly(10))()
    expect(run.state).toMatchObject({ type: 'PENDING', name: 'Pending' })
    await quiet()
    expect(run.state).toMatchObject({ type: 'RUNNING', name: 'Running', at: engine.clock.now() })
    await engine.settle(run)
    expect(run.state).toMatchObject({ type: 'COMPLETED', name: 'Completed', at: engine.clock.now() })
  })

  it('gives the states that were, then those that come, and completes', async () => {
    await using engine = testEngine()
    const run = flow('states', () => slowly(10))()
    const fromTheStart = all(run.states)
    await quiet()
    const late = all(run.states)
    await engine.settle(run)
    const afterTheEnd = await all(run.states)
    expect(afterTheEnd.map(({ type, name }) => `${type} ${name}`)).toEqual([
      'PENDING Pending',
      'RUNNING Running',
      'COMPLETED Completed',
    ])
    expect(await fromTheStart).toEqual(afterTheEnd)
    expect(await late).toEqual(afterTheEnd)
  })

  it('gives the transitions of a flow run and of its task runs, at any time the same', async () => {
    await using engine = testEngine()
    const run = flow('transitions', async () => {
      await slowly(5)
      slowly(10)
    })()
    const live = all(run.transitions)
    await engine.settle(run)
    const after = await all(run.transitions)
    expect(await live).toEqual(after)
    expect(after.map(({ runName, to }) => `${runName} ${to.name}`)).toEqual([
      'transitions Pending',
      'transitions Running',
      'slowly-1 Pending',
      'slowly-1 Running',
      'slowly-1 Completed',
      'slowly-2 Pending',
      'slowly-2 Running',
      'slowly-2 Completed',
      'transitions Completed',
    ])
  })

  it('gives the transitions of a task run alone', async () => {
    await using engine = testEngine()
    let seen: Promise<unknown[]> | undefined
    await engine.settle(
      flow('two', () => {
        slowly(1)
        seen = all(slowly(2).transitions)
      })(),
    )
    expect(await seen).toMatchObject([
      { runName: 'slowly-2', seq: 1 },
      { runName: 'slowly-2', seq: 2 },
      { runName: 'slowly-2', seq: 3, to: { name: 'Completed' } },
    ])
  })

  it('waits for the terminal state, and never rejects for a run that failed', async () => {
    await using engine = testEngine()
    const run = flow('waits', () => fail())()
    expect(await engine.settle(run.wait())).toMatchObject({ type: 'FAILED', name: 'Failed' })
    expect(await run.wait()).toMatchObject({ type: 'FAILED', name: 'Failed' })
  })

  it('waits no longer than the timeout, and gives the state of that moment', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const run = flow('long', () => slowly(60_000))()
    expect(await engine.settle(run.wait({ timeout: '1s' }))).toMatchObject({ name: 'Running' })
    expect(engine.clock.now() - start).toBe(1000)
    expect(await engine.settle(run.wait({ timeout: '2h' }))).toMatchObject({ name: 'Completed' })
    expect(engine.clock.now() - start).toBe(60_000)
    expect(engine.clock.waiting).toBe(0)
  })

  it('refuses a timeout that is no duration', async () => {
    await using engine = testEngine()
    const run = flow('bad-timeout', () => 1)()
    // @ts-expect-error no duration
    expect(await errorOf(run.wait({ timeout: 'soon' }))).toEqual(code('INVALID_DURATION'))
    await engine.settle(run)
  })

  it('gives the value, or rejects with the error', async () => {
    await using engine = testEngine()
    expect(await engine.settle(flow('value', () => 7)().result())).toBe(7)
    const failing = flow('error', () => fail())()
    const error = await errorOf(engine.settle(failing.result()))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ message: 'out of order' })
    expect(await errorOf(failing.result())).toBe(error)
  })

  it('has no `then`, and shows the same run', async () => {
    await using engine = testEngine()
    const run = flow('bare', () => 1)()
    const { handle } = run
    expect('then' in handle).toBe(false)
    expect(handle.id).toBe(run.id)
    const give = async (): Promise<typeof handle> => handle
    expect(await give()).toBe(handle)
    expect(await engine.settle(handle.result())).toBe(1)
  })

  it('that a body returns stands for its run', async () => {
    await using engine = testEngine()
    const one = flow('handle-async', async () => slowly(3).handle)
    expect(await engine.settle(one())).toBe(3)
    const some = flow('handles', async () => ({ a: slowly(1).handle, b: [slowly(2).handle] }))
    expect(await engine.settle(some())).toEqual({ a: 1, b: [2] })
    expect(await outcomeOf(engine, flow('handle-fails', async () => fail().handle)())).toMatchObject({
      state: 'Failed',
      error: { message: 'out of order' },
    })
  })
})

describe('a future', () => {
  it('can be awaited many times', async () => {
    await using engine = testEngine()
    const run = flow('many', () => ({ n: 1 }))()
    expect(await engine.settle(Promise.all([run, run, run.result()]))).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }])
    expect(await run).toEqual({ n: 1 })
  })

  it('chains like a promise', async () => {
    await using engine = testEngine()
    const called: string[] = []
    const good = flow('good', () => 20)()
    const bad = flow('bad', () => fail())()
    const chained = Promise.all([
      good.then((n) => n + 1).finally(() => called.push('good')),
      bad.catch((error: unknown) => (error as Error).message).finally(() => called.push('bad')),
      good.finally(() => called.push('value passes')),
      bad.then(
        () => 'completed',
        () => 'rejected',
      ),
    ])
    expect(await engine.settle(chained)).toEqual([21, 'out of order', 20, 'rejected'])
    expect(called.toSorted()).toEqual(['bad', 'good', 'value passes'])
  })

  it('works with all, race, any and allSettled', async () => {
    await using engine = testEngine()
    const combined = flow('combined', async () => ({
      all: await Promise.all([slowly(30), slowly(20)]),
      race: await Promise.race([slowly(30), slowly(20)]),
      any: await Promise.any([fail(), slowly(20)]),
      settled: (await Promise.allSettled([fail(), slowly(1)])).map(({ status }) => status),
    }))
    expect(await engine.settle(combined())).toEqual({
      all: [30, 20],
      race: 20,
      any: 20,
      settled: ['rejected', 'fulfilled'],
    })
  })
})

describe('the failure of a run that nobody asks for', () => {
  const unhandled: unknown[] = []
  const keep = (error: unknown): void => void unhandled.push(error)

  beforeEach(() => {
    unhandled.length = 0
    process.on('unhandledRejection', keep)
  })
  afterEach(() => {
    process.off('unhandledRejection', keep)
  })

  it('is no unhandled rejection where the future is not touched', async () => {
    await using engine = testEngine()
    const run = flow('untouched', () => {
      fail()
      fail().ignore()
    })()
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'UnobservedFailure'])
    await quiet()
    expect(unhandled).toEqual([])
  })

  it('is none after `wait`, `cancel` and `states`, or while a handle is held', async () => {
    await using engine = testEngine()
    const run = flow('waited-for', () => fail())()
    const states = all(run.states)
    await engine.settle(run.wait())
    await run.cancel()
    await states
    await quiet()
    expect(run.handle.state.name).toBe('Failed')
    expect(unhandled).toEqual([])
  })

  it('is an ordinary one of a promise that the program derived and dropped', async () => {
    await using engine = testEngine()
    const run = flow('derived', () => fail())()
    void run.then(() => 'never')
    await engine.settle(run.wait())
    await quiet()
    expect(unhandled).toMatchObject([{ message: 'out of order' }])
  })
})
