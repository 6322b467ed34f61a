import { currentFlowRun, currentTaskRun, flow, sleep, task, type Transition } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, code, deferred, errorOf, outcomeOf, quiet, statesOf, steps, testEngine } from './support.ts'

const hour = task('hour', async (_value?: unknown) => {
  await sleep('1h')
  return 1
})

describe('`cancel`', () => {
  it('ends a run that has not begun at once, and its body never runs', async () => {
    await using engine = testEngine()
    let ran = false
    const run = flow('not-begun', () => {
      ran = true
    })()
    expect(await engine.settle(run.cancel('not now'))).toMatchObject({ type: 'CANCELLED', name: 'Cancelled' })
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Cancelled'])
    expect(await errorOf(run)).toMatchObject({
      code: 'RUN_CANCELLED',
      details: { runId: run.id, reason: 'not now' },
    })
    await quiet()
    expect(ran).toBe(false)
  })

  it('ends a task run that waits for its upstreams at once', async () => {
    await using engine = testEngine()
    const run = flow('waiting', async () => {
      const first = hour()
      const second = hour(first)
      await sleep(1)
      const states = [await second.cancel(), second.state, first.state]
      void first.cancel()
      return states.map(({ name }) => name)
    })()
    const start = engine.clock.now()
    expect(await engine.settle(run)).toEqual(['Cancelled', 'Cancelled', 'Running'])
    expect(engine.clock.now() - start).toBe(1)
  })

  it('fires the signal with the reason, wakes sleepers, and ends the run when its body has settled', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    const run = flow('running', async () => {
      const { signal } = currentFlowRun()
      signal.addEventListener('abort', () => seen.push(signal.reason))
      await sleep('1h').catch((error: unknown) => seen.push(error))
      return 'never mind'
    })()
    await quiet()
    expect(await engine.settle(run.cancel('enough'))).toMatchObject({
      name: 'Cancelled',
      message: expect.stringContaining('enough') as unknown,
    })
    expect(seen).toEqual([code('RUN_CANCELLED', /enough/), code('RUN_CANCELLED', /enough/)])
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Cancelling', 'Cancelled'])
    expect(engine.clock.waiting).toBe(0)
  })

  it('goes down the tree, and each run is acknowledged before the one that submitted it', async () => {
    await using engine = testEngine()
    const seen: Transition[] = []
    engine.transitions.subscribe((transition) => seen.push(transition))
    const middle = task('middle', async () => await hour())
    const child = flow('child', async () => [await hour()])
    const run = flow('tree', async () => {
      const first = hour()
      hour(first)
      middle()
      await child()
    })()
    await quiet()
    expect(await engine.settle(run.cancel())).toMatchObject({ name: 'Cancelled' })
    const ended = seen.filter(({ to }) => to.type === 'CANCELLED')
    expect(ended).toHaveLength(7)
    const place = new Map(ended.map(({ runId }, index) => [runId, index]))
    for (const { runId, parentRunId } of ended.filter(({ runId }) => runId !== run.id)) {
      expect(place.get(runId)).toBeLessThan(place.get(parentRunId ?? '') ?? -1)
    }
    expect(engine.health()).toMatchObject({ liveRuns: 0, leftovers: [] })
  })

  it('leaves what has ended as it was', async () => {
    await using engine = testEngine()
    const run = flow('ended', () => 1)()
    await engine.settle(run)
    expect(await run.cancel('too late')).toMatchObject({ name: 'Completed' })
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Completed'])
  })

  it('twice is once', async () => {
    await using engine = testEngine()
    const run = flow('twice', () => hour())()
    await quiet()
    const first = run.cancel('first')
    const second = run.cancel('second')
    expect(await engine.settle(Promise.all([first, second]))).toMatchObject([
      { name: 'Cancelled' },
      { name: 'Cancelled' },
    ])
    expect(await errorOf(run)).toEqual(code('RUN_CANCELLED', /first/))
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Cancelling', 'Cancelled'])
  })

  it('of one run leaves its siblings alone, and the body is told', async () => {
    await using engine = testEngine()
    const run = flow('siblings', async () => {
      const [a, b] = [hour(), hour()]
      await sleep(1)
      void a.cancel('only this')
      return [await errorOf(a), await b]
    })()
    expect(await engine.settle(run)).toEqual([code('RUN_CANCELLED', /only this/), 1])
  })

  it('reaches a subflow from its caller, and not the caller from a subflow', async () => {
    await using engine = testEngine()
    const child = flow('child', () => hour())
    const run = flow('parent', async () => {
      const sub = child()
      await sleep(1)
      const { name } = await sub.cancel()
      return name
    })()
    expect(await engine.settle(run)).toBe('Cancelled')
  })

  it('is not retried', async () => {
    await using engine = testEngine()
    let attempts = 0
    const run = flow({ name: 'no-retry', retries: 3 }, async () => {
      attempts++
      await hour.with({ retries: 3 })()
    })()
    await quiet()
    await engine.settle(run.cancel())
    expect(attempts).toBe(1)
    expect(steps(await all(run.transitions)).filter((step) => step.includes('Retrying'))).toEqual([])
  })

  for (let turns = 0; turns < 8; turns++) {
    it(`and completion give exactly one terminal state, whoever is first: cancelled after ${turns} turns`, async () => {
      await using engine = testEngine()
      const quick = task('quick', () => 1)
      const run = flow('races', async () => (await quick()) + 1)()
      await quiet(turns)
      const state = await engine.settle(run.cancel())
      const transitions = await all(run.transitions)
      const ends = transitions.filter(
        ({ runId, to }) => runId === run.id && ['COMPLETED', 'CANCELLED'].includes(to.type),
      )
      expect(ends).toMatchObject([{ to: { name: state.name } }])
      expect(await outcomeOf(engine, run)).toMatchObject(
        state.name === 'Completed'
          ? { state: 'Completed', value: 2 }
          : { state: 'Cancelled', error: code('RUN_CANCELLED') },
      )
      expect(run.state.name).toBe(state.name)
    })
  }
})

