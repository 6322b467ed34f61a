/** How watches end, what they leave out, and what they hold of those who read slowly. */
import {
  createEngine,
  flow,
  memoryJournal,
  receive,
  sleep,
  task,
  type Journal,
  type Transition,
  type Watched,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { untilTerminal } from '../../src/streams/watch.ts'
import { all, code, errorOf, quiet, steps, testEngine } from './support.ts'

const step = task('step', (n: number) => n)
const steady = flow('steady', async () => {
  await step(1)
  return receive('go')
})
const quick = flow('quick', (n: number) => n)

/** A journal that counts who listens to it. */
function listening(): { journal: Journal; count: () => number } {
  const journal = memoryJournal({ keep: 100_000 })
  const subscribe = journal.subscribe.bind(journal)
  let count = 0
  journal.subscribe = (listener, flowRunId) => {
    const stop = subscribe(listener, flowRunId)
    let isOpen = true
    count++
    return () => {
      stop()
      if (isOpen) count--
      isOpen = false
    }
  }
  return { journal, count: () => count }
}

async function take(iterator: AsyncIterator<Transition>, count: number): Promise<Transition[]> {
  const taken: Transition[] = []
  while (taken.length < count) {
    const { done, value } = await iterator.next()
    if (done === true) break
    taken.push(value)
  }
  return taken
}

const open = (watched: Watched<Transition>): AsyncIterator<Transition> => watched[Symbol.asyncIterator]()

describe('an iterator of a watch', () => {
  it.each([
    ['one flow run', true],
    ['all flow runs', false],
  ])('of %s ends at once when it is told to, though nothing comes', async (_, isOne) => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const run = steady()
    const iterator = open(engine.watch(isOne ? { flowRunId: run.id } : {}))
    expect(steps(await take(iterator, 5))).toContain('step-1: Completed')
    const pending = iterator.next()
    expect(count()).toBe(before + 1)
    await iterator.return?.()
    expect(count()).toBe(before)
    expect(await pending).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('that was never read listens to nothing', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const iterator = open(engine.watch({}))
    expect(count()).toBe(before)
    await iterator.return?.()
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(count()).toBe(before)
  })

  it('lets go of what it listened to when it fails', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    await expect(open(engine.watch({ flowRunId: 'unknown' })).next()).rejects.toEqual(code('RUN_NOT_FOUND'))
    expect(count()).toBe(before)
  })
})

describe('a watch of one run', () => {
  it('says whether it came to the end of the run, also where a filter leaves that out', async () => {
    await using engine = testEngine()
    const run = quick(1)
    const watched = engine.watch({ flowRunId: run.id, task: 'step' })
    expect(watched.ended).toBe(false)
    expect(await engine.settle(all(watched))).toEqual([])
    expect(watched.ended).toBe(true)
  })

  it('that its flow run never had fails: at once where that has ended, and else when it ends', async () => {
    const journal = memoryJournal()
    await using engine = testEngine({ journal })
    const run = engine.run(steady)
    const runId = `${run.id}.99`
    const follows = [
      (): Promise<unknown> => all(engine.watch({ runId })),
      (): Promise<unknown> => all(engine.watch({ flowRunId: run.id, runId })),
      (): Promise<unknown> => untilTerminal(journal, runId, new Set()),
    ]
    await quiet()
    const early = follows.map((follow) => errorOf(follow()))
    await quiet()
    await run.signal('go')
    await engine.settle(run)
    const late = follows.map((follow) => errorOf(follow()))
    for (const error of await engine.settle(Promise.all([...early, ...late])))
      expect(error).toEqual(code('RUN_NOT_FOUND', new RegExp(runId)))
  })

  it('of another flow run than the one that is given is refused', async () => {
    await using engine = testEngine()
    expect(() => engine.watch({ flowRunId: 'a', runId: 'b.3' })).toThrow(
      code('INVALID_OPTION', /a run of flow run a/),
    )
    expect(() => engine.watch({ flowRunId: 'a', runId: 'b' })).toThrow(code('INVALID_OPTION'))
    expect(() => engine.watch({ flowRunId: 'a', runId: 'a.3' })).not.toThrow()
    expect(() => engine.watch({ flowRunId: 'a', runId: 'a' })).not.toThrow()
  })

  it('that its engine cut short has not', async () => {
    const engine = testEngine()
    const watched = engine.watch({ flowRunId: steady().id })
    const seen = all(watched)
    await engine.settle(sleepless())
    await engine.close()
    expect(steps(await seen)).not.toContain('steady: Completed')
    expect(watched.ended).toBe(false)
  })
})

/** Lets the event loop come to rest. */
const sleepless = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

describe('a filter', () => {
  it('by a tag gives those of flow runs that have it, and of their task runs', async () => {
    await using engine = testEngine()
    const tagged = flow('tagged', () => step(1))
    const run = tagged.with({ tags: ['red'] })()
    await engine.settle(run)
    await engine.settle(tagged.with({ tags: ['blue'] })())
    const iterator = open(engine.watch({ tag: 'red' }))
    const seen = await take(iterator, 6)
    expect(seen.map(({ flowRunId }) => flowRunId)).toEqual(Array.from({ length: 6 }, () => run.id))
    const pending = iterator.next()
    await engine.settle(tagged.with({ tags: ['blue'] })())
    await iterator.return?.()
    expect(await pending).toEqual({ done: true, value: undefined })
    expect(await engine.settle(all(engine.watch({ flowRunId: run.id, tag: 'blue' })))).toEqual([])
  })
})

