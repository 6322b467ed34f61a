import { ConcurrentTaskRunner, flow, inputs, sleep, task, waitAll, type TaskFuture } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { or, pass } from '../hard/support.ts'
import { atFirst, counts, fails, Gauge, stamps, times } from './limit-support.ts'
import { all, code, deferred, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

describe('waitTimeout', () => {
  const waited = (ms: number, what: RegExp): unknown =>
    expect.objectContaining({
      code: 'RUN_TIMED_OUT',
      message: expect.stringMatching(what) as unknown,
      details: { runId: expect.any(String) as unknown, waitTimeoutMs: ms },
    })

  it('ends a run that waited too long for a slot: TimedOut, and not tried again', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const { at, stamp } = stamps(engine)
    const holds = task('slot', () => sleep('1h'))
    const slot = task({ name: 'slot', waitTimeout: '1m', retries: 5 }, stamp)
    let late: TaskFuture<void> | undefined
    const run = flow('waits', async () => {
      const held = holds()
      late = slot()
      await late.wait()
      stamp()
      await held
    })()
    await engine.settle(run)
    expect(at).toEqual([60_000])
    const outcome = late === undefined ? undefined : await outcomeOf(engine, late)
    expect(outcome).toMatchObject({ state: 'TimedOut', error: waited(60_000, /1 at once/) })
    expect(late === undefined ? [] : await statesOf(engine, late)).toEqual([
      'Pending',
      'AwaitingConcurrencySlot',
      'TimedOut',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('ends a run that waited too long for its turn in a rate', async () => {
    await using engine = testEngine({ limits: [{ task: 'rated', rate: { count: 1, per: '1h' } }] })
    const rated = task({ name: 'rated', waitTimeout: 1500 }, () => 1)
    let late: TaskFuture<number> | undefined
    const run = flow('waits', async () => {
      await rated()
      late = rated()
      await late.wait()
    })()
    await engine.settle(run)
    expect(late === undefined ? [] : (await outcomeOf(engine, late)).error).toEqual(waited(1500, /1 per 1h/))
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/0', 0])
  })

  it('ends a run that waited too long for its runner', async () => {
    await using engine = testEngine()
    const busy = task('busy', () => sleep('1h'))
    const late = task({ name: 'late', waitTimeout: '1m' }, () => 'ran')
    const futures: TaskFuture<unknown>[] = []
    const run = flow({ name: 'waits', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      futures.push(busy(), late())
      await waitAll(futures)
    })()
    await engine.settle(run)
    expect(await statesOf(engine, futures[1] as TaskFuture<unknown>)).toEqual([
      'Pending',
      'AwaitingConcurrencySlot',
      'TimedOut',
    ])
    expect((await outcomeOf(engine, futures[1] as TaskFuture<unknown>)).error).toEqual(waited(60_000, /turn/))
  })

  it('says that a run waited for its runner where it had its slot by then', async () => {
    await using engine = testEngine({ limits: [{ task: 'late', concurrency: 1 }] })
    const busy = task('busy', () => sleep('1h'))
    const late = task({ name: 'late', waitTimeout: '1m' }, () => 'ran')
    let future: TaskFuture<string> | undefined
    const run = flow({ name: 'waits', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      const held = busy()
      future = late()
      await future.wait()
      await held
    })()
    await engine.settle(run)
    const message = future === undefined ? '' : (await outcomeOf(engine, future)).message
    expect(message).not.toMatch(/slot of task late/)
  })

  it('ends a run that waited too long for the result that another one makes', async () => {
    await using engine = testEngine()
    const cached = task({ name: 'cached', cache: inputs(), waitTimeout: '1m' }, () =>
      sleep('1h').then(() => 'made'),
    )
    const futures: TaskFuture<string>[] = []
    const run = flow('waits', async () => {
      futures.push(cached(), cached(), cached.with({ waitTimeout: '2h' })())
      await waitAll(futures)
    })()
    await engine.settle(run)
    expect(futures.map(({ state }) => state.name)).toEqual(['Completed', 'TimedOut', 'Cached'])
    expect((await outcomeOf(engine, futures[1] as TaskFuture<string>)).error).toEqual(
      waited(60_000, /waits for/),
    )
  })

  it('ends a flow run that waited too long', async () => {
    await using engine = testEngine({ limits: [{ flow: 'slot-flow', concurrency: 1 }] })
    const slotFlow = flow({ name: 'slot-flow', waitTimeout: '1m' }, () => sleep('1h'))
    const [first, late] = [slotFlow(), slotFlow()]
    expect(await outcomeOf(engine, late)).toMatchObject({
      state: 'TimedOut',
      error: waited(60_000, /slot-flow/),
    })
    await engine.settle(first)
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/0', 0])
  })

  it('does not count what comes before: upstreams', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const slow = task('slow', () => sleep('1h'))
    const slot = task({ name: 'slot', waitTimeout: '1m' }, (_value: unknown) => 'ran')
    expect(await or(engine.clock, flow('upstreams', () => slot(slow()))(), 86_400_000)).toBe('ran')
  })

  it('does not count while the body runs, and leaves no deadline behind', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const gate = deferred<string>()
    const slot = task({ name: 'slot', waitTimeout: '1m' }, () => gate.promise)
    const run = flow('long', () => slot())()
    await quiet()
    expect(engine.clock.waiting).toBe(0)
    await pass(engine.clock, 3_600_000)
    gate.resolve('done')
    expect(await engine.settle(run)).toBe('done')
  })

  it('counts each wait anew: a retry has all of it', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const { at, stamp } = stamps(engine)
    const slot = task({ name: 'slot', waitTimeout: '1m', retries: 1, retryDelay: '1s' }, () => {
      stamp()
      if (at.length === 1) throw new Error('later')
    })
    const holds = task('slot', () => sleep('40s'))
    await engine.settle(flow('anew', () => [holds(), slot(), holds()])())
    expect(at).toEqual([40_000, 80_000])
  })

  it('counts a retry that waits, and does not try it again', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const slot = task({ name: 'slot', waitTimeout: '1m', retries: 5, retryDelay: '1s' }, fails)
    const holds = task('slot', () => sleep('1h'))
    let future: TaskFuture<never> | undefined
    const run = flow('late', async () => {
      future = slot()
      const held = holds()
      await future.wait()
      await held
    })()
    await engine.settle(run)
    expect(future === undefined ? [] : await statesOf(engine, future)).toEqual([
      'Pending',
      'Running',
      'AwaitingRetry',
      'AwaitingConcurrencySlot',
      'TimedOut',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('counts a retry at once that waits for its runner', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const late = task(
      { name: 'late', waitTimeout: '1m', retries: 1 },
      atFirst<string>(
        () => gate.promise.then(fails),
        () => 'ran',
      ),
    )
    const urgent = task({ name: 'urgent', priority: 1 }, () => sleep('1h'))
    let future: TaskFuture<string> | undefined
    const run = flow({ name: 'retries', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      future = late()
      await sleep(1)
      const held = urgent()
      await sleep(1)
      gate.resolve()
      await future.wait()
      await held
    })()
    await engine.settle(run)
    expect(future?.state.name).toBe('TimedOut')
  })

  it('does not count while the flow run is paused: nothing of it may begin then', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const holds = task('slot', () => sleep('10m'))
    const slot = task({ name: 'slot', waitTimeout: '30m' }, () => 'ran')
    const held = flow('holds', () => holds())()
    const paused = flow('pauses', () => slot())()
    await quiet()
    await paused.pause()
    await pass(engine.clock, 60_000)
    const holdsOn = flow('holds-on', () => times(5, holds.with({ priority: 1 })))()
    await pass(engine.clock, 3_600_000)
    await paused.resume()
    expect(await or(engine.clock, paused)).toBe('ran')
    await engine.settle(Promise.all([held, holdsOn]))
  })

  it('lets a run begin once that was granted its slot when its time was up and its flow run was paused', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const gauge = new Gauge()
    const slot = task({ name: 'slot', waitTimeout: '1m' }, (name: string) =>
      gauge.body(name, name === 'a' ? '2m' : 10),
    )
    const held = flow('holds', () => slot('a'))()
    const paused = flow('pauses', () => slot('b'))()
    await quiet()
    await paused.pause()
    engine.limits.set({ task: 'slot', concurrency: 2 })
    engine.clock.advance(60_000)
    await quiet()
    await paused.resume()
    await engine.settle(paused)
    // The only deadline is that of the other one, which sleeps.
    expect([gauge.begun, counts(engine), engine.clock.waiting]).toEqual([['a', 'b'], '1/0', 1])
    await engine.settle(held)
  })

  it('frees the place in the queue, and takes no slot at the moment of the grant', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const gauge = new Gauge()
    const slot = task('slot', gauge.body)
    // The slot comes free and the time is up in the same millisecond, in either order.
    const run = flow('same-moment', async () => {
      const futures = [
        slot('a', 1000),
        slot.with({ waitTimeout: 1000 })('b', 10),
        slot.with({ waitTimeout: 1000 })('c', 10),
        slot.with({ waitTimeout: '1h' })('d', 10),
      ]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    const states = await engine.settle(run)
    expect(states.filter((name) => name === 'TimedOut').length).toBeGreaterThanOrEqual(1)
    expect([states[0], states[3]]).toEqual(['Completed', 'Completed'])
    expect([gauge.most, counts(engine), engine.clock.waiting]).toEqual([1, '0/0', 0])
  })

  it('leaves no deadline behind when the run is cancelled', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const gate = deferred()
    const slot = task({ name: 'slot', waitTimeout: '1h' }, () => gate.promise)
    const run = flow('cancels', () => times(5, slot))()
    await quiet()
    expect(engine.clock.waiting).toBe(4)
    const cancelled = run.cancel()
    gate.resolve()
    await engine.settle(cancelled)
    expect(engine.clock.waiting).toBe(0)
  })

  it('of a definition is taken away by `false`', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const slot = task({ name: 'slot', waitTimeout: '1m' }, () => sleep('1h'))
    const run = flow('patient', () => [slot(), slot.with({ waitTimeout: false })()])()
    expect(
      await or(
        engine.clock,
        run.wait().then(({ name }) => name),
        86_400_000,
      ),
    ).toBe('Completed')
  })

  it('is a failure like every other to those who depend on the run', async () => {
    await using engine = testEngine({ limits: [{ task: 'slot', concurrency: 1 }] })
    const slot = task('slot', (_value?: unknown) => sleep('1h'))
    const after = task('after', (_value: unknown) => 1)
    const run = flow('depends', async () => {
      const held = slot()
      const next = after(slot.with({ waitTimeout: 10 })())
      await next.wait()
      await held
      return next
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({
      error: code('UPSTREAM_FAILED'),
    })
    expect((await all(run.transitions)).some(({ to }) => to.name === 'TimedOut')).toBe(true)
  })
})
