import type { StandardSchemaV1 } from '@standard-schema/spec'
import { cancelled, completed, failed, flow, sleep, task, type Flow } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, code, outcomeOf, statesOf, steps, testEngine, type Outcome } from './support.ts'

const one = task('one', async () => {
  await sleep(10)
  return 1
})
const fail = task('fail', async (message: string = 'broken'): Promise<number> => {
  await sleep(5)
  throw new RangeError(message)
})
const quits = task('quits', async (): Promise<number> => {
  await sleep(1)
  return cancelled('not today') as unknown as number
})

/** How a flow of this body ends, and a task of it, which must be the same. */
async function outcome(body: () => unknown): Promise<Outcome> {
  await using engine = testEngine()
  const asFlow = await outcomeOf(engine, flow('body', body)())
  const asTask = await outcomeOf(engine, task('body', body)())
  expect(asTask.state).toBe(asFlow.state)
  expect(asTask.value).toEqual(asFlow.value)
  expect((asTask.error as { code?: string } | undefined)?.code).toBe(
    (asFlow.error as { code?: string } | undefined)?.code,
  )
  return asFlow
}

describe('a body that returns a value', () => {
  it('completes its run', async () => {
    expect(await outcome(() => 7)).toEqual({ state: 'Completed', value: 7 })
    expect(await outcome(async () => ({ a: [1] }))).toEqual({ state: 'Completed', value: { a: [1] } })
    expect(await outcome(() => undefined)).toEqual({ state: 'Completed', value: undefined })
    expect(await outcome(() => [])).toEqual({ state: 'Completed', value: [] })
    expect(await outcome(() => new Error('a value, not thrown'))).toMatchObject({
      state: 'Completed',
      value: { name: 'Error' },
    })
  })
})

describe('a body that throws', () => {
  it('fails its run with the error', async () => {
    const sync = (): never => {
      throw new RangeError('too much')
    }
    expect(await outcome(sync)).toMatchObject({
      state: 'Failed',
      message: 'too much',
      error: { name: 'RangeError' },
    })
    expect(await outcome(async () => sync())).toMatchObject({
      state: 'Failed',
      error: { name: 'RangeError' },
    })
  })

  it('fails its run even where all its own runs completed', async () => {
    const body = async (): Promise<never> => {
      await one()
      throw new Error('afterwards')
    }
    expect(await outcome(body)).toMatchObject({ state: 'Failed', message: 'afterwards' })
  })

  it('has its own error when it wraps that of a run', async () => {
    const body = async (): Promise<unknown> => {
      try {
        return await fail()
      } catch (cause) {
        throw new Error('wrapped', { cause })
      }
    }
    expect(await outcome(body)).toMatchObject({
      state: 'Failed',
      message: 'wrapped',
      error: { cause: { name: 'RangeError' } },
    })
  })
})

