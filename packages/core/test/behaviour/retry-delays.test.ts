import {
  abort,
  currentTaskRun,
  exponentialBackoff,
  failed,
  flow,
  retryAfter,
  sleep,
  task,
  type RetryDelay,
  type TaskOptions,
  type Transition,
} from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { all, code, outcomeOf, quiet, statesOf, testEngine, type Outcome } from './support.ts'

/** Runs a task that always fails, and gives its end and the waits before its retries, in milliseconds. */
async function waitsOf(
  options: Partial<TaskOptions>,
  body?: () => unknown,
): Promise<{ waits: number[]; end: Outcome }> {
  await using engine = testEngine()
  const starts: number[] = []
  const { parameters: _none, ...rest } = options
  const tries = task({ name: 'tries', retries: 4, ...rest }, () => {
    starts.push(engine.clock.now())
    if (body !== undefined) return body()
    throw new RangeError(`attempt ${starts.length}`)
  })
  const end = await outcomeOf(engine, tries())
  return { waits: starts.slice(1).map((at, index) => at - (starts[index] ?? 0)), end }
}

describe('retryDelay', () => {
  it.each<[string, RetryDelay, number[]]>([
    ['a duration', '1.5s', [1500, 1500, 1500, 1500]],
    ['a list, whose last repeats', [10, '2s'], [10, 2000, 2000, 2000]],
    ['a list that begins at once', [0, 0, 5], [0, 0, 5, 5]],
    [
      'a function of the retry and the error',
      (retry, error) => retry * 100 + String((error as Error).message).length,
      [109, 209, 309, 409],
    ],
    ['exponential back-off', exponentialBackoff('1s'), [1000, 2000, 4000, 8000]],
    [
      'back-off with a factor and a longest wait',
      exponentialBackoff(100, { factor: 3, max: '1s' }),
      [100, 300, 900, 1000],
    ],
  ])('may be %s', async (_, retryDelay, expected) => {
    expect((await waitsOf({ retryDelay })).waits).toEqual(expected)
  })

  it('is seen as AwaitingRetry, with the error and the wait in words; the flow run goes on with other things', async () => {
    await using engine = testEngine()
    let calls = 0
    const tries = task({ name: 'tries', retries: 1, retryDelay: '1m' }, () => {
      if (++calls === 1) throw new TypeError('busy')
      return 'ok'
    })
    const other = task('other', () => 'other')
    const run = flow('goes-on', async () => {
      const future = tries()
      await other()
      expect(future.state).toMatchObject({ type: 'SCHEDULED', name: 'AwaitingRetry' })
      return future
    })()
    expect(await engine.settle(run)).toBe('ok')
    const waiting = (await all(run.transitions)).find(({ to }) => to.name === 'AwaitingRetry')
    expect(waiting?.to.message).toBe('busy (tried again in 60000 ms)')
    expect(waiting?.attempt).toBe(1)
  })

  it('applies to flows, too', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    let calls = 0
    const run = flow({ name: 'flow-tries', retries: 2, retryDelay: ['1s', '2s'] }, () => {
      if (++calls < 3) throw new TypeError('no')
      return 'yes'
    })()
    expect(await engine.settle(run)).toBe('yes')
    expect(engine.clock.now() - start).toBe(3000)
    const waits = ['AwaitingRetry', 'Retrying', 'AwaitingRetry', 'Retrying']
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', ...waits, 'Completed'])
  })

  it.each<[string, Partial<TaskOptions>, string]>([
    ['no duration', { retryDelay: 'soon' as never }, 'INVALID_DURATION'],
    ['an empty list', { retryDelay: [] as never }, 'INVALID_OPTION'],
    ['a list with something else', { retryDelay: [1, 'x' as never] }, 'INVALID_DURATION'],
    ['less than nothing', { retryDelay: -1 }, 'INVALID_DURATION'],
    ['a jitter above 1', { retryJitter: 1.5 }, 'INVALID_OPTION'],
    ['a jitter below 0', { retryJitter: -0.1 }, 'INVALID_OPTION'],
    ['a jitter that is no number', { retryJitter: Number.NaN }, 'INVALID_OPTION'],
    ['a retryOn that is no function', { retryOn: true as never }, 'INVALID_OPTION'],
  ])('of %s is refused at definition', (_, options, expected) => {
    const { parameters: _none, ...rest } = options
    expect(() => task({ name: 'bad', ...rest }, () => 1)).toThrow(code(expected as 'INVALID_OPTION'))
  })

  it('refuses a back-off that makes no sense', () => {
    expect(() => exponentialBackoff('1s', { factor: 0.5 })).toThrow(code('INVALID_OPTION'))
    expect(() => exponentialBackoff('1s', { factor: Number.NaN })).toThrow(code('INVALID_OPTION'))
    expect(() => exponentialBackoff('x' as never)).toThrow(code('INVALID_DURATION'))
    expect(exponentialBackoff('1s')(60)).toBe(3_600_000)
  })

  it.each<[string, RetryDelay]>([
    [
      'throws',
      () => {
        throw new TypeError('in the delay')
      },
    ],
    ['gives no duration', () => 'x' as never],
    ['gives less than nothing', () => -5],
  ])('that %s means no retry, the error of the body, and a report', async (_, retryDelay) => {
    await using engine = testEngine()
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const tries = task({ name: 'tries', retries: 3, retryDelay }, () => {
      throw new RangeError('of the body')
    })
    expect(await outcomeOf(engine, tries())).toMatchObject({
      state: 'Failed',
      error: { message: 'of the body' },
    })
    expect(errors).toHaveLength(1)
  })

  it('gets no retry from a retry that was asked for in a cancelled run', async () => {
    await using engine = testEngine()
    let calls = 0
    const tries = task({ name: 'tries', retries: 9, retryDelay: '1h' }, () => {
      calls++
      throw new TypeError('no')
    })
    const run = flow('cancelled', () => tries())()
    await quiet()
    void run.cancel('enough')
    expect((await outcomeOf(engine, run)).state).toBe('Cancelled')
    expect(calls).toBe(1)
    expect(engine.clock.waiting).toBe(0)
  })
})