describe('while a run is being cancelled', () => {
  it('its body can call nothing, except what cleans up', async () => {
    await using engine = testEngine()
    const cleaned: string[] = []
    const clean = task('clean', async (what: string) => {
      await sleep(100)
      cleaned.push(what)
      return what
    })
    const seen: unknown[] = []
    const run = flow('cleans-up', async () => {
      try {
        await sleep('1h')
      } finally {
        for (const act of [() => hour(), () => flow('sub', () => 1)(), () => sleep(1)]) {
          try {
            void act()
          } catch (error) {
            seen.push(error)
          }
        }
        seen.push(await clean.with({ cleanup: true })('the room'))
      }
    })()
    await quiet()
    const start = engine.clock.now()
    expect(await engine.settle(run.cancel())).toMatchObject({ name: 'Cancelled' })
    expect(seen).toEqual([
      ...Array.from({ length: 3 }, () => code('RUN_CANCELLING', /cleanup: true/)),
      'the room',
    ])
    expect(cleaned).toEqual(['the room'])
    expect(engine.clock.now() - start).toBe(100)
  })

  it('clean-up is cut off when the grace is over', async () => {
    await using engine = testEngine()
    let inner: unknown
    const slowClean = task('slow-clean', async () => {
      await sleep('1h').catch((error: unknown) => {
        inner = error
        throw error
      })
    })
    const run = flow({ name: 'slow', grace: '5s' }, async () => {
      try {
        await sleep('1h')
      } finally {
        await slowClean.with({ cleanup: true })()
      }
    })()
    await quiet()
    const start = engine.clock.now()
    expect(await engine.settle(run.cancel())).toMatchObject({ name: 'Cancelled' })
    expect(engine.clock.now() - start).toBe(5000)
    expect(inner).toEqual(code('RUN_CANCELLED'))
    expect(steps(await all(run.transitions)).slice(-2)).toEqual([
      'slow-clean-1: Cancelled',
      'slow: Cancelled',
    ])
  })

  it('its body may go on as long as the grace allows', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const polite = task({ name: 'polite', grace: '1m' }, async () => {
      const { signal } = currentTaskRun()
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      await gate.promise
    })
    const run = flow('graceful', () => polite())()
    await quiet()
    const cancelled = run.cancel()
    await quiet()
    expect(run.state.name).toBe('Cancelling')
    gate.resolve()
    expect(await engine.settle(cancelled)).toMatchObject({ name: 'Cancelled' })
    expect(engine.health().leftovers).toEqual([])
  })

  it('the result of a body that completes all the same is dropped', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const run = flow('drops', async () => {
      await gate.promise
      return 'finished'
    })()
    await quiet()
    const cancelled = run.cancel()
    gate.resolve()
    expect(await engine.settle(cancelled)).toMatchObject({ name: 'Cancelled' })
    expect(await errorOf(run)).toEqual(code('RUN_CANCELLED'))
  })

  it('a body with a grace of 0 is let go at once', async () => {
    await using engine = testEngine()
    const run = flow({ name: 'no-grace', grace: 0 }, () => new Promise(() => undefined))()
    await quiet()
    const start = engine.clock.now()
    expect(await engine.settle(run.cancel())).toMatchObject({ name: 'Cancelled' })
    expect(engine.clock.now()).toBe(start)
    expect(engine.health().leftovers).toEqual([run.id])
  })
})
