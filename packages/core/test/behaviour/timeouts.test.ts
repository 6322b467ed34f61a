import { cancelled, currentTaskRun, failed, flow, now, sleep, task, waitAll } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

const forever = (): Promise<void> => new Promise<void>(() => undefined)
const hold = task('hold', () => sleep('1h'))

describe('a task with a time limit', () => {
  it('is TimedOut at the limit, to the millisecond, and says so', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const future = task({ name: 'slow', timeout: '5s' }, () => sleep('1h'))()
    expect(await outcomeOf(engine, future)).toMatchObject({
      state: 'TimedOut',
      message: expect.stringContaining('5000 ms') as unknown,
      error: code('RUN_TIMED_OUT'),
    })
    expect(engine.clock.now() - start).toBe(5_000)
    expect(future.state.type).toBe('FAILED')
    expect(engine.clock.waiting).toBe(0)
  })

  it('completes where its body ends in time, and nothing waits then', async () => {
    await using engine = testEngine()
    const future = task({ name: 'quick', timeout: '5s' }, async () => {
      await sleep(4_999)
      return 1
    })()
    expect(await engine.settle(future)).toBe(1)
    expect(engine.clock.waiting).toBe(0)
  })

  it('counts from the start of the body, not from the submission or a wait for a slot', async () => {
    await using engine = testEngine({ limits: [{ task: 'timed', concurrency: 1 }] })
    const timed = task({ name: 'timed', timeout: '10s' }, async (after: unknown) => {
      await sleep('9s')
      return after
    })
    const run = flow('several', () => [timed(hold().handle.id), timed(sleepTask()), timed(3)])
    expect((await outcomeOf(engine, run())).state).toBe('Completed')
  })

  it('tells the body by its signal, with the error as reason', async () => {
    await using engine = testEngine()
    let reason: unknown
    const future = task({ name: 'heeds', timeout: '1s' }, async () => {
      const { signal } = currentTaskRun()
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      reason = signal.reason
      throw reason
    })()
    await outcomeOf(engine, future)
    expect(reason).toEqual(code('RUN_TIMED_OUT'))
    await quiet()
    expect(engine.lines).toEqual([])
    expect(engine.health().leftovers).toEqual([])
  })

  it('drops what a late body makes of it, and reports the body while it goes on', async () => {
    await using engine = testEngine()
    let end: (value: string) => void = () => undefined
    const future = task({ name: 'late', timeout: '1s' }, () => new Promise((resolve) => (end = resolve)))()
    expect((await outcomeOf(engine, future)).state).toBe('TimedOut')
    await quiet()
    expect(engine.health().leftovers).toEqual([future.id])
    expect(engine.lines).toMatchObject([
      { level: 'warn', message: expect.stringContaining('time limit') as unknown },
    ])
    end('too late')
    await quiet()
    expect(engine.health().leftovers).toEqual([])
    expect(await statesOf(engine, future)).toEqual(['Pending', 'Running', 'TimedOut'])
  })

  it('keeps the slot of its runner until the body has settled', async () => {
    const { ConcurrentTaskRunner } = await import('@troupe/core')
    await using engine = testEngine()
    let end: () => void = () => undefined
    const late = task({ name: 'late', timeout: '1s' }, () => new Promise<void>((resolve) => (end = resolve)))
    const next = task('next', () => 'next')
    const run = flow({ name: 'one-slot', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      const [a, b] = [late(), next()]
      const { name } = await a.wait()
      expect(b.state.name).toBe('Pending')
      end()
      return [name, await b]
    })
    expect(await engine.settle(run())).toEqual(['TimedOut', 'next'])
  })

  it('is tried again with its whole time, and TimedOut after the last attempt', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const asked: unknown[] = []
    const retryOn = (error: unknown): boolean => {
      asked.push(error)
      return true
    }
    const options = { name: 'again', timeout: '5s', retries: 2, retryDelay: '1s', retryOn } as const
    const future = task(options, () => sleep('1h'))()
    expect((await outcomeOf(engine, future)).state).toBe('TimedOut')
    expect(engine.clock.now() - start).toBe(17_000)
    expect(asked).toEqual([code('RUN_TIMED_OUT'), code('RUN_TIMED_OUT')])
    expect(await statesOf(engine, future)).toEqual([
      'Pending',
      'Running',
      'AwaitingRetry',
      'Retrying',
      'AwaitingRetry',
      'Retrying',
      'TimedOut',
    ])
  })

  it('cancels what its body submitted, cleanup runs too, and ends after them', async () => {
    await using engine = testEngine()
    let inner: ReturnType<typeof hold> | undefined
    const outer = task({ name: 'outer', timeout: '5s' }, async () => {
      inner = hold.with({ grace: '3s' })()
      await forever()
    })
    const run = outer()
    expect((await outcomeOf(engine, run)).state).toBe('TimedOut')
    expect(inner?.state.name).toBe('Cancelled')
  })

  it('waits for the grace of a run below that ignores its signal', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const stubborn = task({ name: 'stubborn', grace: '3s' }, forever)
    const run = task({ name: 'outer', timeout: '5s' }, () => stubborn())()
    expect((await outcomeOf(engine, run)).state).toBe('TimedOut')
    expect(engine.clock.now() - start).toBe(8_000)
  })

  it('rejects what a late body calls, sleeps for or waits for', async () => {
    await using engine = testEngine()
    const errors: unknown[] = []
    const late = task({ name: 'late', timeout: '1s' }, async () => {
      const child = hold()
      await sleep('1h').catch((error: unknown) => errors.push(error))
      await child.catch((error: unknown) => errors.push(error))
      try {
        hold()
      } catch (error) {
        errors.push(error)
      }
      try {
        now()
      } catch (error) {
        errors.push(error)
      }
    })
    const run = late()
    expect((await outcomeOf(engine, run)).state).toBe('TimedOut')
    await quiet()
    expect(errors).toEqual([
      code('RUN_TIMED_OUT'),
      code('RUN_CANCELLED'),
      code('RUN_ENDED', /time limit/),
      code('RUN_ENDED', /time limit/),
    ])
  })

  it('counts while it waits for what its body submitted, and whatever the body returned', async () => {
    await using engine = testEngine()
    for (const ending of [
      () => hold(),
      () => [hold()],
      () => (hold(), failed(new Error('x'))),
      () => (hold(), cancelled()),
    ]) {
      const run = flow({ name: 'returns', timeout: '5s' }, () => ending() as never)
      expect((await outcomeOf(engine, run())).state).toBe('TimedOut')
    }
  })

  it('has no limit by `timeout: false`, also in a copy', async () => {
    await using engine = testEngine()
    const limited = task({ name: 'limited', timeout: '1s' }, () => sleep('1h').then(() => 'done'))
    expect(await engine.settle(limited.with({ timeout: false })())).toBe('done')
    expect(() => limited.with({ timeout: 0 })).toThrow(code('INVALID_OPTION', /above 0/))
    expect(() => limited.with({ timeout: 'soon' as never })).toThrow(code('INVALID_DURATION'))
  })
})

