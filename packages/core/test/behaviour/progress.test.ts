import {
  currentFlowRun,
  currentTaskRun,
  flow,
  sleep,
  task,
  type CurrentRun,
  type Progress,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, outcomeOf, quiet, testEngine } from './support.ts'

/** What an engine tells of progress. */
function progressOf(engine: ReturnType<typeof testEngine>): Progress[] {
  const told: Progress[] = []
  engine.progress.subscribe((progress) => told.push(progress))
  return told
}

describe('progress', () => {
  it('of a task run comes with its ids and with the time, at once', async () => {
    await using engine = testEngine()
    const told = progressOf(engine)
    const start = engine.clock.now()
    const step = task({ name: 'step', runName: 'the step' }, async () => {
      const { progress } = currentTaskRun()
      progress(0)
      expect(told).toHaveLength(1)
      await sleep('1s')
      progress(0.5, 'half of it')
      progress(1)
    })
    let id = ''
    const run = flow('steps', async () => {
      const future = step()
      id = future.id
      await future
    })()
    await engine.settle(run)
    const ids = { flowRunId: run.id, runId: id, runName: 'the step', attempt: 1 }
    expect(told).toStrictEqual([
      { ...ids, fraction: 0, at: start },
      { ...ids, fraction: 0.5, at: start + 1000, message: 'half of it' },
      { ...ids, fraction: 1, at: start + 1000 },
    ])
  })

  it('of a flow run is told by its body, and by those of its tasks', async () => {
    await using engine = testEngine()
    const told = progressOf(engine)
    const step = task('step', () => currentFlowRun().progress(0.5, 'by a task'))
    const run = flow({ name: 'whole', runName: 'all of it' }, async () => {
      currentFlowRun().progress(0.25, 'by the flow')
      await step()
    })()
    await engine.settle(run)
    expect(told.map(({ runId, runName, message }) => [runId, runName, message])).toEqual([
      [run.id, 'all of it', 'by the flow'],
      [run.id, 'all of it', 'by a task'],
    ])
  })

  it('of a subflow has the id of the subflow', async () => {
    await using engine = testEngine()
    const told = progressOf(engine)
    const inner = flow('inner', () => currentFlowRun().progress(1))
    let id = ''
    const outer = flow('outer', async () => {
      const run = inner()
      id = run.id
      await run
    })
    await engine.settle(outer())
    expect(told.map(({ flowRunId, runId }) => [flowRunId, runId])).toEqual([[id, id]])
  })

  it('says which attempt it is of', async () => {
    await using engine = testEngine()
    const told = progressOf(engine)
    const flaky = task({ name: 'flaky', retries: 2, retryDelay: '1m' }, () => {
      const { attempt, progress } = currentTaskRun()
      progress(attempt / 4)
      if (attempt < 3) throw new Error('again')
    })
    await engine.settle(flow('tries', () => flaky())())
    expect(told.map(({ attempt, fraction }) => [attempt, fraction])).toEqual([
      [1, 0.25],
      [2, 0.5],
      [3, 0.75],
    ])
  })

  it.each([[-0.001], [1.001], [Number.NaN], [Number.POSITIVE_INFINITY], ['0.5'], [null], [undefined]])(
    'of %s is refused, and nothing is told',
    async (fraction) => {
      await using engine = testEngine()
      const told = progressOf(engine)
      const wrong = task('wrong', () => currentTaskRun().progress(fraction as number))
      const { state, error } = await outcomeOf(engine, flow('tells', () => wrong())())
      expect([state, error]).toEqual(['Failed', code('INVALID_OPTION', /from 0 to 1/)])
      expect(told).toEqual([])
    },
  )

  it('may go back, and may be repeated', async () => {
    await using engine = testEngine()
    const told = progressOf(engine)
    const loops = task('loops', () => {
      for (const fraction of [0.5, 0.5, 0.1, 1, 0]) currentTaskRun().progress(fraction)
    })
    await engine.settle(flow('again', () => loops())())
    expect(told.map(({ fraction }) => fraction)).toEqual([0.5, 0.5, 0.1, 1, 0])
  })

  it('is not recorded, and is told to those who listen at that moment only', async () => {
    await using engine = testEngine()
    const step = task('step', () => currentTaskRun().progress(0.5))
    const run = flow('silent', () => step())()
    await engine.settle(run)
    const told = progressOf(engine)
    await quiet()
    expect(told).toEqual([])
    const entries = await engine.journal.read(run.id, 1, 1_000)
    expect(new Set(entries.map(({ kind }) => kind))).toEqual(new Set(['claimed', 'submitted', 'transition']))
  })

  it('is told to each who listens, and to none who has stopped', async () => {
    await using engine = testEngine()
    const [first, second] = [progressOf(engine), [] as Progress[]]
    const subscription = engine.progress.subscribe((told) => {
      second.push(told)
      subscription.unsubscribe()
    })
    const step = task('step', () => {
      for (const fraction of [0.1, 0.2]) currentTaskRun().progress(fraction)
    })
    await engine.settle(flow('two', () => step())())
    expect([first.length, second.length]).toEqual([2, 1])
  })

  it('does not hurt by an observer that throws: its error goes to `engine.errors`', async () => {
    await using engine = testEngine()
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    engine.progress.subscribe(() => {
      throw new RangeError('of the observer')
    })
    const told = progressOf(engine)
    const step = task('step', () => {
      currentTaskRun().progress(0.5)
      return 'went on'
    })
    expect(await engine.settle(flow('hurt', () => step())())).toBe('went on')
    expect(errors).toEqual([expect.objectContaining({ message: 'of the observer' })])
    expect(told).toHaveLength(1)
  })

  it('ends when the engine is closed', async () => {
    const engine = testEngine()
    let isComplete = false
    engine.progress.subscribe({ complete: () => (isComplete = true) })
    await engine.close()
    expect(isComplete).toBe(true)
  })

  it('of a body whose run has ended is not told', async () => {
    await using engine = testEngine()
    const told = progressOf(engine)
    let kept: CurrentRun | undefined
    const step = task('step', () => {
      kept = currentTaskRun()
    })
    await engine.settle(flow('over', () => step())())
    kept?.progress(1, 'too late')
    expect(told).toEqual([])
  })
})
