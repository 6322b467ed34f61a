import {
  allowFailure,
  asCompleted,
  flow,
  sleep,
  task,
  waitAll,
  type EngineError,
  type TaskFuture,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, code, outcomeOf, quiet, statesOf, testEngine, type Outcome } from './support.ts'

const one = task('one', async (_value?: unknown) => {
  await sleep(10)
  return 1
})
const fail = task('fail', async (message: string = 'broken'): Promise<number> => {
  await sleep(5)
  throw new RangeError(message)
})

/** How a flow ends that submits a failing task and does `use` with it. */
async function endOf(use: (future: TaskFuture<number>) => unknown): Promise<Outcome> {
  await using engine = testEngine()
  return await outcomeOf(
    engine,
    flow('uses', async () => {
      const future = fail()
      await use(future)
      return 'done'
    })(),
  )
}

describe('a run of which a run failed and nobody looked', () => {
  it('ends UnobservedFailure, with how many and the first of them', async () => {
    await using engine = testEngine()
    const run = flow('blind', () => {
      one()
      fail('first')
      fail('second')
      return 'done'
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'UnobservedFailure',
      message: '2/3 runs failed and nobody looked',
      error: {
        code: 'UNOBSERVED_FAILURE',
        message: expect.stringMatching(/fail-2.*first/) as unknown,
        cause: { message: 'first' },
      },
    })
    expect(run.state.type).toBe('FAILED')
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'UnobservedFailure'])
  })

  it('may be a task run, a flow run, and a subflow counts, too', async () => {
    await using engine = testEngine()
    const child = flow('child', () => fail())
    expect(await outcomeOf(engine, flow('parent', () => void child())())).toMatchObject({
      state: 'UnobservedFailure',
      message: '1/1 runs failed and nobody looked',
    })
    expect(await outcomeOf(engine, task('outer', () => void fail())())).toMatchObject({
      state: 'UnobservedFailure',
    })
  })

  it('is decided over its own runs only', async () => {
    await using engine = testEngine()
    const middle = task('middle', () => void fail())
    const run = flow('grand', async () => {
      await middle().wait()
      return 'seen'
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Completed', value: 'seen' })
  })

  it('keeps its own failure where the body threw', async () => {
    await using engine = testEngine()
    const run = flow('throws', () => {
      fail()
      throw new TypeError('mine')
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', message: 'mine' })
  })

  it('is decided when all of them are final, long after the body', async () => {
    await using engine = testEngine()
    const slowFail = task('slow-fail', async () => {
      await sleep('1h')
      throw new Error('late')
    })
    expect(await outcomeOf(engine, flow('late', () => void slowFail())())).toMatchObject({
      state: 'UnobservedFailure',
    })
  })

  it('counts an UpstreamFailed run that nobody looked at', async () => {
    await using engine = testEngine()
    const run = flow('chain', () => void one(fail()))()
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'UnobservedFailure',
      message: '1/2 runs failed and nobody looked',
      error: { cause: code('UPSTREAM_FAILED') },
    })
  })

  it('does not count runs that were cancelled', async () => {
    await using engine = testEngine()
    const run = flow('cancels', async () => {
      void one().cancel()
      await sleep(1)
      return 'done'
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Completed' })
  })

  it('is the case although its state was read and subscribed to', async () => {
    const end = await endOf(async (future) => {
      future.states.subscribe()
      future.transitions.subscribe()
      await all(future.states)
      expect(future.state.name).toBe('Failed')
      expect(future.handle.id).toBe(future.id)
    })
    expect(end.state).toBe('UnobservedFailure')
  })

  it('is the case although it was cancelled too late', async () => {
    const end = await endOf(async (future) => {
      await sleep(10)
      expect((await future.cancel()).name).toBe('Failed')
    })
    expect(end.state).toBe('UnobservedFailure')
  })
})

describe('a run is looked at', () => {
  const ways: [string, (future: TaskFuture<number>) => unknown][] = [
    ['`then` is called', (future) => void future.then(undefined, () => undefined)],
    ['it is awaited', (future) => expect(Promise.resolve(future)).rejects.toThrow('broken')],
    ['`catch` is called', (future) => void future.catch(() => undefined)],
    ['`finally` is called', (future) => void future.finally(() => undefined).catch(() => undefined)],
    ['`result` is called', (future) => void future.result().catch(() => undefined)],
    ['`result` of its handle is called', (future) => void future.handle.result().catch(() => undefined)],
    ['`wait` is called', (future) => void future.wait()],
    ['`wait` is called with a timeout that is over first', (future) => future.wait({ timeout: 1 })],
    ['it goes through `Promise.allSettled`', (future) => void Promise.allSettled([future])],
    ['it goes through `Promise.race`', (future) => Promise.race([future, sleep(1)])],
    ['it goes through `waitAll`', (future) => void waitAll([future])],
    [
      'it goes through `waitAll`, as a handle, with a timeout',
      (future) => waitAll([future.handle], { timeout: 0 }),
    ],
    ['it goes through `asCompleted`', (future) => void asCompleted([future])],
    ['it goes through `allowFailure`', (future) => void allowFailure(future)],
    ['it is passed to a task as a dependency', (future) => void one(future).ignore()],
    [
      'it stands in `waitFor`',
      (future) =>
        void one
          .with({ waitFor: [future] })()
          .ignore(),
    ],
    ['`ignore` is called', (future) => void future.ignore()],
    ['`ignore` of its handle is called', (future) => void future.handle.ignore()],
    [
      '`ignore` is called after its end',
      async (future) => {
        await sleep(100)
        future.ignore()
      },
    ],
  ]
  for (const [name, use] of ways) {
    it(`when ${name}`, async () => {
      expect(await endOf(use)).toMatchObject({ state: 'Completed', value: 'done' })
    })
  }

  it('when it is returned, and the rules of returned runs hold', async () => {
    await using engine = testEngine()
    const run = flow('returns', () => ({ a: fail('mine') }))()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', message: 'mine' })
  })

  it('when `ignore` gives the future on', async () => {
    await using engine = testEngine()
    const run = flow('ignores', async () => {
      const future = one()
      expect(future.ignore()).toBe(future)
      return future
    })()
    expect(await engine.settle(run)).toBe(1)
  })
})

describe('a root run that failed', () => {
  function failing(): {
    run: () => ReturnType<typeof broken>
    errors: EngineError[]
    engine: ReturnType<typeof testEngine>
  } {
    const engine = testEngine()
    const errors: EngineError[] = []
    engine.errors.subscribe((error) => errors.push(error))
    const broken = flow('broken', () => fail())
    return { run: () => broken(), errors, engine }
  }
  const broken = flow('broken', () => fail())

  it('goes to `engine.errors` where nobody looked', async () => {
    const { engine, run, errors } = failing()
    await using _engine = engine
    const one = run()
    await engine.settle(all(one.states))
    expect(errors).toMatchObject([{ flowRunId: one.id, runId: one.id, error: { message: 'broken' } }])
    expect(engine.lines).toEqual([])
  })

  it('goes nowhere where somebody looked, ignored it, or it completed', async () => {
    const { engine, run, errors } = failing()
    await using _engine = engine
    await outcomeOf(engine, run())
    const ignored = run().ignore()
    await engine.settle(all(ignored.states))
    await engine.settle(all(flow('fine', () => 1)().states))
    expect(errors).toEqual([])
  })

  it('goes to the logger while nobody listens to `engine.errors`', async () => {
    await using engine = testEngine()
    const run = broken()
    await engine.settle(all(run.states))
    expect(engine.lines).toMatchObject([
      {
        level: 'error',
        fields: { flowRunId: run.id, run: 'broken', err: { message: 'broken' } },
        message: expect.stringContaining('nobody looked') as unknown,
      },
    ])
  })

  it('is reported where it is a task run outside any flow, too', async () => {
    const { engine, errors } = failing()
    await using _engine = engine
    const future = fail('alone')
    await engine.settle(all(future.states))
    expect(errors).toMatchObject([{ runId: future.id, error: { message: 'alone' } }])
  })

  it('does no harm where the observer of errors throws', async () => {
    await using engine = testEngine()
    engine.errors.subscribe(() => {
      throw new Error('observer of errors')
    })
    await engine.settle(all(broken().states))
    await engine.settle(all(broken().states))
    await quiet()
    expect(engine.lines.map(({ fields }) => (fields['err'] as Error).message)).toEqual([
      'observer of errors',
      'broken',
    ])
  })
})
