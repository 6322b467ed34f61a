import {
  ConcurrentTaskRunner,
  currentFlowRun,
  currentTaskRun,
  flow,
  memoryJournal,
  sleep,
  task,
  type Journal,
  type TaskFuture,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { deferred, outcomeOf, quiet, testEngine } from '../behaviour/support.ts'

/** A journal that is read when the test says so. */
function heldJournal(): { journal: Journal; isRead: Promise<void>; answer: () => void } {
  const memory = memoryJournal()
  const asked = deferred()
  const answered = deferred()
  const journal: Journal = {
    encodes: memory.encodes,
    append: (request) => memory.append(request),
    read: async (id, from, limit) => {
      asked.resolve()
      await answered.promise
      return memory.read(id, from, limit)
    },
    summary: (id) => memory.summary(id),
    list: (query) => memory.list(query),
    delete: (id) => memory.delete(id),
    subscribe: (listener) => memory.subscribe(listener),
    close: () => memory.close(),
  }
  return { journal, isRead: asked.promise, answer: answered.resolve }
}

describe('a run that is cancelled before its body may begin takes no slot', () => {
  it('as a subflow, while its call is on its way to the journal', async () => {
    await using engine = testEngine({ limits: [{ flow: 'below', concurrency: 1 }] })
    const below = flow('below', () => 1)
    const above = flow('above', async () => {
      const sub = below()
      void sub.cancel()
      return (await sub.wait()).name
    })
    expect(await engine.settle(engine.run(above))).toBe('Cancelled')
    expect(engine.limits.list()).toMatchObject([{ held: 0, waiting: 0 }])
  })

  it('in a retry, while the journal is read for what it did before', async () => {
    const { journal, isRead, answer } = heldJournal()
    await using engine = testEngine({ limits: [{ task: 'parent', concurrency: 1 }], journal })
    const child = task('child', () => 1)
    const parent = task({ name: 'parent', retries: 1, retryDelay: 1 }, async () => {
      await child()
      throw new Error('once more')
    })
    const run = parent()
    await engine.settle(isRead)
    void run.cancel()
    answer()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Cancelled' })
    await quiet()
    expect(engine.limits.list()).toMatchObject([{ held: 0, waiting: 0 }])
  })

  it('where its flow run was paused when it was to begin', async () => {
    await using engine = testEngine({ limits: [{ task: 'held-up', concurrency: 1 }] })
    const heldUp = task('held-up', () => 1)
    let future: TaskFuture<number> | undefined
    const run = engine.run(
      flow('paused', async () => {
        future = heldUp()
        void run.pause()
        return (await future.wait()).name
      }),
    )
    await quiet()
    void future?.cancel()
    await run.resume()
    expect(await engine.settle(run)).toBe('Cancelled')
    expect(engine.limits.list()).toMatchObject([{ held: 0, waiting: 0 }])
  })
})

describe('a body that sleeps within its grace', () => {
  it('is told when that is over, and gives its slot back', async () => {
    await using engine = testEngine()
    const tidies = task({ name: 'tidies', grace: '1s' }, async () => {
      const { signal } = currentTaskRun()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      await sleep('1h')
    })
    const next = task('next', () => 'done')
    const both = flow({ name: 'both', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      const first = tidies.with({ cleanup: true })()
      void sleep(1).then(() => first.cancel())
      await first.wait()
      const second = next()
      const { name } = await second.wait({ timeout: '1d' })
      void second.cancel()
      return name
    })
    expect(await engine.settle(engine.run(both))).toBe('Completed')
    expect(engine.health().leftovers).toEqual([])
  })
})

describe('a body that goes on after its time limit', () => {
  it('is no leftover any more when it has settled, though its run was cancelled meanwhile', async () => {
    await using engine = testEngine()
    const { promise, resolve } = deferred()
    const deaf = task({ name: 'deaf', timeout: 1, retries: 1, retryDelay: '1s' }, () => promise)
    const run = deaf()
    await engine.settle(
      new Promise<void>((timedOut) => {
        engine.transitions.subscribe(({ to }) => (to.name === 'AwaitingRetry' ? timedOut() : undefined))
      }),
    )
    void run.cancel()
    await quiet()
    expect(engine.health().leftovers).toEqual([run.id])
    resolve()
    await quiet()
    expect(engine.health().leftovers).toEqual([])
  })
})

describe('an observer of transitions', () => {
  it('is called outside any run, whoever made the run go on', async () => {
    await using engine = testEngine()
    const inside: string[] = []
    engine.transitions.subscribe(({ runName, to }) => {
      try {
        inside.push(`${runName} ${to.name} in ${currentFlowRun().runName}`)
      } catch {
        // Nowhere: as it should be.
      }
    })
    const one = task('one', () => 1)
    await engine.settle(
      engine.run(
        flow('calls', async () => {
          await sleep(1)
          return one()
        }),
      ),
    )
    expect(inside).toEqual([])
  })
})
