import {
  cancelled,
  currentTaskRun,
  flow,
  sleep,
  task,
  uuid,
  waitAll,
  type RunFuture,
  type TaskFuture,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { abandoned, or, silent } from '../hard/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { atFirst, counts, fails, Gauge } from './limit-support.ts'
import { StagedRunner } from './staged-runner.ts'
import { code, deferred, errorOf, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

const one = { task: 'slot', concurrency: 1 } as const

describe('a slot comes back', () => {
  const ends: [string, (fail: () => never) => unknown, string][] = [
    ['completed', () => 1, 'Completed'],
    ['threw', (fail) => fail(), 'Failed'],
    ['was cancelled by its own body', () => cancelled('enough'), 'Cancelled'],
    ['left a failure that nobody looked at', () => void task('below', fails)(), 'UnobservedFailure'],
  ]

  it.each(ends)('when a run %s', async (_, body, state) => {
    await using engine = testEngine({ limits: [one] })
    const slot = task('slot', () => body(fails) as number)
    const next = task('slot', () => 'next')
    const run = flow('ends', async () => [(await slot().wait()).name, await next()])()
    expect(await or(engine.clock, run)).toEqual([state, 'next'])
    expect(counts(engine)).toBe('0/0')
  })

  it('when its time limit is over, whatever its body does then', async () => {
    await using engine = testEngine({ limits: [one], logger: silent })
    const gate = deferred<number>()
    const slot = task({ name: 'slot', timeout: '1m' }, () => gate.promise)
    const next = task('slot', () => 'next')
    const run = flow('times-out', async () => [(await slot().wait()).name, await next()])()
    expect(await or(engine.clock, run)).toEqual(['TimedOut', 'next'])
    gate.resolve(1)
    await quiet()
    expect(counts(engine)).toBe('0/0')
  })

  it('when its upstream, its parameters or its cached result keep its body from running: it takes none', async () => {
    await using engine = testEngine({ limits: [{ tag: 'x', concurrency: 1 }] })
    const parameters = {
      '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'never' }] }) },
    } as const
    const tags = ['x']
    const invalid = task({ name: 'invalid', tags, parameters: parameters as never }, () => 1)
    const after = task({ name: 'after', tags }, (_value: unknown) => 1)
    const run = flow('takes-none', async () => {
      const futures = [after(task('bad', fails)()), (invalid as unknown as () => TaskFuture<number>)()]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    expect(await or(engine.clock, run)).toEqual(['UpstreamFailed', 'Failed'])
    expect(counts(engine)).toBe('0/0')
  })

  it('when the run of a flow ends, with all that it submitted', async () => {
    await using engine = testEngine({ limits: [{ flow: 'slot-flow', concurrency: 1 }] })
    const slow = task('slow', () => sleep('1m'))
    const slotFlow = flow('slot-flow', () => void slow().ignore())
    const start = engine.clock.now()
    const [first, second] = [slotFlow(), slotFlow()]
    await quiet()
    expect(counts(engine)).toBe('1/1')
    await engine.settle(Promise.all([first, second]))
    expect([engine.clock.now() - start, counts(engine)]).toEqual([120_000, '0/0'])
  })
})

describe('a slot comes back when its run is cancelled', () => {
  it('while it waits for it: the next in the queue is not held up', async () => {
    await using engine = testEngine({ limits: [one] })
    const gauge = new Gauge()
    const slot = task('slot', gauge.body)
    const run = flow('cancels-waiting', async () => {
      const first = slot('a')
      const second = slot('b')
      const third = slot('c')
      await sleep(1)
      await second.cancel()
      return [first, (await second.wait()).name, third]
    })()
    expect(await or(engine.clock, run)).toEqual(['a', 'Cancelled', 'c'])
    expect([gauge.begun, counts(engine)]).toEqual([['a', 'c'], '0/0'])
  })

  it('at the moment of the grant, in the same turn and up to eight microtasks later', async () => {
    for (let microtasks = 0; microtasks <= 8; microtasks++) {
      await using engine = testEngine({ limits: [one] })
      const gauge = new Gauge()
      const slot = task('slot', (name: string) => gauge.body(name, '1m'))
      const futures: TaskFuture<string>[] = []
      const run = flow('cancels-at-grant', async () => {
        futures.push(slot('a'), slot('b'), slot('c'))
        await waitAll(futures)
      })()
      await quiet()
      engine.limits.set({ ...one, concurrency: 2 })
      expect(counts(engine)).toBe('2/1')
      for (let n = 0; n < microtasks; n++) await Promise.resolve()
      void futures[1]?.cancel()
      // Whether it had begun or not, its slot goes to the one after it, or will.
      expect(['2/0', '2/1']).toContain(counts(engine))
      await engine.settle(run)
      expect([await statesOf(engine, futures[1] as TaskFuture<string>), counts(engine)]).toEqual([
        expect.arrayContaining(['AwaitingConcurrencySlot', 'Cancelled']),
        '0/0',
      ])
      expect(gauge.most).toBeLessThanOrEqual(2)
      expect(gauge.begun).toContain('c')
    }
  })

  it('in the very turn in which the run before it ended', async () => {
    await using engine = testEngine({ limits: [one] })
    const runner = new StagedRunner()
    const never = new Promise<number>(() => undefined)
    const slot = task('slot', () => never)
    const futures: TaskFuture<number>[] = []
    const run = flow({ name: 'cancels-in-turn', taskRunner: runner }, async () => {
      futures.push(slot(), slot(), slot())
      await waitAll(futures)
    })()
    await quiet()
    runner.finish(1)
    void futures[1]?.cancel()
    await quiet()
    expect(counts(engine)).toBe('1/0')
    runner.finish(3)
    await engine.settle(run)
    expect(futures.map(({ state }) => state.name)).toEqual(['Completed', 'Cancelled', 'Completed'])
    expect(counts(engine)).toBe('0/0')
  })

  it('at the moment of the grant, as a flow run', async () => {
    for (let microtasks = 0; microtasks <= 3; microtasks++) {
      await using engine = testEngine({ limits: [{ flow: 'granted-flow', concurrency: 1 }] })
      const granted = flow('granted-flow', () => sleep('1m'))
      const runs = [granted(), granted(), granted()]
      await quiet()
      void runs[0]?.cancel()
      for (let n = 0; n < microtasks; n++) await Promise.resolve()
      void runs[1]?.cancel()
      await engine.settle(Promise.all(runs.map((run) => run.wait())))
      expect(runs.map(({ state }) => state.name)).toEqual(['Cancelled', 'Cancelled', 'Completed'])
      expect(counts(engine)).toBe('0/0')
    }
  })

  it('when it was granted, and its runner has no room', async () => {
    await using engine = testEngine({ limits: [one] })
    const runner = new StagedRunner({ room: false })
    const slot = task('slot', (name: string) => name)
    const futures: TaskFuture<string>[] = []
    const run = flow({ name: 'cancels-granted', taskRunner: runner }, async () => {
      futures.push(slot('a'), slot('b'))
      await waitAll(futures)
    })()
    await quiet()
    expect([runner.queued, counts(engine)]).toEqual([1, '1/1'])
    void futures[0]?.cancel()
    expect([futures[0]?.state.name, counts(engine)]).toEqual(['Pending', '1/0'])
    runner.room = true
    runner.start()
    await engine.settle(run)
    expect([futures.map(({ state }) => state.name), counts(engine)]).toEqual([
      ['Cancelled', 'Completed'],
      '0/0',
    ])
  })

  it('while its body runs, when that has ended: not before', async () => {
    await using engine = testEngine({ limits: [one] })
    const gauge = new Gauge()
    const slot = task({ name: 'slot', grace: '5s' }, async (name: string) => {
      gauge.begun.push(name)
      gauge.most = Math.max(gauge.most, ++gauge.now)
      // Heeds its signal, and takes two seconds to clean up.
      await sleep('1h').catch(() => undefined)
      await new Promise<void>((resolve) => void engine.clock.at(engine.clock.now() + 2000, resolve))
      gauge.now--
    })
    const run = flow('cancels-running', async () => {
      const first = slot('a')
      const second = slot('b')
      await sleep(1)
      void first.cancel()
      const during = [first.state.name, counts(engine)]
      await first.wait()
      void second.cancel()
      return during
    })()
    expect(await or(engine.clock, run)).toEqual(['Running', '1/1'])
    expect([gauge.begun, gauge.most, counts(engine)]).toEqual([['a', 'b'], 1, '0/0'])
  })

  it('when its grace is over, though its body goes on', async () => {
    await using engine = testEngine({ limits: [one], logger: silent })
    const slot = task({ name: 'slot', grace: '5s' }, (): Promise<string> => new Promise(() => undefined))
    const next = task('slot', () => 'next')
    const run = flow('cancels-deaf', async () => {
      const deaf = slot()
      const after = next()
      await sleep(1)
      void deaf.cancel()
      return after
    })()
    expect(await or(engine.clock, run)).toBe('next')
    expect(counts(engine)).toBe('0/0')
  })

  it('while it waits to be tried again: it holds none then, and asks for none', async () => {
    await using engine = testEngine({ limits: [one] })
    const slot = task({ name: 'slot', retries: 3, retryDelay: '1h' }, fails)
    const run = flow('cancels-retry', async () => {
      const failing = slot()
      await sleep('1m')
      const during = [failing.state.name, counts(engine)]
      return [...during, (await failing.cancel()).name]
    })()
    expect(await engine.settle(run)).toEqual(['AwaitingRetry', '0/0', 'Cancelled'])
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/0', 0])
  })

  it('by the flow run that it is of: all its places in the queue with it', async () => {
    await using engine = testEngine({ limits: [one] })
    const gauge = new Gauge()
    const slot = task('slot', (name: string) => gauge.body(name, '1m'))
    const many = flow('cancels-all', () => slot.map(['a', 'b', 'c', 'd']))()
    const other = flow('not-cancelled', () => slot('other'))()
    await quiet()
    expect(counts(engine)).toBe('1/4')
    expect((await engine.settle(many.cancel())).name).toBe('Cancelled')
    expect(counts(engine)).toBe('1/0')
    await engine.settle(other)
    expect([gauge.begun, counts(engine)]).toEqual([['a', 'other'], '0/0'])
  })

  it('before its start is safe: a flow run with an id', async () => {
    await using engine = testEngine({ limits: [{ flow: 'with-id', concurrency: 1 }] })
    const withId = flow('with-id', () => 'ran')
    const run = withId.with({ id: 'first' })()
    void run.cancel()
    await engine.settle(run.wait())
    expect(counts(engine)).toBe('0/0')
    expect(await or(engine.clock, withId())).toBe('ran')
  })

  it('before its start is safe: a call after a draw', async () => {
    await using engine = testEngine({ limits: [one] })
    const slot = task('slot', () => 'ran')
    const run = flow('draws', async () => {
      uuid()
      const first = slot()
      void first.cancel()
      return [(await first.wait()).name, await slot()]
    })()
    expect(await or(engine.clock, run)).toEqual(['Cancelled', 'ran'])
    expect(counts(engine)).toBe('0/0')
  })

  it('while the history of its retry is read', async () => {
    await using engine = testEngine({ limits: [one] })
    const below = task('below-retry', () => 1)
    let failing: TaskFuture<unknown> | undefined
    const slot = task({ name: 'slot', retries: 3 }, async () => {
      await below()
      throw new Error('tried again')
    })
    engine.transitions.subscribe(({ task: name, to }) => {
      if (name === 'slot' && to.name === 'Retrying') void failing?.cancel()
    })
    const next = task('slot', () => 'next')
    const run = flow('cancels-reading', async () => {
      failing = slot()
      return [(await failing.wait()).name, await next()]
    })()
    expect(await or(engine.clock, run)).toEqual(['Cancelled', 'next'])
    expect(counts(engine)).toBe('0/0')
  })

  it('after its runner lost it, while the history is read', async () => {
    await using engine = testEngine({ limits: [one] })
    const runner = new StagedRunner()
    const slot = task('slot', () => new Promise<number>(() => undefined))
    let lost: TaskFuture<number> | undefined
    const run = flow({ name: 'cancels-lost', taskRunner: runner }, async () => {
      lost = slot()
      return (await lost.wait()).name
    })()
    await quiet()
    runner.lose({ crashed: false })
    void lost?.cancel()
    expect(await or(engine.clock, run)).toBe('Cancelled')
    expect(counts(engine)).toBe('0/0')
  })
})

describe('a slot comes back from another end', () => {
  it('when the body brought its runner down', async () => {
    await using engine = testEngine({ limits: [one] })
    const runner = new StagedRunner()
    const slot = task('slot', () => new Promise<number>(() => undefined))
    const futures: TaskFuture<number>[] = []
    const run = flow({ name: 'crashes', taskRunner: runner }, async () => {
      futures.push(slot(), slot())
      await waitAll(futures)
    })()
    await quiet()
    runner.lose({ crashed: true })
    await quiet()
    expect([futures.map(({ state }) => state.name), counts(engine)]).toEqual([['Crashed', 'Running'], '1/0'])
    runner.finish(1)
    await engine.settle(run)
    expect(counts(engine)).toBe('0/0')
  })

  it('is kept by a run that is tried again at once after it crashed, or whose host was lost', async () => {
    for (const crashed of [true, false]) {
      await using engine = testEngine({ limits: [one] })
      const runner = new StagedRunner()
      const begun: string[] = []
      const slot = task({ name: 'slot', retries: 1, retryOnCrash: true }, async (name: string) => {
        begun.push(`${name}${currentTaskRun().attempt}`)
        if (begun.length === 1) await new Promise(() => undefined)
        return name
      })
      const run = flow({ name: 'goes-on', taskRunner: runner }, () => [slot('a'), slot('b')])()
      await quiet()
      runner.lose({ crashed })
      expect(counts(engine)).toBe('1/1')
      expect(await or(engine.clock, run)).toEqual(['a', 'b'])
      expect([begun, counts(engine)]).toEqual([['a1', 'a2', 'b1'], '0/0'])
    }
  })

  it('when the engine lets go of its run: nothing begins in a closed engine', async () => {
    const engine = testEngine({ limits: [one, { flow: 'closes', concurrency: 1 }] })
    const gauge = new Gauge()
    const slot = task('slot', (name: string) => gauge.body(name, '1m'))
    const closes = flow('closes', () => slot.map(['a', 'b', 'c']))
    const runs = [closes(), closes()].map(abandoned)
    await quiet()
    expect(counts(engine)).toBe('1/2 1/1')
    await engine.close()
    expect(await Promise.all(runs.map((run) => errorOf(run.result())))).toEqual([
      code('ENGINE_CLOSED'),
      code('ENGINE_CLOSED'),
    ])
    await quiet()
    expect(gauge.begun).toEqual(['a'])
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/0 0/0', 0])
  })

  it('is handed on while an engine that closes gives its runs time', async () => {
    const engine = testEngine({ limits: [one] })
    const gauge = new Gauge()
    const slot = task('slot', (name: string) => gauge.body(name, '1m'))
    const run = flow('closes-late', () => slot.map(['a', 'b', 'c']))()
    await quiet()
    await engine.close({ grace: '10m' })
    expect(await run).toEqual(['a', 'b', 'c'])
    expect([gauge.most, counts(engine)]).toEqual([1, '0/0'])
  })

  it('when another engine took the run over', async () => {
    const lives = new Lives()
    const gate = deferred()
    const below = task('below-taken', () => 1)
    const taken = task({ name: 'taken', retries: 5 }, async () => {
      await below()
      await gate.promise
      throw new Error('tried again')
    })
    const takes = flow('takes', () => taken())
    await using first = lives.start({ limits: [{ task: 'taken', concurrency: 1 }], logger: silent })
    abandoned(first.run(takes))
    await rest()
    await using second = lives.start({ logger: silent })
    await second.recover()
    await rest()
    gate.resolve()
    await rest()
    expect(counts(first)).toBe('0/0')
  })
})

describe('a paused flow run', () => {
  it('gives back at once what it is granted, and takes it again when it goes on', async () => {
    await using engine = testEngine({ limits: [one] })
    const gauge = new Gauge()
    const slot = task('slot', (name: string) => gauge.body(name, '1m'))
    const first = flow('first', () => slot('first'))()
    const paused = flow('paused', () => slot.map(['p1', 'p2']))()
    const last = flow('last', () => slot('last'))()
    await quiet()
    await paused.pause()
    await engine.settle(Promise.all([first, last]))
    expect([gauge.begun, counts(engine)]).toEqual([['first', 'last'], '0/0'])
    await paused.resume()
    expect(await engine.settle(paused)).toEqual(['p1', 'p2'])
    expect([gauge.most, counts(engine)]).toEqual([1, '0/0'])
  })

  it('keeps the slots of what runs, and its own', async () => {
    await using engine = testEngine({ limits: [one, { flow: 'paused', concurrency: 1 }] })
    const gate = deferred()
    const slot = task('slot', () => gate.promise)
    const paused = flow('paused', () => slot())()
    await quiet()
    await paused.pause()
    expect(counts(engine)).toBe('1/0 1/0')
    gate.resolve()
    await quiet()
    expect(counts(engine)).toBe('0/0 1/0')
    await paused.resume()
    await engine.settle(paused)
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('can be cancelled with what was granted meanwhile: no slot stays behind', async () => {
    await using engine = testEngine({ limits: [one] })
    const gate = deferred()
    const slot = task('slot', () => gate.promise)
    const first = flow('first', () => slot())()
    const paused = flow('paused', () => [slot(), slot()])()
    await quiet()
    await paused.pause()
    gate.resolve()
    await engine.settle(first)
    expect((await engine.settle(paused.cancel())).name).toBe('Cancelled')
    await quiet()
    expect(counts(engine)).toBe('0/0')
  })

  it('goes on without a run that was cancelled while it was paused: no slot stays behind', async () => {
    await using engine = testEngine({ limits: [one] })
    const futures: RunFuture<number>[] = []
    const gate = deferred()
    const slot = task('slot', () => 1)
    const paused = flow('paused', async () => {
      await gate.promise
      futures.push(slot(), slot())
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    await quiet()
    await paused.pause()
    gate.resolve()
    await quiet()
    void futures[0]?.cancel()
    await quiet()
    await paused.resume()
    expect(await or(engine.clock, paused)).toEqual(['Cancelled', 'Completed'])
    expect(counts(engine)).toBe('0/0')
  })
})

describe('a retry', () => {
  it('at once keeps the slot: nobody comes between', async () => {
    await using engine = testEngine({ limits: [one] })
    const begun: string[] = []
    const slot = task({ name: 'slot', retries: 2 }, (name: string) => {
      begun.push(`${name}${currentTaskRun().attempt}`)
      if (begun.length < 3) throw new Error('again')
      return name
    })
    const futures: TaskFuture<string>[] = []
    await engine.settle(
      flow('keeps', () => {
        futures.push(slot('a'), slot.with({ priority: 9 })('b'))
        return futures
      })(),
    )
    expect(begun).toEqual(['a1', 'a2', 'a3', 'b1'])
    expect(await statesOf(engine, futures[0] as TaskFuture<string>)).toEqual([
      'Pending',
      'Running',
      'Retrying',
      'Retrying',
      'Completed',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('with a delay gives the slot back, and takes another one', async () => {
    await using engine = testEngine({ limits: [one] })
    const begun: [string, number][] = []
    const start = engine.clock.now()
    const slot = task({ name: 'slot', retries: 1, retryDelay: '10s' }, async (name: string) => {
      begun.push([name, engine.clock.now() - start])
      await sleep('1m')
      if (name === 'a' && currentTaskRun().attempt === 1) throw new Error('later')
    })
    const futures: TaskFuture<void>[] = []
    await engine.settle(
      flow('gives-back', () => {
        futures.push(slot('a'), slot('b'))
        return futures
      })(),
    )
    expect(begun).toEqual([
      ['a', 0],
      ['b', 60_000],
      ['a', 120_000],
    ])
    expect(await statesOf(engine, futures[0] as TaskFuture<void>)).toEqual([
      'Pending',
      'Running',
      'AwaitingRetry',
      'AwaitingConcurrencySlot',
      'Retrying',
      'Completed',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('after its time limit keeps or gives back its slot in the same way', async () => {
    for (const retryDelay of [0, 1000]) {
      await using engine = testEngine({ limits: [one] })
      const hangs = (): Promise<string> => sleep('1h').then(() => 'late')
      const slot = task(
        { name: 'slot', retries: 1, retryDelay, timeout: '1s' },
        atFirst(hangs, () => 'done'),
      )
      const next = task('slot', () => 'next')
      const ends: string[] = []
      const run = flow('times-out', () => {
        const futures = [slot(), next()]
        for (const future of futures) void future.then((value) => void ends.push(value))
        return futures
      })()
      expect(await or(engine.clock, run)).toEqual(['done', 'next'])
      expect(ends).toEqual(retryDelay === 0 ? ['done', 'next'] : ['next', 'done'])
      expect(counts(engine)).toBe('0/0')
    }
  })

  it('of a flow gives its slot back, too, while it waits', async () => {
    await using engine = testEngine({ limits: [{ flow: 'tries', concurrency: 1 }] })
    let calls = 0
    const tries = flow({ name: 'tries', retries: 1, retryDelay: '1m' }, (name: string) => {
      if (++calls === 1) throw new Error('later')
      return name
    })
    const first = tries('a')
    const second = tries('b')
    expect(await or(engine.clock, Promise.race([first, second]))).toBe('b')
    expect(await or(engine.clock, first)).toBe('a')
    expect(await statesOf(engine, first)).toEqual([
      'Pending',
      'Running',
      'AwaitingRetry',
      'Retrying',
      'Completed',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('shows that it waits where it has to wait, also where a limit is new', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const slot = task(
      { name: 'slot', retries: 1 },
      atFirst(
        async () => {
          await gate.promise
          throw new Error('again')
        },
        () => undefined,
      ),
    )
    const holds = task('slot', () => sleep('1h'))
    let failing: TaskFuture<void> | undefined
    const run = flow('tries', () => (failing = slot()))()
    await quiet()
    engine.limits.set(one)
    const other = flow('holds', () => holds())()
    await quiet()
    gate.resolve()
    await quiet()
    expect(counts(engine)).toBe('1/1')
    // Its body does not run: a state of type RUNNING would say that it does.
    expect(failing?.state.type).not.toBe('RUNNING')
    await engine.settle(Promise.all([run, other]))
  })
})

describe('an outcome', () => {
  it('is the same with a limit as without one', async () => {
    const outcomes = []
    for (const limits of [[], [{ task: 'slot', concurrency: 1 }]]) {
      await using engine = testEngine({ limits })
      const slot = task('slot', async (n: number) => {
        await sleep(n)
        if (n === 3) throw new RangeError('three')
        return n
      })
      const run = flow('same', async () => {
        const futures = slot.map([1, 2, 3, 4])
        await waitAll(futures)
        return futures.map(({ state }) => state.name)
      })()
      outcomes.push((await outcomeOf(engine, run)).value)
    }
    expect(outcomes[0]).toEqual(outcomes[1])
  })
})
