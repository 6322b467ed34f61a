/* oxlint-disable vitest/no-standalone-expect, vitest/expect-expect -- what is common to the tests asserts */
import { availableParallelism } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine, UsageError } from '@troupe/core'
import { WorkerThreadsTaskRunner, type WorkerThreadsTaskRunnerOptions } from '@troupe/runners'
import { afterEach, describe, expect, it } from 'vitest'
import {
  code,
  errorOf,
  isWhole,
  onThreads,
  range,
  startedThreads,
  thrownBy,
  threadCount,
  threadsAre,
} from './support.ts'
import { mark, spinsOnce, waitsForGate } from './tasks/crashes.ts'
import { deep, environment, limitsOfThread, thread, twoThreads, waitsBelow } from './tasks/life.ts'
import { goesOn } from './tasks/stops.ts'

afterEach(() => expect(threadCount()).toBe(0))

describe('threads are started', () => {
  it('when there is a body for them, and no more than there are bodies', async () => {
    await using stage = onThreads({ threads: 3 })
    expect(threadCount()).toBe(0)
    await stage.run(() => 'no task')
    expect(threadCount()).toBe(0)
    await stage.run(() => thread())
    expect(threadCount()).toBe(1)
    await isWhole(stage, 3)
    expect(threadCount()).toBe(3)
  })

  it('once: bodies one after another run in the same one', async () => {
    await using stage = onThreads({ threads: 3 })
    const seen = await stage.run(async () => {
      const found: number[] = []
      for (const n of range(5)) found.push(await thread(n))
      return found
    })
    expect(new Set(seen).size).toBe(1)
  })

  it('once for all flows that name the same runner', async () => {
    await using stage = onThreads({ threads: 2 })
    const before = startedThreads()
    await Promise.all(range(4).map(() => stage.run(() => range(5).map((n) => thread(n)))))
    expect(startedThreads() - before).toBeLessThanOrEqual(2)
  })

  it('besides, for what bodies submit that wait for it', async () => {
    await using stage = onThreads({ threads: 1, extraThreads: 1 })
    const [outer, inner] = (await stage.run(() => twoThreads())) as [number, number]
    expect(inner).not.toBe(outer)
    expect(threadCount()).toBe(2)
  })

  it('not besides where the options say so: bodies share them with those that wait', async () => {
    await using stage = onThreads({ threads: 1, extraThreads: 0 })
    const [outer, inner] = (await stage.run(() => twoThreads())) as [number, number]
    expect(inner).toBe(outer)
    expect(threadCount()).toBe(1)
  })

  it('besides all the same where those that there may be are full of bodies that wait', async () => {
    await using stage = onThreads({ threads: 1, extraThreads: 0 })
    const before = startedThreads()
    expect(await stage.run(() => deep(1_099))).toBe(1_100)
    expect(startedThreads() - before).toBe(2)
  }, 120_000)

  it('for each engine: closing one does not end those of another', async () => {
    await using one = onThreads({ threads: 1 })
    await using other = onThreads({ threads: 1 })
    const before = await one.run(() => thread())
    await other.run(() => thread())
    expect(threadCount()).toBe(2)
    await other.engine.close()
    expect(threadCount()).toBe(1)
    expect(await one.run(() => thread())).toBe(before)
  })
})

describe('warming', () => {
  const env = (file: string): NodeJS.ProcessEnv => ({ ...process.env, TROUPE_TEST_TRACE: file })

  it('starts all threads, and loads the modules of the tasks in each', async () => {
    const files = onThreads({ threads: 1 })
    const trace = files.file('loads')
    await using stage = onThreads({ threads: 2, env: env(trace) })
    await stage.engine.warm(stage.runner, [thread])
    expect(threadCount()).toBe(2)
    expect(files.lines('loads')).toHaveLength(2)
    const before = startedThreads()
    await stage.run(() => range(20).map((n) => thread(n)))
    expect(files.lines('loads')).toHaveLength(2)
    expect(startedThreads()).toBe(before)
    await files[Symbol.asyncDispose]()
  })

  it('starts threads also without tasks, and twice at once, and again when all is there', async () => {
    await using stage = onThreads({ threads: 2 })
    await Promise.all([
      stage.engine.warm(stage.runner),
      stage.engine.warm(stage.runner, [thread]),
      stage.engine.warm(stage.runner, [mark, thread]),
    ])
    await stage.engine.warm(stage.runner, [thread])
    expect(threadCount()).toBe(2)
    expect(startedThreads()).toBeGreaterThanOrEqual(2)
  })

  it('waits for no body that is running', async () => {
    await using stage = onThreads({ threads: 2 })
    const submitted = stage.submit(() => [waitsForGate(stage.file(), 'a', stage.file('gate'))])
    await stage.heard('a is there')
    await stage.engine.warm(stage.runner, [thread])
    expect(threadCount()).toBe(2)
    stage.open('gate')
    await submitted.ended
  })

  it('ends with the engine that is closed meanwhile', async () => {
    const stage = onThreads({ threads: 2 })
    const warming = stage.engine.warm(stage.runner, [thread]).then(
      () => 'warm',
      (error: unknown) => (error as UsageError).code,
    )
    await stage[Symbol.asyncDispose]()
    expect(await warming).toBe('ENGINE_CLOSED')
    expect(await errorOf(stage.engine.warm(stage.runner))).toEqual(code('ENGINE_CLOSED'))
  })

  it('refuses what is no runner', async () => {
    await using engine = createEngine()
    expect(await errorOf(engine.warm({} as never))).toEqual(code('INVALID_OPTION'))
  })
})

