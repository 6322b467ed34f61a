import type { RunHandle, TaskFuture } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { isWhole, notOnce, onThreads, range, type Stage } from './support.ts'
import { waitsForGate } from './tasks/crashes.ts'
import { goesOn, mark, markSlowly } from './tasks/stops.ts'

/** Bodies so short that threads get some ahead. */
const marks = (stage: Stage, count: number, from = 0): TaskFuture<string>[] =>
  range(count).map((n) => mark(stage.file(), `${from + n}`))

const names = (count: number): string[] => range(count).map(String)

describe('short bodies behind ones that do not stop', () => {
  it('run exactly once where those are ended at their time limit', async () => {
    await using stage = onThreads({ threads: 2, patience: 10 })
    const submitted = stage.submit(() =>
      range(300).map((n) =>
        n % 200 === 50
          ? (goesOn.with({ timeout: 400 })('a busy loop', 9, stage.file('busy')) as TaskFuture<unknown>)
          : mark(stage.file(), `${n}`),
      ),
    )
    const runs = await submitted.ended
    const [busy, others] = [
      range(300).filter((n) => n % 200 === 50),
      range(300).filter((n) => n % 200 !== 50),
    ]
    expect(busy.map((n) => runs[n]?.state.name)).toEqual(busy.map(() => 'TimedOut'))
    expect(stage.lines('busy')).toEqual(busy.map(() => 'attempt 1'))
    expect(
      others.filter((n) => stage.history(runs[n] as RunHandle<unknown>) !== 'Pending → Running → Completed'),
    ).toEqual([])
    expect(notOnce(stage.lines(), others.map(String))).toEqual({})
    await isWhole(stage, 2)
  })

  it('run on other threads meanwhile', async () => {
    await using stage = onThreads({ threads: 2, patience: 10 })
    await stage.run(() => marks(stage, 50))
    const submitted = stage.submit(() => [
      goesOn.with({ grace: 0 })('a busy loop', 9, stage.file('busy')),
      ...marks(stage, 100, 50),
    ])
    const [busy, ...others] = await submitted.runs
    await Promise.all(others)
    expect(busy?.state.name).toBe('Running')
    expect(notOnce(stage.lines(), names(150))).toEqual({})
    await busy?.cancel()
    await submitted.ended
  })

  it('run exactly once where those are tried again', async () => {
    await using stage = onThreads({ threads: 2, patience: 10 })
    const submitted = stage.submit(() => [
      ...marks(stage, 80),
      goesOn.with({ timeout: 400, retries: 2 })('a busy loop', 2, stage.file('busy')) as TaskFuture<unknown>,
      ...marks(stage, 80, 80),
    ])
    const runs = await submitted.ended
    expect(runs.filter(({ state }) => state.name !== 'Completed')).toEqual([])
    expect(stage.lines('busy')).toEqual(['attempt 1', 'attempt 2', 'attempt 3'])
    expect(notOnce(stage.lines(), names(160))).toEqual({})
  })
})

