import { EventEmitter } from 'node:events'
import {
  bindRun,
  currentFlowRun,
  currentTaskRun,
  flow,
  now,
  random,
  sleep,
  task,
  uuid,
  type CurrentRun,
} from '@troupe/core'
import { createTestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { code, errorOf, quiet, testEngine } from './support.ts'

describe('inside a run', () => {
  it('`currentFlowRun` and `currentTaskRun` tell of it', async () => {
    await using engine = testEngine()
    let seen: { flow: CurrentRun; task: CurrentRun; flowOfTask: CurrentRun } | undefined
    let atFlow: CurrentRun | undefined
    const inner = task({ name: 'inner', tags: ['t'], retries: 1 }, (...parameters: number[]) => {
      seen = { flow: currentFlowRun(), task: currentTaskRun(), flowOfTask: currentFlowRun() }
      return parameters.length
    })
    const outer = flow({ name: 'outer', tags: ['f', 'g'], runName: 'Monday' }, async (_name: string) => {
      atFlow = currentFlowRun()
      await inner.with({ runName: 'first' })(1, 2)
    })
    const run = outer('x')
    await engine.settle(run)
    expect(atFlow).toMatchObject({
      id: run.id,
      flowRunId: run.id,
      name: 'outer',
      runName: 'Monday',
      attempt: 1,
      parameters: ['x'],
      tags: ['f', 'g'],
    })
    expect(seen?.task).toMatchObject({
      flowRunId: run.id,
      name: 'inner',
      runName: 'first',
      attempt: 1,
      parameters: [1, 2],
      tags: ['f', 'g', 't'],
    })
    expect(seen?.task.id).toMatch(new RegExp(`^${run.id}\\.`))
    expect(seen?.flow.id).toBe(run.id)
  })

  it('`currentFlowRun` of a nested task is the flow run that it belongs to', async () => {
    await using engine = testEngine()
    const inner = task('inner', () => currentFlowRun().name)
    const outer = task('outer', () => inner())
    expect(await engine.settle(flow('whole', () => outer())())).toBe('whole')
  })

  it('the context holds over awaits, timers and promises, and each body has its own', async () => {
    await using engine = testEngine()
    const named = task('named', async (ms: number) => {
      const before = currentTaskRun().id
      await sleep(ms)
      await new Promise((resolve) => setImmediate(resolve))
      const after = await Promise.resolve().then(() => currentTaskRun().id)
      return before === after
    })
    expect(await engine.settle(flow('both', () => named.map([5, 1, 3]))())).toEqual([true, true, true])
  })

  it('`now`, `random` and `uuid` draw from the engine: the same seed, the same values', async () => {
    const draw = async (seed: number): Promise<unknown> => {
      await using engine = createTestEngine({ seed })
      const run = flow('draws', async () => {
        const first = now()
        await sleep('2s')
        return { passed: now() - first, first, numbers: [random(), random()], id: uuid() }
      })()
      return await engine.settle(run)
    }
    const one = (await draw(1)) as { passed: number; first: number; numbers: number[]; id: string }
    expect(one.passed).toBe(2000)
    expect(one.first).toBe(Date.UTC(2001, 0, 1))
    expect(one.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    for (const number of one.numbers) expect(number >= 0 && number < 1).toBe(true)
    expect(await draw(1)).toEqual(one)
    expect(await draw(2)).not.toEqual(one)
  })

  it('`sleep` lasts as long as it says, and several go on at once', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const woken: number[] = []
    const run = flow('sleepers', async () => {
      await Promise.all(
        ['30d', '1h', 5, 0].map(async (duration) => {
          await sleep(duration as number)
          woken.push(engine.clock.now() - start)
        }),
      )
    })()
    await engine.settle(run)
    expect(woken).toEqual([0, 5, 3_600_000, 30 * 86_400_000])
  })

  it('`sleep` refuses what is no duration', async () => {
    await using engine = testEngine()
    const run = flow('bad-sleep', () => {
      // @ts-expect-error no duration
      expect(() => sleep('soon')).toThrow(code('INVALID_DURATION'))
      expect(() => sleep(-1)).toThrow(code('INVALID_DURATION'))
    })()
    await engine.settle(run)
  })

  it('the logger adds the ids of the run', async () => {
    await using engine = testEngine()
    const logs = task('logs', () => currentTaskRun().logger.info({ rows: 3 }, 'read'))
    const run = flow('logging', async () => {
      currentFlowRun().logger.warn({}, 'beginning')
      await logs()
    })()
    await engine.settle(run)
    expect(engine.lines).toEqual([
      {
        level: 'warn',
        message: 'beginning',
        fields: { flowRunId: run.id, runId: run.id, run: 'logging', attempt: 1 },
      },
      {
        level: 'info',
        message: 'read',
        fields: {
          flowRunId: run.id,
          runId: expect.stringContaining(`${run.id}.`) as unknown,
          run: 'logs-1',
          attempt: 1,
          rows: 3,
        },
      },
    ])
  })

  it('a logger that throws does not hurt the body, and is reported', async () => {
    const broken = (): never => {
      throw new Error('disk full')
    }
    await using engine = createTestEngine({
      logger: { debug: broken, info: broken, warn: broken, error: broken },
    })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const run = flow('logs-badly', () => {
      currentFlowRun().logger.info({}, 'x')
      return 'fine'
    })()
    expect(await engine.settle(run)).toBe('fine')
    expect(errors).toMatchObject([{ message: 'disk full' }])
  })

  it('the signal is one object, and has not fired', async () => {
    await using engine = testEngine()
    const run = flow('signal', () => {
      const { signal } = currentFlowRun()
      return [signal === currentFlowRun().signal, signal.aborted]
    })()
    expect(await engine.settle(run)).toEqual([true, false])
  })
})

describe('outside a run', () => {
  it('there is no context, and the error says what to do', async () => {
    await using _engine = testEngine()
    for (const ask of [
      currentFlowRun,
      currentTaskRun,
      now,
      random,
      uuid,
      () => sleep(1),
      () => bindRun(() => 1),
    ]) {
      expect(ask).toThrow(code('NO_RUN_CONTEXT', /outside the body of a run.*bindRun/))
    }
  })

  it('a flow has no task run, and a task outside any flow no flow run', async () => {
    await using engine = testEngine()
    const run = flow('a-flow', () => {
      expect(() => currentTaskRun()).toThrow(code('NO_RUN_CONTEXT', /currentFlowRun/))
    })()
    await engine.settle(run)
    const alone = task('alone', () => {
      expect(() => currentFlowRun()).toThrow(code('NO_RUN_CONTEXT', /no flow run/))
      return currentTaskRun().name
    })
    expect(await engine.settle(alone())).toBe('alone')
  })
})

describe('`bindRun`', () => {
  it('keeps the context for a callback that something else calls', async () => {
    await using engine = testEngine()
    const emitter = new EventEmitter()
    const got: unknown[] = []
    const step = task('step', (n: number) => n * 2)
    const run = flow('listens', async () => {
      const heard = new Promise<void>((resolve) => {
        emitter.once(
          'bound',
          bindRun((n: number) => {
            got.push(currentFlowRun().name)
            void step(n)
              .then((doubled) => got.push(doubled))
              .then(() => resolve())
          }),
        )
      })
      emitter.once('unbound', () => {
        try {
          currentFlowRun()
        } catch (error) {
          got.push(error)
        }
      })
      await heard
    })()
    await quiet()
    emitter.emit('unbound')
    emitter.emit('bound', 21)
    await engine.settle(run)
    expect(got).toEqual([code('NO_RUN_CONTEXT'), 'listens', 42])
  })

  it('refuses calls when the run has ended', async () => {
    await using engine = testEngine()
    let late: () => Promise<unknown> = () => Promise.resolve()
    const step = task('step', () => 1)
    await engine.settle(
      flow('ended', () => {
        late = bindRun(async () => step())
      })(),
    )
    expect(await errorOf(late())).toEqual(code('RUN_ENDED'))
  })
})