const sleepTask = task('sleep', () => sleep('20s').then(() => 'slept'))

describe('a flow run with a time limit', () => {
  it('is TimedOut with all below it cancelled, whatever its body does', async () => {
    await using engine = testEngine()
    const inner = flow('inner', () => waitAll([hold()]))
    let below: ReturnType<typeof inner> | undefined
    const run = flow({ name: 'timed', timeout: '1m' }, async () => {
      below = inner()
      try {
        await below
      } catch {
        return 'compensated'
      }
      return 'done'
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'TimedOut', error: code('RUN_TIMED_OUT') })
    expect(below?.state.name).toBe('Cancelled')
  })

  it('fails its caller like any failed run', async () => {
    await using engine = testEngine()
    const inner = flow({ name: 'inner', timeout: '1s' }, () => sleep('1h'))
    const run = flow('outer', () => inner())()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed', error: code('RUN_TIMED_OUT') })
  })

  it('is tried again; what completed is not run again', async () => {
    await using engine = testEngine()
    let ran = 0
    const step = task('step', () => ++ran)
    let tries = 0
    const run = flow({ name: 'timed', timeout: '1m', retries: 1 }, async () => {
      const value = await step()
      if (++tries === 1) await sleep('1h')
      return value
    })()
    expect(await engine.settle(run)).toBe(1)
    expect([tries, ran]).toEqual([2, 1])
  })

  it('stands still while it is paused', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const run = flow({ name: 'timed', timeout: '1m' }, () => sleep('1d'))()
    await engine.settle(sleepTask())
    await run.pause()
    engine.clock.advance(10 * 60_000)
    await quiet()
    expect(run.state.name).toBe('Paused')
    await run.resume()
    expect((await outcomeOf(engine, run)).state).toBe('TimedOut')
    expect(engine.clock.now() - start).toBe(11 * 60_000)
  })

  it('goes on counting when its host was lost, and a task begins anew', async () => {
    const first = testEngine()
    const { clock, journal } = first
    const slow = task({ name: 'slow-again', timeout: '50s' }, () => sleep('1d'))
    const timed = flow({ name: 'timed-on', timeout: '1m' }, () => slow())
    const start = clock.now()
    timed().ignore()
    await quiet()
    clock.advance(30_000)
    await first.close()
    await using engine = testEngine({ clock, journal })
    const [run] = await engine.recover()
    if (run === undefined) throw new TypeError('expected a run')
    expect((await outcomeOf(engine, run)).state).toBe('TimedOut')
    expect(clock.now() - start).toBe(60_000)
  })

  it('whose time ran out while no host was there ends when one is', async () => {
    const first = testEngine()
    const { clock, journal } = first
    flow({ name: 'over', timeout: '1m' }, () => sleep('1d'))().ignore()
    await quiet()
    await first.close()
    clock.advance(3_600_000)
    await using engine = testEngine({ clock, journal })
    const [run] = await engine.recover()
    if (run === undefined) throw new TypeError('expected a run')
    const before = clock.now()
    expect((await outcomeOf(engine, run)).state).toBe('TimedOut')
    expect(clock.now()).toBe(before)
  })
})

describe('a time limit and a cancellation', () => {
  it('the cancellation wins where it comes first, within its grace too', async () => {
    await using engine = testEngine()
    const stubborn = task({ name: 'stubborn', timeout: '5s', grace: '10s' }, forever)
    const run = stubborn()
    await quiet()
    engine.clock.advance(4_000)
    void run.cancel()
    expect((await outcomeOf(engine, run)).state).toBe('Cancelled')
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Cancelling', 'Cancelled'])
  })

  it('a cancellation after the limit, while runs below end, makes it CANCELLED', async () => {
    await using engine = testEngine()
    const stubborn = task({ name: 'stubborn', grace: '10s' }, forever)
    const run = flow({ name: 'timed', timeout: '5s' }, () => stubborn())()
    await quiet()
    engine.clock.advance(6_000)
    expect(run.state.name).toBe('Running')
    void run.cancel()
    expect((await outcomeOf(engine, run)).state).toBe('Cancelled')
  })
})