describe('threads with nothing to do', () => {
  it('are ended', async () => {
    await using stage = onThreads({ threads: 2, idleTimeout: 20 })
    await isWhole(stage, 2)
    await threadsAre(0)
    expect(await stage.run(() => thread())).toBeGreaterThan(0)
    await threadsAre(0)
  })

  it('are kept, as many as the options say, and used again', async () => {
    await using stage = onThreads({ threads: 3, idleTimeout: 20, keepThreads: 1 })
    await isWhole(stage, 3)
    await threadsAre(1)
    const before = startedThreads()
    const first = await stage.run(() => thread())
    expect(await stage.run(() => thread())).toBe(first)
    expect(startedThreads()).toBe(before)
  })

  it('are ended after they were warmed, too', async () => {
    await using stage = onThreads({ threads: 2, idleTimeout: 20 })
    await stage.engine.warm(stage.runner, [thread])
    await threadsAre(0)
  })

  it('are not those with a body that waits for its child', async () => {
    await using stage = onThreads({ threads: 1, idleTimeout: 1 })
    const submitted = stage.submit(() => [waitsBelow(stage.file(), stage.file('gate'))])
    await stage.heard('child is there')
    // A third thread comes and goes meanwhile.
    const other = stage.start(() => spinsOnce(1))
    stage.open('gate')
    const [run] = await submitted.ended
    expect(await run).toBe('child')
    await other
    expect(stage.lines()).toEqual(['child 1'])
    await threadsAre(0)
  })
})

describe('maxTasksPerThread', () => {
  it.each([
    ['one after another', 1],
    ['many at once', 15],
  ])('replaces a thread after so many bodies (%s)', async (_, width) => {
    await using stage = onThreads({ threads: 1, maxTasksPerThread: 5 })
    const seen: number[] = []
    while (seen.length < 15) seen.push(...(await stage.run(() => range(width).map((n) => thread(n)))))
    const counts = range(Math.max(...seen) + 1).map((id) => seen.filter((each) => each === id).length)
    expect(counts.filter((count) => count > 0)).toEqual([5, 5, 5])
  })

  it('lets the last bodies of a thread end before', async () => {
    await using stage = onThreads({ threads: 1, bodiesPerThread: 2, maxTasksPerThread: 2 })
    const submitted = stage.submit(() => [
      waitsForGate(stage.file(), 'slow', stage.file('gate')),
      ...range(6).map((n) => mark(stage.file(), `${n}`)),
    ])
    const [slow, ...others] = await submitted.runs
    await stage.heard('slow is there')
    stage.open('gate')
    await Promise.all(others)
    await submitted.ended
    expect(slow?.state.name).toBe('Completed')
    expect(stage.lines().toSorted()).toEqual([...range(6).map(String), 'slow 1'])
    await isWhole(stage, 2)
  })
})