describe('retryOn', () => {
  it('decides by the error and the attempt; it is asked only while retries remain', async () => {
    const asked: unknown[] = []
    const retryOn = (error: unknown, attempt: number): boolean => {
      asked.push([(error as Error).message, attempt])
      return true
    }
    const { end, waits } = await waitsOf({ retries: 2, retryOn })
    expect(end).toMatchObject({ state: 'Failed', error: { message: 'attempt 3' } })
    expect(waits).toHaveLength(2)
    expect(asked).toEqual([
      ['attempt 1', 1],
      ['attempt 2', 2],
    ])
  })

  it.each<[string, NonNullable<TaskOptions['retryOn']>, number]>([
    ['false', () => false, 0],
    ['a promise of false', () => Promise.resolve(false), 0],
    ['a promise of true', () => Promise.resolve(true), 4],
  ])('gives %s', async (_, retryOn, expected) => {
    expect((await waitsOf({ retryOn })).waits).toHaveLength(expected)
  })

  it.each<[string, NonNullable<TaskOptions['retryOn']>]>([
    [
      'throws',
      () => {
        throw new TypeError('asked')
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('asked'))],
  ])('that %s means no retry, the error of the body, and a report', async (_, retryOn) => {
    await using engine = testEngine()
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const tries = task({ name: 'tries', retries: 3, retryOn }, () => {
      throw new RangeError('of the body')
    })
    expect(await outcomeOf(engine, tries())).toMatchObject({
      state: 'Failed',
      error: { message: 'of the body' },
    })
    expect(errors).toMatchObject([{ message: 'asked' }])
  })

  it('that takes its time leaves the run Running, and a cancel meanwhile wins', async () => {
    await using engine = testEngine()
    let answer: (value: boolean) => void = () => undefined
    const retryOn = (): Promise<boolean> => new Promise((resolve) => (answer = resolve))
    const tries = task({ name: 'tries', retries: 3, retryOn, timeout: '1m' }, () => {
      throw new RangeError('no')
    })
    const run = tries()
    await quiet()
    expect(run.state.name).toBe('Running')
    engine.clock.advance(3_600_000)
    await quiet()
    expect(run.state.name).toBe('Running')
    void run.cancel()
    expect((await outcomeOf(engine, run)).state).toBe('Cancelled')
    answer(true)
    await quiet()
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Cancelling', 'Cancelled'])
  })

  it('that answers while the flow run is paused is asked again when it goes on', async () => {
    await using engine = testEngine()
    const answers: ((value: boolean) => void)[] = []
    const retryOn = (): Promise<boolean> => new Promise((resolve) => answers.push(resolve))
    let calls = 0
    const run = flow({ name: 'paused-asks', retries: 3, retryOn }, () => {
      if (++calls === 1) throw new RangeError('no')
      return 'ok'
    })()
    await quiet()
    await run.pause()
    answers[0]?.(true)
    await quiet()
    expect(run.state.name).toBe('Paused')
    await run.resume()
    await quiet()
    answers[1]?.(true)
    expect(await engine.settle(run)).toBe('ok')
  })

  it('is asked about failures of all kinds', async () => {
    await using engine = testEngine()
    const asked: string[] = []
    const retryOn = (error: unknown): boolean => {
      asked.push((error as { code?: string }).code ?? (error as Error).message)
      return false
    }
    const fails = task('fails', () => {
      throw new RangeError('below')
    })
    const options = { retries: 1, retryOn, timeout: '1m' } as const
    const bodies = [
      () => void fails(),
      () => failed(new RangeError('returned')),
      () => [fails(), fails()],
      () => fails(),
      () => sleep('1h'),
    ]
    for (const [n, body] of bodies.entries())
      await outcomeOf(engine, flow({ name: `asks-${n}`, ...options }, body as () => unknown)())
    expect(asked).toEqual(['UNOBSERVED_FAILURE', 'returned', 'RUNS_FAILED', 'below', 'RUN_TIMED_OUT'])
  })
})

