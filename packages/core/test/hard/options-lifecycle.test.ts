import { abort, currentFlowRun, currentTaskRun, flow, random, retryAfter, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { counts } from '../behaviour/limit-support.ts'
import { deferred, quiet, testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, cutOff, forever, later, or, pass, recovered } from './support.ts'
import { StagedRunner } from '../behaviour/staged-runner.ts'
import { asyncSchema } from './options-support.ts'

describe('a flow run that is paused and resumed while its next attempt is prepared', () => {
  it('has one body', async () => {
    await using engine = testEngine()
    const gates: (() => void)[] = []
    let hold = false
    const parameters = asyncSchema(async () => {
      if (hold) await new Promise<void>((resolve) => gates.push(resolve))
    })
    let bodies = 0
    let most = 0
    const tried = flow({ name: 'tried', retries: 1, parameters }, async () => {
      most = Math.max(most, ++bodies)
      hold = true
      if (currentFlowRun().attempt === 1) {
        bodies--
        throw new Error('again')
      }
      await sleep(10)
      bodies--
      return 'done'
    })
    const run = abandoned(engine.run(tried))
    await quiet()
    await run.pause()
    void run.resume()
    await quiet()
    hold = false
    for (const open of gates) {
      open()
      await quiet()
    }
    expect(await or(engine.clock, run)).toBe('done')
    expect(most).toBe(1)
  })
})

describe('a body that is lost', () => {
  const pair = (): { runner: StagedRunner; inner: ReturnType<typeof deferred> } => ({
    runner: new StagedRunner(),
    inner: deferred(),
  })

  it.each([true, false])(
    'keeps its time limit while runs that it submitted are live (crashed: %s)',
    async (crashed) => {
      await using engine = testEngine()
      const { runner } = pair()
      const child = flow('child', forever)
      const outer = task({ name: 'outer', timeout: '1s' }, async () => {
        child().ignore()
        await forever()
      })
      const run = abandoned(engine.run(flow({ name: 'loses', taskRunner: runner }, () => outer())))
      await quiet()
      runner.lose({ crashed })
      await quiet()
      expect(await or(engine.clock, run, 60_000)).toBe(
        crashed ? 'rejected RUN_CRASHED' : 'rejected RUN_TIMED_OUT',
      )
    },
  )

  it('is no leftover any more, where it had been one', async () => {
    await using engine = testEngine()
    const { runner } = pair()
    const outer = task({ name: 'outer', timeout: '1s' }, forever)
    const run = abandoned(engine.run(flow({ name: 'loses', taskRunner: runner }, () => outer())))
    expect(await or(engine.clock, run, 60_000)).toBe('rejected RUN_TIMED_OUT')
    await quiet()
    expect(engine.health().leftovers).toHaveLength(1)
    runner.lose({ crashed: false })
    expect(engine.health().leftovers).toEqual([])
  })

  it('can be cancelled while runs that it submitted are live', async () => {
    await using engine = testEngine()
    const { runner } = pair()
    const child = flow({ name: 'child', grace: 5 }, forever)
    const outer = task('outer', async () => {
      child().ignore()
      await forever()
    })
    const run = abandoned(engine.run(flow({ name: 'loses', taskRunner: runner }, () => outer())))
    await quiet()
    runner.lose({ crashed: false })
    await run.pause()
    await quiet()
    expect(await or(engine.clock, run.cancel(), 60_000)).toMatchObject({ name: 'Cancelled' })
  })
})

describe('what a body says of its own retry', () => {
  it.each([true, false])('is not said of its caller, too (strictValues: %s)', async (strictValues) => {
    await using engine = testEngine({ strictValues })
    let attempts = 0
    const gives = task('gives-up', () => {
      throw abort('no use')
    })
    const tried = flow({ name: 'tries', retries: 1 }, async () => {
      attempts++
      await gives()
    })
    await or(engine.clock, engine.run(tried))
    expect(attempts).toBe(2)
  })

  it.each([true, false])('does not make its caller wait (strictValues: %s)', async (strictValues) => {
    await using engine = testEngine({ strictValues })
    const asks = task('asks', () => {
      throw retryAfter('30m')
    })
    const tried = flow({ name: 'tries', retries: 1 }, async () => {
      await asks()
    })
    const before = engine.clock.now()
    await or(engine.clock, engine.run(tried))
    expect(engine.clock.now() - before).toBe(0)
  })
})

describe('functions of options', () => {
  it.each(['retryOn', 'retryDelay', 'runName', 'cacheKey'])('run outside any run: %s', async (option) => {
    await using engine = testEngine()
    const seen: unknown[] = []
    const look = (): unknown => {
      try {
        seen.push(currentFlowRun().name)
      } catch (error) {
        seen.push((error as { code: string }).code)
      }
      return { retryOn: true, retryDelay: 1, runName: 'name', cacheKey: 'key' }[option]
    }
    const tried = task({ name: 'tried', retries: 1, [option]: look }, () => {
      if (currentTaskRun().attempt === 1) throw new Error('again')
    })
    await or(engine.clock, engine.run(flow('asks', () => tried())))
    expect(seen).toEqual(['NO_RUN_CONTEXT'])
  })

  it('do not change what a body draws when it is replayed', async () => {
    const lives = new Lives()
    const drawn: number[] = []
    const named = task({ name: 'named', runName: () => `n ${random()}` }, () => 1)
    const draws = flow('draws-beside-names', async () => {
      await named()
      drawn.push(random())
      await sleep(10)
      return drawn.length
    })
    await cutOff(lives, (engine) => engine.run(draws))
    await using second = lives.start()
    second.errors.subscribe()
    await or(lives.clock, (await recovered(second)).result())
    expect(drawn[1]).toBe(drawn[0])
  })

  it('that call a task do not make their caller diverge when it is replayed', async () => {
    const lives = new Lives()
    const healthy = task('healthy', () => true)
    const tried = task(
      { name: 'asks-first', retries: 1, retryOn: async () => healthy(), retryDelay: '1m' },
      () => {
        throw new Error('again')
      },
    )
    const asks = flow('asks-before-retry', async () => {
      await tried().wait()
      return 'done'
    })
    await cutOff(lives, (engine) => engine.run(asks))
    await using second = lives.start()
    second.errors.subscribe()
    expect(await or(lives.clock, (await recovered(second)).result())).toBe('done')
  })
})

describe('a retryOn that never settles', () => {
  const stuck = task(
    { name: 'stuck', retries: 1, timeout: '1s', retryOn: () => new Promise(() => undefined) },
    () => {
      throw new Error('again')
    },
  )

  it('does not outlive a cancel', async () => {
    await using engine = testEngine()
    const run = abandoned(engine.run(flow('waits', () => stuck())))
    await quiet()
    expect(await or(engine.clock, run.cancel())).toMatchObject({ name: 'Cancelled' })
  })

  it('does not outlive a pause and a cancel', async () => {
    await using engine = testEngine()
    const run = abandoned(engine.run(flow('waits', () => stuck())))
    await quiet()
    await run.pause()
    await quiet()
    expect(await or(engine.clock, run.cancel())).toMatchObject({ name: 'Cancelled' })
  })

  it('does not outlive the time limit of its caller', async () => {
    await using engine = testEngine()
    const run = abandoned(engine.run(flow({ name: 'waits', timeout: '1m' }, () => stuck())))
    expect(await or(engine.clock, run)).toBe('rejected RUN_TIMED_OUT')
  })

  it('does not hold up a close', async () => {
    const engine = testEngine()
    const run = abandoned(engine.run(flow('waits', () => stuck())))
    await quiet()
    await engine.close()
    expect(run.state.name).toBe('Running')
    expect(engine.clock.waiting).toBe(0)
  })

  it('is asked again where the flow run was paused when it settled', async () => {
    await using engine = testEngine()
    const gates: ((wanted: boolean) => void)[] = []
    const asks = flow(
      {
        name: 'asks',
        retries: 1,
        timeout: '1m',
        retryOn: () => new Promise<boolean>((resolve) => gates.push(resolve)),
      },
      () => {
        if (currentFlowRun().attempt === 1) throw new Error('again')
        return 'done'
      },
    )
    const run = abandoned(engine.run(asks))
    await quiet()
    await run.pause()
    gates[0]?.(true)
    await pass(engine.clock, 120_000)
    await run.resume()
    await quiet()
    gates[1]?.(true)
    expect(await or(engine.clock, run)).toBe('done')
  })
})

describe('a body that goes on after its time limit', () => {
  it('is a leftover once, also where its run is cancelled before it is tried again', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const stubborn = task({ name: 'stubborn', timeout: '1s', retries: 1, retryDelay: '10s' }, () =>
      later(clock, 5_000),
    )
    const run = abandoned(engine.run(flow('waits', () => stubborn())))
    await pass(clock, 1_000)
    const ended = run.cancel()
    await or(clock, ended, 100)
    expect(engine.health().leftovers).toHaveLength(1)
    await pass(clock, 10_000)
    expect(engine.health().leftovers).toEqual([])
  })
})

