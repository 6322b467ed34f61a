import type { RunHandle, TaskFuture } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, isWhole, nextExit, notOnce, onThreads, range, type Stage } from './support.ts'
import { ends, endsAtGate, mark, markAndTell, markLarge, waitsForGate } from './tasks/crashes.ts'

/** A body that ends its thread when `go` is opened, and others that wait for `stay` at the same time. */
function beside(stage: Stage, way: string, { neighbours = 2, options = {} } = {}) {
  return stage.submit(() => [
    endsAtGate.with(options)(stage.file(), stage.file('go'), way) as TaskFuture<unknown>,
    ...range(neighbours).map((n) =>
      waitsForGate.with(options)(stage.file(), `neighbour ${n}`, stage.file('stay')),
    ),
  ])
}

async function allThere(stage: Stage, neighbours: number): Promise<void> {
  await stage.heard('culprit is there')
  for (const n of range(neighbours)) await stage.heard(`neighbour ${n} is there`)
}

describe.concurrent('when a body ends its thread', () => {
  it('one on another thread does not notice', async () => {
    await using stage = onThreads({ threads: 2 })
    const submitted = beside(stage, 'exit', { neighbours: 1 })
    await allThere(stage, 1)
    const gone = nextExit()
    stage.open('go 1')
    await gone
    stage.open('stay')
    const [culprit, neighbour] = await submitted.ended
    expect(culprit?.state.name).toBe('Crashed')
    expect(stage.history(neighbour as RunHandle<unknown>)).toBe('Pending → Running → Completed')
    expect(stage.lines().toSorted()).toEqual(['culprit 1', 'neighbour 0 1'])
    await isWhole(stage, 2)
  })

  it.each(['exit', 'uncaught error in a timer', 'unhandled rejection'])(
    'those on the same thread are lost with it, and run again (%s)',
    async (way) => {
      await using stage = onThreads({ threads: 1, bodiesPerThread: 3 })
      const submitted = beside(stage, way)
      await allThere(stage, 2)
      stage.open('go 1')
      for (const n of range(2)) await stage.heard(`neighbour ${n} is there`, 2)
      stage.open('stay')
      const [culprit, ...neighbours] = await submitted.ended
      expect(stage.history(culprit as RunHandle<unknown>)).toBe('Pending → Running → Crashed')
      for (const neighbour of neighbours) {
        expect(stage.history(neighbour)).toBe('Pending → Running → Recovering → Running → Completed')
        expect(stage.hosts(neighbour)).toHaveLength(2)
      }
      expect(stage.lines().toSorted()).toEqual([
        'culprit 1',
        'neighbour 0 1',
        'neighbour 0 2',
        'neighbour 1 1',
        'neighbour 1 2',
      ])
      await isWhole(stage, 3)
    },
  )

  it('and nobody knows which it was, all of them run again, as often as their options allow', async () => {
    await using stage = onThreads({
      threads: 1,
      bodiesPerThread: 2,
      resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
    })
    const submitted = beside(stage, 'out of memory', { neighbours: 1, options: { maxRecoveries: 1 } })
    await allThere(stage, 1)
    stage.open('go 1')
    await stage.heard('culprit is there', 2)
    await stage.heard('neighbour 0 is there', 2)
    stage.open('go 2')
    const runs = await submitted.ended
    for (const run of runs) {
      expect(stage.history(run)).toBe('Pending → Running → Recovering → Running → Recovering → Crashed')
      expect(await errorOf(run)).toEqual(code('RUN_CRASHED', /lost its host 2 times/))
    }
    await isWhole(stage, 2)
  })

  it('one beside it that must not run twice is crashed, and does not', async () => {
    await using stage = onThreads({ threads: 1, bodiesPerThread: 2 })
    const submitted = beside(stage, 'exit', { neighbours: 1, options: { onHostLost: 'crash' } })
    await allThere(stage, 1)
    stage.open('go 1')
    const [, neighbour] = await submitted.ended
    expect(stage.history(neighbour as RunHandle<unknown>)).toBe('Pending → Running → Crashed')
    expect(await errorOf(neighbour as PromiseLike<unknown>)).toEqual(code('RUN_CRASHED', /lost its host/))
    expect(stage.lines().toSorted()).toEqual(['culprit 1', 'neighbour 0 1'])
  })

  it('one beside it that is cancelled meanwhile is cancelled, and does not run again', async () => {
    await using stage = onThreads({ threads: 1, bodiesPerThread: 2 })
    const submitted = beside(stage, 'exit', { neighbours: 1 })
    await allThere(stage, 1)
    const [, neighbour] = await submitted.runs
    const cancelled = neighbour?.cancel()
    stage.open('go 1')
    expect((await cancelled)?.name).toBe('Cancelled')
    await submitted.ended
    expect(stage.history(neighbour as RunHandle<unknown>)).toBe('Pending → Running → Cancelling → Cancelled')
    expect(stage.lines().filter((line) => line.startsWith('neighbour'))).toEqual(['neighbour 0 1'])
  })
})

describe.concurrent('200 short bodies around ones that end their thread', () => {
  const tasks = {
    'that return little': mark,
    'that return more than is gathered': markLarge,
    'that say something before': markAndTell,
  }

  it.each(Object.entries(tasks))('%s: each runs exactly once', async (_, task) => {
    await using stage = onThreads({ threads: 2 })
    const submitted = stage.submit(() =>
      range(200).map((n) =>
        n % 100 === 20
          ? (ends('exit', stage.file('culprits')) as TaskFuture<unknown>)
          : task(stage.file(), `${n}`),
      ),
    )
    const runs = await submitted.ended
    const culprits = runs.filter((_run, n) => n % 100 === 20)
    const others = range(200).filter((n) => n % 100 !== 20)
    expect(culprits.map(({ state }) => state.name)).toEqual(culprits.map(() => 'Crashed'))
    expect(stage.lines('culprits')).toEqual(culprits.map(() => 'ends 1'))
    for (const n of others) {
      expect(stage.history(runs[n] as RunHandle<unknown>)).toBe('Pending → Running → Completed')
      expect(await runs[n]).toMatch(new RegExp(`^${n}\\.*$`))
    }
    expect(notOnce(stage.lines(), others.map(String))).toEqual({})
    await isWhole(stage, 2)
  })

  it('with several bodies in each thread: each runs as often as its attempts say, and none is lost', async () => {
    await using stage = onThreads({ threads: 2, bodiesPerThread: 4 })
    const submitted = stage.submit(() =>
      range(200).map((n) =>
        n % 100 === 20
          ? (ends('exit after a wait') as TaskFuture<unknown>)
          : markAndTell(stage.file(), `${n}`),
      ),
    )
    const runs = await submitted.ended
    const others = range(200).filter((n) => n % 100 !== 20)
    expect(runs.filter((_run, n) => n % 100 === 20).map(({ state }) => state.name)).toEqual(
      range(2).map(() => 'Crashed'),
    )
    expect(others.filter((n) => runs[n]?.state.name !== 'Completed')).toEqual([])
    const ran = new Map<string, number>()
    for (const line of stage.lines()) ran.set(line, (ran.get(line) ?? 0) + 1)
    const more = others.filter((n) => {
      const starts = stage.history(runs[n] as RunHandle<unknown>).match(/Running/g)?.length ?? 0
      const times = ran.get(`${n}`) ?? 0
      return times < 1 || times > starts
    })
    expect(more).toEqual([])
  })
})