describe('`since`', () => {
  it('leaves out flow runs that had ended before, and begins the others at their beginning', async () => {
    await using engine = testEngine()
    const waits = flow('waits', () => sleep(2_000))
    await engine.settle(quick(1))
    const live = waits()
    engine.clock.advance(1_000)
    const since = new Date(engine.clock.now())
    await engine.settle(quick(2))
    const iterator = open(engine.watch({}, { since }))
    const seen = steps(await take(iterator, 5))
    expect(seen).toEqual([
      'waits: Pending',
      'waits: Running',
      'quick: Pending',
      'quick: Running',
      'quick: Completed',
    ])
    await engine.settle(live)
    expect(steps(await take(iterator, 1))).toEqual(['waits: Completed'])
    await iterator.return?.()
  })

  it('is refused where it can not be meant', async () => {
    await using engine = testEngine()
    expect(() => engine.watch({ flowRunId: 'x' }, { since: 1 })).toThrow(code('INVALID_OPTION'))
    expect(() => engine.watch({}, { since: new Date(Number.NaN) })).toThrow(code('INVALID_OPTION'))
  })
})

describe('a watch of everything that is not read', () => {
  /** First more than the names that a watcher remembers. */
  const rounds = [10_500, 500]

  it('gives each transition once and in order when it is, however much has happened', async () => {
    const engine = createEngine({ journal: memoryJournal({ keep: 100_000 }) })
    const seen = new Map<string, string[]>()
    const iterator = open(engine.watch({}))
    const watched = async (count: number): Promise<void> => {
      for (const { flowRunId, to } of await take(iterator, count)) {
        const names = seen.get(flowRunId) ?? []
        seen.set(flowRunId, [...names, to.name])
      }
    }
    const live = engine.run(steady)
    await watched(5)
    let all = 0
    for (const many of rounds) {
      for (let n = 0; n < many; n += 500)
        await Promise.all(Array.from({ length: 500 }, (_, i) => engine.run(quick, n + i)))
      await watched(3 * many)
      all += many
      expect(seen.size).toBe(1 + all)
    }
    await live.signal('go')
    await live
    await watched(1)
    expect(seen.get(live.id)).toContain('Completed')
    seen.delete(live.id)
    expect(new Set([...seen.values()].map(String))).toEqual(new Set(['Pending,Running,Completed']))
    const pending = iterator.next()
    await iterator.return?.()
    expect(await pending).toEqual({ done: true, value: undefined })
    await engine.close()
  })

  it('reads no journal for what it was told as it happened', async () => {
    const journal = memoryJournal()
    const read = journal.read.bind(journal)
    let reads = 0
    journal.read = (...args) => {
      reads++
      return read(...args)
    }
    await using engine = testEngine({ journal })
    const run = engine.run(steady)
    const iterator = open(engine.watch())
    // What was is read, what comes is taken as it comes.
    expect(steps(await take(iterator, 1))).toEqual(['steady: Pending'])
    expect(steps(await take(iterator, 4))).toHaveLength(4)
    const before = reads
    await run.signal('go')
    expect(steps(await take(iterator, 1))).toEqual(['steady: Completed'])
    expect(reads).toBe(before)
    await iterator.return?.()
  })

  it('gives the flow run that gets the id of one that was forgotten, or deleted', async () => {
    await using engine = testEngine({ journal: memoryJournal({ keep: 1 }) })
    const iterator = open(engine.watch({}))
    const watched = async (id: string): Promise<string[]> => {
      await engine.settle(quick.with({ id })(1))
      await engine.settle(sleepFor(1))
      return (await take(iterator, 3)).map(({ flowRunId, to }) => `${flowRunId}: ${to.name}`)
    }
    const of = (id: string): string[] => ['Pending', 'Running', 'Completed'].map((name) => `${id}: ${name}`)
    for (const id of ['a', 'b', 'a', 'b']) expect(await watched(id)).toEqual(of(id))
    await iterator.return?.()

    function sleepFor(ms: number): Promise<void> {
      return new Promise((resolve) => void engine.clock.at(engine.clock.now() + ms, resolve))
    }
  })

  it('goes on with what is kept where journals were dropped before it read them', async () => {
    const engine = createEngine({ journal: memoryJournal({ keep: 10 }) })
    const iterator = open(engine.watch({}))
    const first = engine.run(quick, 0)
    await first
    await take(iterator, 3)
    for (let n = 0; n < 100; n++) await engine.run(quick, n)
    const rest = await take(iterator, 30)
    expect(new Set(rest.map(({ flowRunId }) => flowRunId)).size).toBe(10)
    await engine.run(quick, 0)
    expect(steps(await take(iterator, 3))).toEqual(['quick: Pending', 'quick: Running', 'quick: Completed'])
    await iterator.return?.()
    await engine.close()
  })
})

describe('the journal in memory', () => {
  it('tells those who follow one flow run of that one only', async () => {
    const journal = memoryJournal()
    await using engine = testEngine({ journal })
    const told: string[] = []
    const stop = journal.subscribe((flowRunId) => told.push(flowRunId), 'mine')
    await engine.settle(quick.with({ id: 'mine' })(1))
    await engine.settle(quick.with({ id: 'other' })(1))
    expect(new Set(told)).toEqual(new Set(['mine']))
    stop()
    const before = told.length
    await engine.settle(quick.with({ id: 'mine-2' })(1))
    expect(told).toHaveLength(before)
  })
})