describe('a body that throws the very error of one of its runs', () => {
  it('ends its run as if it had returned that run', async () => {
    expect(await outcome(async () => await fail())).toMatchObject({
      state: 'Failed',
      error: { message: 'broken' },
    })
    expect(await outcome(async () => fail())).toMatchObject({ state: 'Failed', error: { message: 'broken' } })
    expect(await outcome(() => fail())).toMatchObject({ state: 'Failed', error: { message: 'broken' } })
  })

  it('is cancelled with a run that was cancelled', async () => {
    expect(await outcome(async () => await quits())).toMatchObject({
      state: 'Cancelled',
      error: code('RUN_CANCELLED'),
    })
    expect(await outcome(() => quits())).toMatchObject({ state: 'Cancelled' })
    const later = async (): Promise<unknown> => {
      const future = one()
      await future.cancel('too slow')
      return await future
    }
    expect(await outcome(later)).toMatchObject({
      state: 'Cancelled',
      error: { message: expect.stringContaining('too slow') as unknown },
    })
  })

  it('names the root of the chain where that run was UpstreamFailed', async () => {
    const echo = task('echo', (value: number) => value)
    const error = {
      code: 'UPSTREAM_FAILED',
      details: { rootRunName: expect.stringMatching(/^fail-\d$/) as unknown },
    }
    expect(await outcome(async () => await echo(echo(fail())))).toMatchObject({ state: 'Failed', error })
    expect(await outcome(() => echo(echo(fail())))).toMatchObject({ state: 'Failed', error })
  })

  it('gives the same error object to whoever awaits that run again', async () => {
    let same = false
    await outcome(async () => {
      const future = fail()
      const first: unknown = await future.catch((error: unknown) => error)
      same = first === (await future.catch((error: unknown) => error))
    })
    expect(same).toBe(true)
  })

  it('is told from a body that throws the error of a run of somebody else', async () => {
    await using engine = testEngine({ strictValues: false })
    const other = flow('other', () => quits())()
    const error: unknown = await engine.settle(other.catch((thrown: unknown) => thrown))
    const run = flow('mine', () => {
      throw error
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', error: code('RUN_CANCELLED') })
  })

  it('goes up through any number of flows', async () => {
    await using engine = testEngine()
    let made: Flow<[], number> = flow('innermost', async () => quits())
    for (let depth = 0; depth < 5; depth++) {
      const inner = made
      made = flow(`depth-${depth}`, async () => inner())
    }
    expect(await outcomeOf(engine, made())).toMatchObject({ state: 'Cancelled' })
  })
})

describe('a body that returns an ending', () => {
  it('ends its run so', async () => {
    expect(await outcome(() => completed(3, 'well done'))).toEqual({
      state: 'Completed',
      value: 3,
      message: 'well done',
    })
    expect(await outcome(async () => completed(3))).toEqual({ state: 'Completed', value: 3 })
    expect(await outcome(() => failed(new RangeError('no')))).toMatchObject({
      state: 'Failed',
      message: 'no',
      error: { name: 'RangeError' },
    })
    expect(await outcome(() => failed('a text', 'in words'))).toMatchObject({
      state: 'Failed',
      message: 'in words',
      error: code('NON_ERROR_THROWN'),
    })
    expect(await outcome(() => cancelled('no more'))).toMatchObject({
      state: 'Cancelled',
      error: { code: 'RUN_CANCELLED', message: expect.stringContaining('no more') as unknown },
    })
    expect(await outcome(() => cancelled())).toMatchObject({
      state: 'Cancelled',
      error: code('RUN_CANCELLED'),
    })
  })

  it('decides whatever became of the runs that it submitted', async () => {
    const body = async (): Promise<unknown> => {
      fail()
      await one()
      return completed('anyway')
    }
    expect(await outcome(body)).toMatchObject({ state: 'Completed', value: 'anyway' })
  })

  it('waits for the runs that it submitted all the same', async () => {
    await using engine = testEngine()
    const run = flow('waits', () => {
      one()
      return cancelled('enough')
    })()
    await outcomeOf(engine, run)
    expect(steps(await all(run.transitions)).slice(-3)).toEqual([
      'one-1: Completed',
      'waits: Cancelling',
      'waits: Cancelled',
    ])
  })
})

describe('a body that returns a list of only futures', () => {
  it('completes with their values where all completed', async () => {
    expect(await outcome(() => [one(), one()])).toEqual({ state: 'Completed', value: [1, 1] })
    expect(await outcome(async () => [one(), one().handle])).toEqual({ state: 'Completed', value: [1, 1] })
  })

  it('fails with how many of them failed, and the first in time', async () => {
    const slowFail = task('slow-fail', async () => {
      await sleep(50)
      throw new RangeError('late')
    })
    expect(await outcome(() => [slowFail(), one(), fail('early')])).toMatchObject({
      state: 'Failed',
      message: '2/3 runs failed',
      error: { code: 'RUNS_FAILED', message: '2/3 runs failed', cause: { message: 'early' } },
    })
  })

  it('is cancelled where any was cancelled', async () => {
    expect(await outcome(() => [one(), fail(), quits()])).toMatchObject({ state: 'Cancelled' })
  })
})

describe('a body that returns a value with futures in it', () => {
  it('completes with their values in their places', async () => {
    expect(await outcome(() => ({ a: one(), b: [1, one()], c: new Map([['k', one()]]) }))).toEqual({
      state: 'Completed',
      value: { a: 1, b: [1, 1], c: new Map([['k', 1]]) },
    })
    expect(await outcome(async () => [one(), 2])).toEqual({ state: 'Completed', value: [1, 2] })
    expect(await outcome(() => [[one()], new Set([one()])])).toEqual({
      state: 'Completed',
      value: [[1], new Set([1])],
    })
  })

  it('fails with the error of one that did not complete', async () => {
    expect(await outcome(() => ({ a: one(), b: fail() }))).toMatchObject({
      state: 'Failed',
      error: { message: 'broken' },
    })
    expect(await outcome(() => [fail(), 2])).toMatchObject({ state: 'Failed', error: { message: 'broken' } })
    expect(await outcome(() => ({ b: quits() }))).toMatchObject({
      state: 'Failed',
      error: code('RUN_CANCELLED'),
    })
  })
})

describe('a run with invalid parameters', () => {
  it('fails, and its body is not run', async () => {
    await using engine = testEngine()
    let ran = false
    const never: StandardSchemaV1<[], []> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => ({ issues: [{ message: 'no', path: [0] }] }),
      },
    }
    const picky = flow({ name: 'picky', parameters: never }, () => {
      ran = true
    })
    const run = picky()
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'Failed',
      error: code('INVALID_PARAMETERS', /0: no/),
    })
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Failed'])
    expect(ran).toBe(false)
  })
})

