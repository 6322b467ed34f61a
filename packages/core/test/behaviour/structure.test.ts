import { AsyncLocalStorage } from 'node:async_hooks'
import { currentTaskRun, flow, sleep, task, type Transition } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, code, outcomeOf, quiet, steps, testEngine, deferred } from './support.ts'

const one = task('one', async (ms: number = 10) => {
  await sleep(ms)
  return ms
})

const terminal = new Set(['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'])

/** No run ended while one that it submitted was live. */
function checkNesting(transitions: readonly Transition[]): void {
  const endedAt = new Map<string, number>()
  transitions.forEach(({ runId, to }, index) => {
    if (terminal.has(to.type)) endedAt.set(runId, index)
  })
  for (const { runId, parentRunId } of transitions) {
    if (parentRunId === undefined) continue
    expect(endedAt.get(runId)).toBeLessThan(endedAt.get(parentRunId) ?? Number.NaN)
  }
}

describe('a run', () => {
  it('ends after every run that its body submitted, awaited or not', async () => {
    await using engine = testEngine()
    const seen: Transition[] = []
    engine.transitions.subscribe((transition) => seen.push(transition))
    const child = flow('child', () => {
      one(500)
      return 'child'
    })
    const parentTask = task('parent-task', () => {
      one(300)
      child()
      return 'task'
    })
    const run = flow('parent', async () => {
      one(100)
      parentTask()
      await child()
      return 'flow'
    })()
    const start = engine.clock.now()
    expect(await engine.settle(run)).toBe('flow')
    expect(engine.clock.now() - start).toBe(500)
    expect(seen.filter(({ to }) => terminal.has(to.type))).toHaveLength(8)
    checkNesting(seen)
  })

  it('is not final while a run that its body submitted is live, though the body has ended', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const waits = task('waits', () => gate.promise)
    const run = flow('not-final', () => {
      waits()
      return 1
    })()
    let settled = false
    void run.then(() => (settled = true))
    await quiet()
    expect(run.state.name).toBe('Running')
    expect(settled).toBe(false)
    gate.resolve()
    expect(await engine.settle(run)).toBe(1)
  })

  it('starts no new attempt while one is live', async () => {
    await using engine = testEngine()
    let attempts = 0
    const run = flow({ name: 'tries', retries: 1 }, () => {
      one(100)
      attempts++
      if (attempts === 1) throw new Error('again')
      return attempts
    })()
    expect(await engine.settle(run)).toBe(2)
    expect(steps(await all(run.transitions))).toEqual([
      'tries: Pending',
      'tries: Running',
      'one-1: Pending',
      'one-1: Running',
      'one-1: Completed',
      'tries: Retrying',
      'tries: Completed',
    ])
  })

  it('lets runs be submitted by what its body left behind, as long as one that it submitted is live', async () => {
    await using engine = testEngine()
    const order: string[] = []
    const mark = task('mark', (name: string) => void order.push(name))
    const run = flow('late', () => {
      one(100)
      void one(50).then(() => mark('late'))
      return 'early'
    })()
    expect(await engine.settle(run)).toBe('early')
    expect(order).toEqual(['late'])
  })

  it('tells what its body left behind when it has ended', async () => {
    await using engine = testEngine()
    const told: unknown[] = []
    const run = flow('left-behind', () => {
      void one(50)
        .then(() => one(1))
        .catch((error: unknown) => told.push(error))
      return 'early'
    })()
    expect(await engine.settle(run)).toBe('early')
    await quiet()
    expect(told).toEqual([code('RUN_ENDED', /left-behind/)])
  })

  it('of a task may submit runs to any depth', async () => {
    await using engine = testEngine()
    const nested = task('nested', async (depth: number): Promise<number> => {
      return depth === 0 ? 0 : 1 + (await (nested(depth - 1) as unknown as Promise<number>))
    })
    const run = flow('nests', () => nested(20))()
    expect(await engine.settle(run)).toBe(20)
    checkNesting(await all(run.transitions))
  })
})

describe('a body that outlives its run', () => {
  it('can not call anything any more', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const thrown: unknown[] = []
    const stubborn = task({ name: 'stubborn', grace: '1s' }, async () => {
      await gate.promise
      for (const act of [() => one(), () => sleep(1), () => currentTaskRun().name]) {
        try {
          thrown.push(await act())
        } catch (error) {
          thrown.push(error)
        }
      }
    })
    const run = flow('outlived', () => stubborn())()
    await quiet()
    void run.cancel()
    expect(await engine.settle(run.wait())).toMatchObject({ name: 'Cancelled' })
    gate.resolve()
    await quiet()
    expect(thrown).toEqual([code('RUN_ENDED', /stubborn-1/), code('RUN_ENDED'), 'stubborn'])
  })

  it('is a leftover in `health` until it settles', async () => {
    await using engine = testEngine()
    const gate = deferred()
    let id = ''
    const stubborn = task({ name: 'stubborn', grace: '1s' }, async () => {
      id = currentTaskRun().id
      await gate.promise
      return 'too late'
    })
    const start = engine.clock.now()
    const run = flow('leaves', () => stubborn())()
    await quiet()
    void run.cancel()
    expect(engine.health().leftovers).toEqual([])
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Cancelled' })
    expect(engine.clock.now() - start).toBe(1000)
    expect(engine.health()).toMatchObject({ liveRuns: 0, leftovers: [id] })
    expect(engine.lines).toMatchObject([{ level: 'warn', fields: { runId: id } }])
    gate.resolve()
    await quiet()
    expect(engine.health().leftovers).toEqual([])
    expect((await all(run.transitions)).at(-1)?.to.name).toBe('Cancelled')
  })

  it('of a flow, called after its end by something it left behind, throws', async () => {
    await using engine = testEngine()
    let late: () => unknown = () => undefined
    const run = flow('gone', () => {
      const submit = (): unknown => one()
      late = AsyncResourceBind(submit)
      return 1
    })()
    expect(await engine.settle(run)).toBe(1)
    expect(() => late()).toThrow(code('RUN_ENDED', /gone/))
  })

  it('of an earlier attempt can not act for the next', async () => {
    await using engine = testEngine()
    let first: (() => unknown) | undefined
    let thrown: unknown
    const run = flow({ name: 'again', retries: 1 }, async () => {
      if (first === undefined) {
        first = AsyncResourceBind(() => one())
        throw new Error('again')
      }
      try {
        first()
      } catch (error) {
        thrown = error
      }
      return 'second'
    })()
    expect(await engine.settle(run)).toBe('second')
    expect(thrown).toEqual(code('RUN_ENDED'))
  })
})

/** Keeps the async context, as a listener that a library calls later does. */
function AsyncResourceBind<R>(fn: () => R): () => R {
  return AsyncLocalStorage.bind(fn)
}
