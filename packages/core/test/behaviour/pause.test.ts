import { flow, sleep, task, waitAll, type FlowRunHandle } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, deferred, outcomeOf, quiet, statesOf, steps, testEngine } from './support.ts'

const one = task('one', async (ms: number = 10) => {
  await sleep(ms)
  return ms
})

describe('a paused flow run', () => {
  it('starts nothing new and is handed nothing, while task runs that are running go on', async () => {
    await using engine = testEngine()
    const seen: string[] = []
    const run = flow('pausing', async () => {
      seen.push(`got ${await one(10)}`)
      seen.push(`got ${await one(20)}`)
      return 'done'
    })()
    await quiet()
    expect(await run.pause()).toMatchObject({ type: 'PAUSED', name: 'Paused' })
    engine.clock.advance(60_000)
    await quiet()
    expect(seen).toEqual([])
    expect(steps(await history(engine, run.id)).slice(-2)).toEqual(['pausing: Paused', 'one-1: Completed'])
    expect(await run.resume()).toMatchObject({ type: 'RUNNING', name: 'Running' })
    expect(await engine.settle(run)).toBe('done')
    expect(seen).toEqual(['got 10', 'got 20'])
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Paused', 'Running', 'Completed'])
  })

  it('does not start task runs that are submitted or become ready meanwhile', async () => {
    await using engine = testEngine()
    const begun: string[] = []
    const mark = task('mark', (name: string, _value?: unknown) => void begun.push(name))
    const gate = deferred()
    const run = flow('holds', async () => {
      mark('dependent', one(10))
      await gate.promise
      mark('submitted')
    })()
    await quiet()
    await run.pause()
    gate.resolve()
    engine.clock.advance(1000)
    await quiet()
    expect(begun).toEqual([])
    await run.resume()
    await engine.settle(run)
    expect(begun.toSorted()).toEqual(['dependent', 'submitted'])
  })

  it('does not end while it is paused, though its body has ended', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const run = flow('ending', async () => gate.promise)()
    await quiet()
    await run.pause()
    gate.resolve()
    await quiet()
    expect(run.state.name).toBe('Paused')
    await run.resume()
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Paused', 'Running', 'Completed'])
  })

  it('can be cancelled: that wins', async () => {
    await using engine = testEngine()
    const run = flow('cancelled-while-paused', () => one(1000))()
    await quiet()
    await run.pause()
    expect(await engine.settle(run.cancel())).toMatchObject({ name: 'Cancelled' })
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Paused', 'Cancelling', 'Cancelled'])
    expect((await run.resume()).name).toBe('Cancelled')
  })

  it('is not handed the time that passes: a sleep ends when it goes on', async () => {
    await using engine = testEngine()
    const seen: string[] = []
    const run = flow('sleeps', async () => {
      await sleep('1s')
      seen.push('awake')
    })()
    await quiet()
    await run.pause()
    engine.clock.advance(10_000)
    await quiet()
    expect(seen).toEqual([])
    await run.resume()
    await engine.settle(run)
    expect(seen).toEqual(['awake'])
  })

  it('can be paused and resumed many times', async () => {
    await using engine = testEngine()
    const run = flow('often', () => one(100))()
    await quiet()
    for (let i = 0; i < 3; i++) {
      expect((await run.pause()).name).toBe('Paused')
      expect((await run.pause()).name).toBe('Paused')
      expect((await run.resume()).name).toBe('Running')
      expect((await run.resume()).name).toBe('Running')
    }
    expect(await engine.settle(run)).toBe(100)
  })

  it('does not pause its subflows, nor its caller', async () => {
    await using engine = testEngine()
    let sub: FlowRunHandle<number> | undefined
    const child = flow('child', async () => await one(100))
    const run = flow('parent', async () => {
      const future = child()
      sub = future.handle
      return await future
    })()
    await quiet()
    await sub?.pause()
    expect(run.state.name).toBe('Running')
    await run.pause()
    await sub?.resume()
    expect(await engine.settle((sub as FlowRunHandle<number>).wait())).toMatchObject({ name: 'Completed' })
    expect(run.state.name).toBe('Paused')
    await run.resume()
    expect(await engine.settle(run)).toBe(100)
  })
})

describe('`pause` and `resume`', () => {
  it('change nothing before a run has begun or after it has ended', async () => {
    await using engine = testEngine()
    const run = flow('unpausable', () => 1)()
    expect((await run.pause()).name).toBe('Pending')
    expect((await run.resume()).type).not.toBe('PAUSED')
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Completed' })
    expect((await run.pause()).name).toBe('Completed')
  })

  it('exist for flow runs alone', async () => {
    await using engine = testEngine()
    const future = one()
    // @ts-expect-error a task run can not be paused
    const pausing: unknown = future.pause()
    expect(await pausing).toMatchObject({ name: expect.not.stringMatching('Paused') as unknown })
    await engine.settle(future)
  })
})

describe('`engine.close`', () => {
  it('gives live runs the grace to end', async () => {
    const engine = testEngine()
    const run = flow('in-time', () => one(500))()
    const value = run.result()
    await quiet()
    await engine.settle(engine.close({ grace: '1s' }))
    expect(await value).toBe(500)
    expect(engine.health()).toMatchObject({ open: false, liveRuns: 0 })
  })

  it('lets go of those that have not ended by then, and takes no more calls at once', async () => {
    const engine = testEngine()
    const start = engine.clock.now()
    const run = flow('too-long', () => one(5000))()
    const ended = run.result().catch((error: unknown) => error)
    const waited = run.wait().catch((error: unknown) => error)
    await quiet()
    const closing = engine.close({ grace: '1s' })
    expect(() => engine.run(flow('late', () => 1))).toThrow(
      expect.objectContaining({ code: 'ENGINE_CLOSED' }),
    )
    await engine.settle(closing)
    expect(engine.clock.now() - start).toBe(1000)
    expect(await ended).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(await waited).toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  it('lets bodies go on within the grace', async () => {
    const engine = testEngine()
    const run = flow('goes-on', async () => {
      await one(100)
      return (await waitAll([one(200)])).done.length
    })()
    const value = run.result()
    await quiet()
    await engine.settle(engine.close({ grace: '1s' }))
    expect(await value).toBe(1)
  })

  it('fires the signals of bodies that it lets go of', async () => {
    const engine = testEngine()
    const { promise, resolve } = deferred<unknown>()
    const run = flow('signalled', async () => {
      const { currentFlowRun } = await import('@troupe/core')
      const { signal } = currentFlowRun()
      signal.addEventListener('abort', () => resolve(signal.reason))
      await new Promise(() => undefined)
    })()
    run.ignore()
    await quiet()
    await engine.close()
    expect(await promise).toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  it('completes the streams', async () => {
    const engine = testEngine()
    const transitions = all(engine.transitions)
    const errors = all(engine.errors)
    await engine.settle(flow('last', () => 1)())
    await engine.close()
    expect(await transitions).toHaveLength(3)
    expect(await errors).toEqual([])
    expect(await all(engine.transitions)).toEqual([])
  })

  it('is what `await using` does', async () => {
    let health: () => unknown = () => undefined
    {
      await using engine = testEngine()
      health = () => engine.health().open
      expect(health()).toBe(true)
    }
    expect(health()).toBe(false)
  })
})

async function history(engine: ReturnType<typeof testEngine>, flowRunId: string) {
  const seen: Parameters<typeof steps>[0][number][] = []
  const subscription = engine.watch({ flowRunId }).subscribe((transition) => seen.push(transition))
  await quiet()
  subscription.unsubscribe()
  return seen
}
