import type { AsyncLocalStorage } from 'node:async_hooks'
import { flow, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, quiet, testEngine } from '../behaviour/support.ts'
import { abandoned, or, silent } from './support.ts'

describe('a task that is tried again at once, very often', () => {
  it.each(['throws', 'rejects'])('lets the event loop turn, and can be cancelled (%s)', async (how) => {
    await using engine = testEngine({ logger: silent, strictValues: false })
    let attempts = 0
    const tried = task({ name: 'tried', retries: 200_000 }, () => {
      attempts++
      const error = new Error('again')
      if (how === 'rejects') return Promise.reject(error)
      throw error
    })
    const run = abandoned(engine.run(flow('tries', () => tried())))
    await quiet(20)
    void run.cancel()
    await or(engine.clock, run.wait())
    expect(run.state.name).toBe('Cancelled')
    expect(attempts).toBeLessThan(100_000)
  })
})

describe('a function of an option that gives a promise in place of a value', () => {
  it('does not end the process where that rejects: retryDelay', async () => {
    await using engine = testEngine({ logger: silent })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => void errors.push(error))
    const retryDelay = (async () => {
      await quiet(1)
      throw new Error('no delay today')
    }) as unknown as () => number
    const tried = task({ name: 'tried', retries: 1, retryDelay }, () => {
      throw new Error('again')
    })
    // A rejection that nobody handles fails the test.
    expect(await or(engine.clock, engine.run(flow('tries', () => tried())))).toBe('rejected again')
    await quiet()
    expect(errors).toEqual([code('INVALID_DURATION', /retryDelay/)])
  })
})

describe('a run that is awaited in a scope of another copy of the package', () => {
  it('says so, or is awaited', async () => {
    await using engine = testEngine()
    const key = Symbol.for('@troupe/core/run-context')
    const shared = globalThis as unknown as Record<symbol, AsyncLocalStorage<unknown>>
    // What `withTags` of another copy leaves there.
    const scope = {
      [Symbol.for('@troupe/core/scope')]: true,
      body: undefined,
      tags: ['x'],
      engine: undefined,
    }
    const run = engine.run(flow('naps', () => sleep(5)))
    const awaited = shared[key]?.run(scope, async () => {
      await run
      return 'awaited'
    })
    const outcome = await engine.settle(
      Promise.resolve(awaited).catch((error: unknown) => (error as { code?: string }).code ?? error),
    )
    expect(['awaited', 'TWO_COPIES']).toContain(outcome)
  })
})

describe('an engine that closes with a grace', () => {
  it('does not make a run fail whose retryOn asks a task', async () => {
    const engine = testEngine({ logger: silent })
    engine.errors.subscribe()
    const healthy = task('healthy', () => true)
    let attempts = 0
    const tried = task({ name: 'tried', retries: 1, retryOn: async () => healthy() }, async () => {
      await sleep(10)
      if (++attempts === 1) throw new Error('again')
      return 'done'
    })
    const run = abandoned(engine.run(flow('tries', () => tried())))
    await quiet()
    await engine.close({ grace: '1m' })
    expect(['Completed', 'Running']).toContain(run.state.name)
  })
})
