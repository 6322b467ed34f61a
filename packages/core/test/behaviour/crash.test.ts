import { currentTaskRun, flow, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, code, outcomeOf, quiet, statesOf, steps, testEngine } from './support.ts'
import { StagedRunner } from './staged-runner.ts'

const hold = (): Promise<void> => sleep('1h')

describe('a body that brings its host down', () => {
  it('is CRASHED, and not tried again, whatever its retries', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const crashes = task({ name: 'crashes', retries: 5 }, hold)
    let future: ReturnType<typeof crashes> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = crashes()))()
    await quiet()
    taskRunner.lose({ crashed: true, runId: future?.id })
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'Failed',
      error: code('RUN_CRASHED', /exit code 1/),
    })
    expect(future === undefined ? [] : await statesOf(engine, future)).toEqual([
      'Pending',
      'Running',
      'Crashed',
    ])
    expect(future?.state.type).toBe('CRASHED')
  })

  it('is tried again within its retries where `retryOnCrash` says so, asking `retryOn` and waiting', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const asked: unknown[] = []
    const retryOn = (error: unknown, attempt: number): boolean => asked.push([error, attempt]) > 0
    const options = { name: 'crashes', retries: 2, retryOnCrash: true, retryDelay: '1m', retryOn } as const
    const crashes = task(options, async () => {
      const { attempt } = currentTaskRun()
      if (attempt < 3) await hold()
      return attempt
    })
    let future: ReturnType<typeof crashes> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = crashes()))()
    await quiet()
    const id = future?.id ?? ''
    taskRunner.lose({ crashed: true, runId: id })
    await quiet()
    engine.clock.advance(60_000)
    await quiet()
    taskRunner.lose({ crashed: true, runId: id })
    expect(await engine.settle(run)).toBe(3)
    expect(asked).toEqual([
      [code('RUN_CRASHED'), 1],
      [code('RUN_CRASHED'), 2],
    ])
  })

  it('drops what the lost body still reports, and ends after the runs that it submitted', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const inner = task('inner', () => sleep('1m'))
    const outer = task('outer', async () => {
      await inner()
      return 'too late'
    })
    let future: ReturnType<typeof outer> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = outer()))()
    await quiet()
    taskRunner.lose({ crashed: true, runId: future?.id })
    expect((await outcomeOf(engine, run)).state).toBe('Failed')
    expect(steps(await all(run.transitions)).slice(-3)).toEqual([
      'inner-2: Completed',
      'outer-1: Crashed',
      'f: Failed',
    ])
    expect(engine.health().leftovers).toEqual([])
  })

  it('cancels what it had submitted where `onBodyError` says so', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const inner = task('inner', hold)
    const outer = task({ name: 'outer', onBodyError: 'cancel' }, () => inner())
    let future: ReturnType<typeof outer> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = outer()))()
    await quiet()
    taskRunner.lose({ crashed: true, runId: future?.id })
    expect((await outcomeOf(engine, run)).state).toBe('Failed')
    expect(steps(await all(run.transitions))).toContain('inner-2: Cancelled')
  })
})

describe('a body whose host is lost', () => {
  it('runs again as the next attempt, not counted against its retries', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const attempts: number[] = []
    const lost = task('lost', async () => {
      attempts.push(currentTaskRun().attempt)
      if (attempts.length < 3) await hold()
      return 'done'
    })
    let future: ReturnType<typeof lost> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = lost()))()
    for (let i = 0; i < 2; i++) {
      await quiet()
      taskRunner.lose({ crashed: false, runId: future?.id })
    }
    expect(await engine.settle(run)).toBe('done')
    expect(attempts).toEqual([1, 2, 3])
    expect(future === undefined ? [] : await statesOf(engine, future)).toEqual([
      'Pending',
      'Running',
      'Recovering',
      'Running',
      'Recovering',
      'Running',
      'Completed',
    ])
  })

  it('finds again what it had submitted, when that has ended', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    let ran = 0
    const inner = task('inner', async (name: string) => {
      ran++
      await sleep('1m')
      return name
    })
    let lives = 0
    const outer = task('outer', async () => {
      lives++
      const first = await inner('a')
      return first + (await inner('b'))
    })
    let future: ReturnType<typeof outer> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = outer()))()
    await quiet()
    taskRunner.lose({ crashed: false, runId: future?.id })
    expect(await engine.settle(run)).toBe('ab')
    expect([lives, ran]).toEqual([2, 2])
  })

  it('is CRASHED as poison when it was lost more often than `maxRecoveries`', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const lost = task({ name: 'lost', maxRecoveries: 1 }, hold)
    let future: ReturnType<typeof lost> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = lost()))()
    for (let i = 0; i < 2; i++) {
      await quiet()
      taskRunner.lose({ crashed: false, runId: future?.id })
    }
    expect((await outcomeOf(engine, run)).error).toEqual(code('RUN_CRASHED', /maxRecoveries/))
    expect(future?.state).toMatchObject({
      name: 'Crashed',
      message: expect.stringContaining('Poisoned') as unknown,
    })
  })

  it('is CRASHED at once where it must not run twice', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const once = task({ name: 'once', onHostLost: 'crash', retries: 3 }, hold)
    let future: ReturnType<typeof once> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = once()))()
    await quiet()
    taskRunner.lose({ crashed: false, runId: future?.id })
    expect((await outcomeOf(engine, run)).state).toBe('Failed')
    expect(future === undefined ? [] : await statesOf(engine, future)).toEqual([
      'Pending',
      'Running',
      'Crashed',
    ])
  })

  it('may be cancelled before it runs again, and once it has timed out it is not recovered', async () => {
    await using engine = testEngine()
    const taskRunner = new StagedRunner()
    const inner = task({ name: 'inner', grace: '1m' }, () => new Promise<never>(() => undefined))
    const outer = task({ name: 'outer', timeout: '10s' }, () => inner())
    let future: ReturnType<typeof outer> | undefined
    const run = flow({ name: 'f', taskRunner }, () => (future = outer()))()
    await quiet()
    engine.clock.advance(11_000)
    await quiet()
    taskRunner.lose({ crashed: false, runId: future?.id })
    expect((await outcomeOf(engine, run)).error).toEqual(code('RUN_TIMED_OUT'))
    let again: ReturnType<typeof outer> | undefined
    const second = flow({ name: 'g', taskRunner }, () => (again = outer.with({ timeout: false })()))()
    await quiet()
    taskRunner.lose({ crashed: false, runId: again?.id })
    void again?.cancel()
    expect((await outcomeOf(engine, second)).state).toBe('Cancelled')
  })
})