describe('closing the engine', () => {
  it('ends threads with nothing to do', async () => {
    const stage = onThreads({ threads: 2 })
    await stage.engine.warm(stage.runner)
    await stage.engine.close()
    expect(threadCount()).toBe(0)
    await stage[Symbol.asyncDispose]()
  })

  it('ends those whose body does not stop', async () => {
    const stage = onThreads({ threads: 2, patience: 10 })
    const run = stage.start(() => range(2).map(() => goesOn('a wait for shared memory', 9, stage.file())))
    await stage.heard('attempt 1', 2)
    await stage.engine.close()
    expect(threadCount()).toBe(0)
    expect(await errorOf(run)).toEqual(code('ENGINE_CLOSED'))
    await stage[Symbol.asyncDispose]()
  })

  it('ends those whose bodies wait for others, and those', async () => {
    const stage = onThreads({ threads: 1, patience: 10 })
    const run = stage.start(() => waitsBelow(stage.file(), stage.file('no gate')))
    await stage.heard('child is there')
    await stage.engine.close()
    expect(threadCount()).toBe(0)
    expect(await errorOf(run)).toEqual(code('ENGINE_CLOSED'))
    await stage[Symbol.asyncDispose]()
  })

  it('ends those that are just starting, and no body runs in them', async () => {
    const stage = onThreads({ threads: 2 })
    const run = stage.start(() => range(20).map((n) => mark(stage.file(), `${n}`)))
    while (threadCount() === 0) await turn()
    await stage.engine.close()
    expect(threadCount()).toBe(0)
    expect(await errorOf(run)).toEqual(code('ENGINE_CLOSED'))
    expect(stage.lines()).toEqual([])
    await stage[Symbol.asyncDispose]()
  })

  it('waits for bodies as long as its grace allows', async () => {
    const stage = onThreads({ threads: 1, patience: 10 })
    const run = stage.start(() => range(3).map(() => spinsOnce(20)))
    while (threadCount() === 0) await turn()
    await stage.engine.close({ grace: '1m' })
    expect(threadCount()).toBe(0)
    expect(await run).toHaveLength(3)
    await stage[Symbol.asyncDispose]()
  })
})

describe('options', () => {
  it('limit the memory of the threads', async () => {
    await using stage = onThreads({
      threads: 1,
      resourceLimits: { maxOldGenerationSizeMb: 77, stackSizeMb: 3 },
    })
    expect(await stage.run(() => limitsOfThread())).toMatchObject({
      maxOldGenerationSizeMb: 77,
      stackSizeMb: 3,
    })
  })

  it('say what the environment of the threads is', async () => {
    await using own = onThreads({ threads: 1, env: { ...process.env, TROUPE_TEST: 'theirs' } })
    expect(await own.run(() => environment('TROUPE_TEST', 'PATH'))).toEqual(['theirs', process.env['PATH']])
    await using plain = onThreads({ threads: 1 })
    expect(await plain.run(() => environment('TROUPE_TEST', 'PATH'))).toEqual([
      undefined,
      process.env['PATH'],
    ])
  })

  it('have defaults', () => {
    expect(new WorkerThreadsTaskRunner().threads).toBe(availableParallelism())
    expect(new WorkerThreadsTaskRunner({ threads: 3 })).toMatchObject({
      threads: 3,
      name: 'threads',
      mode: 'parallel',
    })
  })

  const bad: readonly (readonly [keyof WorkerThreadsTaskRunnerOptions, unknown])[] = [
    ['threads', 0],
    ['threads', -1],
    ['threads', 1.5],
    ['threads', '2'],
    ['threads', Number.NaN],
    ['threads', Number.POSITIVE_INFINITY],
    ['bodiesPerThread', 0],
    ['bodiesPerThread', 257],
    ['extraThreads', -1],
    ['keepThreads', 0.5],
    ['maxTasksPerThread', 0],
    ['resourceLimits', 512],
    ['resourceLimits', null],
    ['env', 'PATH=/bin'],
  ]
  it.each(bad)('`%s: %j` is refused, by its name', (name, value) => {
    const error = thrownBy(() => new WorkerThreadsTaskRunner({ [name]: value }))
    expect(error).toEqual(code('INVALID_OPTION', new RegExp(`\`${name}\``)))
    expect(error).toBeInstanceOf(UsageError)
    expect((error as UsageError).details['option']).toBe(name)
  })

  it.each([
    ['idleTimeout', 'soon'],
    ['idleTimeout', -1],
    ['patience', Number.NaN],
    ['patience', '1 parsec'],
  ])('`%s: %j` is refused as a duration, by its name', (name, value) => {
    const error = thrownBy(() => new WorkerThreadsTaskRunner({ [name]: value }))
    expect(error).toEqual(code('INVALID_DURATION', new RegExp(name)))
  })

  it('that do not exist are refused, and those that do are told', () => {
    const error = thrownBy(() => new WorkerThreadsTaskRunner({ workers: 2 } as never))
    expect(error).toEqual(code('INVALID_OPTION', /workers[^]*bodiesPerThread/))
    expect((error as UsageError).details['option']).toBe('workers')
  })
})