describe('a run that is being cancelled', () => {
  const endings: [string, () => unknown][] = [
    ['returns a value', () => 1],
    [
      'throws',
      () => {
        throw new Error('cleaning up failed')
      },
    ],
    ['returns `completed`', () => completed(1)],
    ['returns `failed`', () => failed(new Error('x'))],
    ['returns a future', () => one.with({ cleanup: true })()],
  ]
  for (const [name, end] of endings) {
    it(`is CANCELLED, whatever its body does: ${name}`, async () => {
      await using engine = testEngine()
      const run = flow('stops', async () => {
        await sleep('1h').catch(() => undefined)
        return end()
      })()
      const cancelling = sleepThenCancel(engine, run)
      expect(await outcomeOf(engine, run)).toMatchObject({
        state: 'Cancelled',
        error: code('RUN_CANCELLED', /changed my mind/),
      })
      expect(await cancelling).toMatchObject({ name: 'Cancelled' })
    })
  }

  async function sleepThenCancel(
    engine: ReturnType<typeof testEngine>,
    run: ReturnType<Flow<[], unknown>>,
  ): Promise<unknown> {
    await new Promise<void>((resolve) => void engine.clock.at(engine.clock.now() + 1000, resolve))
    return run.cancel('changed my mind')
  }
})

describe('`onBodyError`', () => {
  const flowWith = (onBodyError: 'wait' | 'cancel'): Flow<[], unknown> =>
    flow({ name: 'throws', onBodyError }, async () => {
      one()
      await sleep(1)
      throw new RangeError('early')
    })

  it('lets the other runs finish by default', async () => {
    await using engine = testEngine()
    const run = flowWith('wait')()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', message: 'early' })
    expect(steps(await all(run.transitions)).slice(-2)).toEqual(['one-1: Completed', 'throws: Failed'])
  })

  it('cancels them where it says so', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const run = flowWith('cancel')()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', message: 'early' })
    expect(steps(await all(run.transitions)).slice(-3)).toEqual([
      'one-1: Cancelling',
      'one-1: Cancelled',
      'throws: Failed',
    ])
    expect(engine.clock.now() - start).toBe(1)
  })
})