describe('a body that decides on its retry', () => {
  it('by `retryAfter` is tried again after that time, past delay, jitter and retryOn', async () => {
    const { waits, end } = await waitsOf(
      { retries: 2, retryDelay: '1h', retryJitter: 1, retryOn: () => false },
      () => {
        throw retryAfter('30s', new TypeError('429'))
      },
    )
    expect(waits).toEqual([30_000, 30_000])
    expect(end).toMatchObject({ state: 'Failed', error: { name: 'TypeError', message: '429' } })
  })

  it('by `retryAfter` without retries fails with the error, or with one that says what was asked', async () => {
    await using engine = testEngine()
    const asks = task('asks', () => {
      throw retryAfter('30s')
    })
    expect(await outcomeOf(engine, asks())).toMatchObject({
      state: 'Failed',
      error: { message: 'asked to be tried again after 30s' },
    })
    expect(() => retryAfter('x' as never)).toThrow(code('INVALID_DURATION'))
  })

  it('by `abort` fails for good with that error, and its caller may still be tried again', async () => {
    await using engine = testEngine()
    let calls = 0
    const gives = task({ name: 'gives-up', retries: 5 }, () => {
      calls++
      throw abort(new TypeError('in vain'))
    })
    const run = flow({ name: 'outer', retries: 1 }, () => gives())()
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'Failed',
      error: { name: 'TypeError', message: 'in vain' },
    })
    expect(calls).toBe(2)
  })

  it('may give a message alone, return it by `failed`, or pass on the error of a run of its own', async () => {
    await using engine = testEngine()
    const text = task({ name: 'text', retries: 5 }, () => {
      throw abort('no such file')
    })
    expect(await outcomeOf(engine, text())).toMatchObject({ error: { message: 'no such file' } })
    const returns = task({ name: 'returns', retries: 5 }, () => failed(abort(new TypeError('returned'))))
    expect(await outcomeOf(engine, returns())).toMatchObject({
      state: 'Failed',
      error: { message: 'returned' },
    })
    let calls = 0
    const passes = flow({ name: 'passes', retries: 5 }, async () => {
      calls++
      try {
        await text()
      } catch (error) {
        throw abort(error)
      }
    })
    expect(await outcomeOf(engine, passes())).toMatchObject({
      state: 'Failed',
      error: { message: 'no such file' },
    })
    expect(calls).toBe(1)
  })
})

describe('a retry that waits', () => {
  it('waits from the moment that its state tells, though much time goes by while the failure is recorded', async () => {
    const clock = virtualClock()
    await using engine = testEngine({ clock, strictValues: true })
    const heavy = Object.defineProperty(new TypeError('no'), 'name', {
      enumerable: true,
      get: () => (clock.advance(7), 'Heavy'),
    })
    const tries = task({ name: 'retry-heavy', retries: 1, retryDelay: 10 }, () => {
      if (currentTaskRun().attempt === 1) throw heavy
      return 'done'
    })
    const started = clock.now()
    const seen: Transition[] = []
    engine.transitions.subscribe((transition) => seen.push(transition))
    expect(await engine.settle(flow('retry-heavily', () => tries())())).toBe('done')
    const at = (name: string): number => seen.find(({ to }) => to.name === name)?.at ?? Number.NaN
    expect(at('AwaitingRetry') - started).toBeGreaterThanOrEqual(7)
    expect(at('Retrying') - at('AwaitingRetry')).toBe(10)
  })
})

describe('a retry that waits, when its host is lost', () => {
  it('begins at the moment that was recorded', async () => {
    const first = testEngine()
    const { clock, journal } = first
    const start = clock.now()
    const starts: number[] = []
    const once = task('retry-once', () => 'kept')
    const tries = task({ name: 'retry-waits', retries: 2, retryDelay: '10m' }, async () => {
      starts.push(clock.now() - start)
      const kept = await once()
      if (currentTaskRun().attempt < 3) throw new TypeError('no')
      return kept
    })
    flow('retry-host', () => tries())().ignore()
    await quiet()
    clock.advance(60_000)
    await first.close()
    await using engine = testEngine({ clock, journal })
    const seen: string[] = []
    engine.transitions.subscribe(({ task: name, to }) => name === 'retry-once' && seen.push(to.name))
    const [run] = await engine.recover()
    expect(await engine.settle(run?.result() ?? Promise.resolve())).toBe('kept')
    expect(starts).toEqual([0, 600_000, 1_200_000])
    expect(seen).toEqual([])
  })

  it('begins at once where that moment has passed, of a flow run, too', async () => {
    const first = testEngine()
    const { clock, journal } = first
    let calls = 0
    flow({ name: 'retry-flow-waits', retries: 2, retryDelay: '10m' }, () => {
      if (++calls === 1) throw new TypeError('no')
      return calls
    })().ignore()
    await quiet()
    await first.close()
    clock.advance(3_600_000)
    await using engine = testEngine({ clock, journal })
    const before = clock.now()
    const [run] = await engine.recover()
    expect(await engine.settle(run?.result() ?? Promise.resolve())).toBe(2)
    expect(clock.now()).toBe(before)
  })
})