describe('a run that is cancelled before its body began', () => {
  it('never runs, where all threads are busy', async () => {
    await using stage = onThreads({ threads: 2 })
    const submitted = stage.submit(() => [
      ...range(2).map((n) => waitsForGate(stage.file('blockers'), `${n}`, stage.file('gate'))),
      ...marks(stage, 50),
    ])
    const runs = await submitted.runs
    for (const n of range(2)) await stage.heard(`${n} is there`)
    const cancelled = await Promise.all(runs.slice(2, 40).map((run) => run.cancel('not needed')))
    expect(new Set(cancelled.map(({ name }) => name))).toEqual(new Set(['Cancelled']))
    stage.open('gate')
    await submitted.ended
    expect(notOnce(stage.lines(), range(50).slice(38).map(String))).toEqual({})
  })

  it('never runs, where it was given to a thread ahead', async () => {
    await using stage = onThreads({ threads: 1 })
    await stage.run(() => marks(stage, 60))
    const submitted = stage.submit(() => [
      markSlowly(stage.file('slow'), 'slow', 400),
      ...marks(stage, 60, 60),
    ])
    const runs = await submitted.runs
    await stage.until(runs[0] as RunHandle<unknown>, 'Running')
    for (const run of runs.slice(1)) void run.cancel()
    await submitted.ended
    expect(notOnce(stage.lines(), names(60))).toEqual({})
    expect(new Set(runs.slice(1).map((run) => stage.history(run)))).toEqual(new Set(['Pending → Cancelled']))
  })

  it('has run exactly once or never, whenever it is cancelled, and its states tell which', async () => {
    await using stage = onThreads({ threads: 2 })
    await stage.run(() => marks(stage, 40).map((run) => run))
    const submitted = stage.submit(() => marks(stage, 400, 40))
    const runs = await submitted.runs
    const subscription = stage.engine.transitions.subscribe(({ runId, to }) => {
      // With each that ends, one in its middle and one at its end are cancelled.
      if (to.name !== 'Completed') return
      const n = runs.findIndex(({ id }) => id === runId)
      if (n === -1) return
      void runs[Math.min(n + 7, 399)]?.cancel()
      void runs[399 - n]?.cancel()
    })
    await submitted.ended
    subscription.unsubscribe()
    const ran = new Map<string, number>()
    for (const line of stage.lines()) ran.set(line, (ran.get(line) ?? 0) + 1)
    const told = runs.map((run, n) => `${stage.history(run)}: ${ran.get(`${n + 40}`) ?? 0}`)
    expect(told.filter((line) => !possible.has(line))).toEqual([])
    expect(told.filter((line) => line === 'Pending → Cancelled: 0').length).toBeGreaterThan(0)
    await isWhole(stage, 2)
  })

  /** States, and how often a body left its trace. */
  const possible = new Set([
    'Pending → Running → Completed: 1',
    'Pending → Cancelled: 0',
    'Pending → Running → Cancelling → Cancelled: 1',
  ])
})

describe('a pause of the flow run', () => {
  it('holds back what was given to threads ahead; all of it runs once afterwards', async () => {
    await using stage = onThreads({ threads: 1 })
    await stage.run(() => marks(stage, 60))
    const submitted = stage.submit(() => [
      markSlowly(stage.file('slow'), 'slow', 400),
      ...marks(stage, 100, 60),
    ])
    const [slow] = await submitted.runs
    await stage.until(slow as RunHandle<unknown>, 'Running')
    expect((await submitted.flowRun.pause()).name).toBe('Paused')
    await stage.until(slow as RunHandle<unknown>, 'Completed')
    // Whatever was going to begin has: the thread has nothing else to do for other flow runs.
    await isWhole(stage, 1)
    expect(notOnce(stage.lines(), names(60))).toEqual({})
    expect((await submitted.flowRun.resume()).name).toBe('Running')
    await submitted.ended
    expect(notOnce(stage.lines(), names(160))).toEqual({})
  })

  it('comes at any moment, again and again: each body runs exactly once, and none while it lasts', async () => {
    await using stage = onThreads({ threads: 2 })
    await stage.run(() => marks(stage, 60))
    const submitted = stage.submit(() => marks(stage, 400, 60))
    const runs = await submitted.runs
    const begun = (): number => runs.filter(({ state }) => state.name !== 'Pending').length
    let atPause = 0
    for (let pauses = 0; pauses < 12; pauses++) {
      const before = begun()
      while (begun() === before && before < 400) await new Promise((resolve) => setImmediate(resolve))
      if ((await submitted.flowRun.pause()).name !== 'Paused') break
      await isWhole(stage, 2)
      atPause = begun()
      expect(stage.lines()).toHaveLength(60 + atPause)
      await submitted.flowRun.resume()
    }
    await submitted.ended
    expect(atPause).toBeGreaterThan(0)
    expect(runs.filter((run) => stage.history(run) !== 'Pending → Running → Completed')).toEqual([])
    expect(notOnce(stage.lines(), names(460))).toEqual({})
  })
})
