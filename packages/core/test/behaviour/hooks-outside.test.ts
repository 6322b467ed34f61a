import { createEngine, currentTaskRun, flow, sleep, task, type HookEvent, type RunHandle } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { later, or } from '../hard/support.ts'
import { errorsOf, noted } from './hooks-support.ts'
import { all, code, deferred, quiet, testEngine } from './support.ts'

const fails = (): never => {
  throw new TypeError('no')
}

describe('closing an engine', () => {
  it('waits for hooks: those that were called, and those that follow on them', async () => {
    await using engine = testEngine()
    const calls: string[] = []
    const onRunning = () => later(engine.clock, 400).then(() => calls.push('running'))
    const onCompletion = () => later(engine.clock, 400).then(() => calls.push('completed'))
    const run = flow({ name: 'closes', onRunning, onCompletion }, () => 1)()
    await engine.settle(run)
    await engine.close()
    expect(calls).toEqual(['running', 'completed'])
  })

  it('calls those of runs that end as it closes', async () => {
    await using engine = testEngine()
    const calls: string[] = []
    const onCompletion = () => later(engine.clock, 2000).then(() => calls.push('completed'))
    const run = flow({ name: 'ends', onCompletion }, () => sleep('1s').then(() => 1))()
    void run.wait().catch(() => undefined)
    await quiet()
    await engine.close({ grace: '10s' })
    expect([run.state.name, calls]).toEqual(['Completed', ['completed']])
  })

  it('waits no longer than its grace, and at least a second', async () => {
    for (const [grace, expected] of [
      [0, 1000],
      ['5s', 5000],
    ] as const) {
      await using engine = testEngine()
      const run = flow({ name: 'stuck', onCompletion: () => new Promise(() => undefined) }, () => 1)()
      await engine.settle(run)
      const started = engine.clock.now()
      await engine.close({ grace })
      expect(engine.clock.now() - started).toBe(expected)
    }
  })

  it('in a hook does not wait for that hook for ever', async () => {
    await using engine = testEngine()
    const onCompletion = () => engine.close()
    const run = flow({ name: 'closes', onCompletion }, () => 1)()
    expect(await engine.settle(run)).toBe(1)
    const started = engine.clock.now()
    await engine.close()
    expect(engine.clock.now() - started).toBe(1000)
  })

  it('calls no hooks of what it lets go', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const run = flow({ name: 'let-go', ...hooks }, () => sleep('1h'))()
    void run.wait().catch(() => undefined)
    await quiet()
    await engine.close()
    await quiet()
    expect(calls).toEqual(['onPending Pending', 'onRunning Running'])
  })
})

describe('a hook is outside its run', () => {
  it('has no current run, and a task that it calls is a run of its own', async () => {
    await using engine = testEngine()
    const errors = errorsOf(engine)
    const seen: unknown[] = []
    const notify = task('notify', (text: string) => {
      const { id, flowRunId, tags } = currentTaskRun()
      return [text, id === flowRunId, tags]
    })
    const onCompletion = async ({ transition }: HookEvent) => {
      try {
        currentTaskRun()
      } catch (error) {
        seen.push(error)
      }
      seen.push(await notify(transition.runName))
    }
    const step = task({ name: 'step', onCompletion, tags: ['x'] }, () => 1)
    const run = flow({ name: 'calls', tags: ['y'] }, () => step())()
    expect(await engine.settle(run)).toBe(1)
    await quiet()
    expect(seen).toEqual([code('NO_RUN_CONTEXT'), ['step-1', true, []]])
    expect(errors).toEqual([])
    expect((await all(run.transitions)).filter(({ task: name }) => name === 'notify')).toEqual([])
  })

  it('awaits the run that it returns, whose failure is its own', async () => {
    await using engine = testEngine()
    const errors = errorsOf(engine)
    const notify = task('notify', fails)
    const run = flow({ name: 'returns', onCompletion: () => notify() }, () => 1)()
    expect(await engine.settle(run)).toBe(1)
    await quiet()
    expect(errors).toEqual([{ error: expect.any(TypeError) as unknown, flowRunId: run.id, runId: run.id }])
  })

  it('calls tasks on the engine of its run also while others are open', async () => {
    await using engine = testEngine()
    await using other = testEngine()
    const errors = errorsOf(engine)
    const nodes: string[] = []
    for (const each of [engine, other])
      each.transitions.subscribe(
        ({ task: name }) => name === 'notify' && nodes.push(each === engine ? 'own' : 'other'),
      )
    const notify = task('notify', () => 1)
    const onCompletion = () => notify()
    await engine.settle(engine.run(flow({ name: 'several', onCompletion }, () => 1)))
    await quiet()
    expect(errors).toEqual([])
    expect(new Set(nodes)).toEqual(new Set(['own']))
  })

  it('is refused calls while its engine closes, and never has them run elsewhere', async () => {
    await using engine = testEngine()
    const errors = errorsOf(engine)
    let ran = 0
    const notify = task('notify', () => ++ran)
    const gate = deferred()
    const onCompletion = async () => {
      await gate.promise
      await notify()
    }
    await engine.settle(flow({ name: 'closing', onCompletion }, () => 1)())
    const closed = engine.close()
    gate.resolve()
    await closed
    await quiet()
    expect(ran).toBe(0)
    expect(errors).toEqual([expect.objectContaining({ error: code('ENGINE_CLOSED') })])
  })

  it('may look at its own run, and wait for its end', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    const own = async ({ transition }: HookEvent): Promise<RunHandle<unknown> | undefined> =>
      engine.get(transition.runId)
    const step = task(
      {
        name: 'step',
        onRunning: async (event) => {
          const run = await own(event)
          seen.push((await run?.wait())?.name, await run?.result())
        },
        onCompletion: async (event) => seen.push((await own(event))?.state.name),
      },
      () => sleep('1m').then(() => 'value'),
    )
    expect(await engine.settle(flow('looks', () => step())())).toBe('value')
    await quiet()
    expect(seen).toEqual(['Completed', 'value', 'Completed'])
  })

  it.each(['flow', 'task'] as const)('may cancel its own run: a %s', async (kind) => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const onRunning = async ({ transition }: HookEvent) => {
      const run = await engine.get(transition.runId)
      calls.push((await run?.cancel('by its hook'))?.name ?? 'unknown')
    }
    const options = { name: 'cancels', ...hooks, onRunning }
    const run = kind === 'flow' ? flow(options, () => sleep('1h'))() : task(options, () => sleep('1h'))()
    expect(await or(engine.clock, run.wait())).toMatchObject({ name: 'Cancelled' })
    await quiet()
    expect(calls).toEqual([
      'onPending Pending',
      'Cancelled',
      'onCancelling Cancelling',
      'onCancellation Cancelled',
    ])
  })

  it('may start its own flow again', async () => {
    await using engine = testEngine()
    let starts = 0
    const again: { start?: () => unknown } = {}
    const repeats = flow({ name: 'repeats', onCompletion: () => void again.start?.() }, () => ++starts)
    again.start = () => (starts < 3 ? repeats() : undefined)
    await engine.settle(repeats())
    await quiet(60)
    expect(starts).toBe(3)
  })
})

describe('an engine on this machine’s clock', () => {
  it('calls hooks before it is closed', async () => {
    await using engine = createEngine({ logger: { debug: fails, info: fails, warn: fails, error: fails } })
    const calls: string[] = []
    const run = engine.run(flow({ name: 'real', onCompletion: async () => calls.push('completed') }, () => 1))
    expect(await run).toBe(1)
    await engine.close()
    expect(calls).toEqual(['completed'])
  })
})