describe('ownership that was lost', () => {
  it('frees the slots of all that the flow run had', async () => {
    const lives = new Lives()
    const limits = [
      { task: 'held', concurrency: 1 },
      { flow: 'holding', concurrency: 1 },
    ]
    await using first = lives.start({ limits })
    const held = task('held', forever)
    const holding = flow('holding', () => held())
    const top = flow('top', () => holding())
    const run = abandoned(first.run(top))
    await rest()
    expect(counts(first)).toBe('1/0 1/0')
    const second = lives.start()
    await second.recover()
    await rest()
    void run.pause()
    await rest()
    expect(counts(first)).toBe('0/0 0/0')
    expect(first.health().liveRuns).toBe(0)
    await second.close()
  })

  it('does not leave a subflow with an id behind that nobody goes on with', async () => {
    const lives = new Lives()
    const gate = deferred()
    const inner = task('inner-of-keyed', () => gate.promise.then(() => 'value'))
    const keyed = flow('keyed-below', () => inner())
    const top = flow('top-of-keyed', () => keyed.with({ id: 'the-one' })())
    await using first = lives.start()
    const run = abandoned(first.run(top))
    await rest()
    await using second = lives.start()
    await second.recover()
    await rest()
    // Told to a run that is lost, it is told to the owner.
    void run.pause().then(() => run.resume())
    await rest()
    gate.resolve()
    expect(await or(lives.clock, run)).toBe('value')
    expect(await or(lives.clock, first.run(keyed.with({ id: 'the-one' })))).toBe('value')
  })
})
