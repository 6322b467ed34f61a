import {
  flow,
  inputs,
  memoryJournal,
  sleep,
  task,
  type Append,
  type HookEvent,
  type Journal,
  type Transition,
} from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { delayed, later } from '../hard/support.ts'
import { errorsOf, everyHook, noted } from './hooks-support.ts'
import { all, code, deferred, quiet, statesOf, testEngine } from './support.ts'

const fails = (): never => {
  throw new TypeError('no')
}

describe('a hook is told', () => {
  it('the transition, as everybody sees it', async () => {
    await using engine = testEngine()
    const seen: Transition[] = []
    const hooks = everyHook((_, { transition }) => seen.push(transition))
    const shown: Transition[] = []
    engine.transitions.subscribe((transition) => shown.push(transition))
    let tries = 0
    const step = task({ name: 'step', retries: 1, retryDelay: '1s', ...hooks }, () =>
      ++tries > 1 ? 1 : fails(),
    )
    const run = flow({ name: 'steps', ...hooks }, () => step())()
    await engine.settle(run)
    await quiet()
    expect(seen).toHaveLength(8)
    expect(seen).toEqual(shown)
    expect(seen).toEqual(await all(run.transitions))
  })

  it('the value of a run that completed, and no error', async () => {
    await using engine = testEngine()
    const events: HookEvent[] = []
    const hooks = everyHook((_, event) => events.push(event))
    await engine.settle(flow({ name: 'good', ...hooks }, () => ({ n: 1 }))())
    await quiet()
    expect(events.map(({ value, error }) => [value, error])).toEqual([
      [undefined, undefined],
      [undefined, undefined],
      [{ n: 1 }, undefined],
    ])
  })

  it('the error of a run that failed, crashed or was cancelled, which is what awaiting the run rejects with', async () => {
    await using engine = testEngine({ strictValues: false })
    const told: unknown[] = []
    const onFailure = ({ error, value }: HookEvent) => told.push(error, value)
    const error = new TypeError('no')
    const bad = flow({ name: 'bad', onFailure }, () => {
      throw error
    })()
    await engine.settle(bad.wait())
    await quiet()
    expect(told).toEqual([error, undefined])
    expect(told[0]).toBe(error)
    const reasons: unknown[] = []
    const long = flow({ name: 'long', onCancellation: (event) => reasons.push(event.error) }, () =>
      sleep('1h'),
    )()
    await quiet()
    await engine.settle(long.cancel('enough'))
    await quiet()
    expect(reasons).toEqual([code('RUN_CANCELLED', /enough/)])
  })

  it('the parameters and the tags', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    const onCompletion = ({ parameters, tags }: HookEvent) => seen.push(parameters, tags)
    const one = task('one', () => 1)
    const step = task({ name: 'step', tags: ['own'], onCompletion }, (_n: number, _o: { a: number }) => 1)
    await engine.settle(flow({ name: 'tagged', tags: ['above'] }, () => step(one(), { a: one() }))())
    await quiet()
    expect(seen).toEqual([
      [1, { a: 1 }],
      ['above', 'own'],
    ])
  })

  it('no parameters before the first attempt', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    const hooks = everyHook((kind, { parameters }) => seen.push([kind, parameters]))
    const one = task('one', () => 1)
    const step = task({ name: 'step', ...hooks }, (n: number) => n)
    await engine.settle(flow('waits', async () => [await step(one()), await step(1)])())
    await quiet()
    const expected = [
      ['onPending', undefined],
      ['onRunning', [1]],
      ['onCompletion', [1]],
    ]
    expect(seen).toEqual([...expected, ...expected])
  })

  it('log lines with the ids of its run', async () => {
    await using engine = testEngine()
    const onCompletion = ({ logger }: HookEvent) => {
      logger.info('told')
      logger.warn({ extra: 1 }, 'more')
    }
    const run = flow({ name: 'logs', onCompletion }, () => 1)()
    await engine.settle(run)
    await quiet()
    const ids = { flowRunId: run.id, runId: run.id, run: 'logs', attempt: 1 }
    expect(engine.lines).toEqual([
      { level: 'info', message: 'told', fields: ids },
      { level: 'warn', message: 'more', fields: { ...ids, extra: 1 } },
    ])
  })

  it.each([
    ['value', (event: HookEvent) => (event.value as number[]).push(9)],
    ['parameters', (event: HookEvent) => (event.parameters as number[][])[0]?.push(9)],
  ])('a %s of its own: what it does to it changes no run', async (_, change) => {
    await using engine = testEngine()
    const step = task(
      { name: 'step', onRunning: noError(change), onCompletion: noError(change) },
      async (list: number[]) => {
        await sleep('1s')
        return [...list, 0]
      },
    )
    expect(await engine.settle(flow('changes', () => step([1]))())).toEqual([1, 0])
  })
})

/** Values are there only at the end. */
function noError(change: (event: HookEvent) => unknown): (event: HookEvent) => void {
  return (event) => {
    if (event.transition.to.name === 'Running' && event.parameters === undefined) return
    try {
      change(event)
    } catch {
      // There is no value yet.
    }
  }
}

describe('hooks come', () => {
  it('when the journal has what they are told of, and not before', async () => {
    const clock = virtualClock()
    const inner = memoryJournal()
    await using engine = testEngine({ clock, journal: delayed(inner, clock, { append: () => 1000 }) })
    const found: unknown[] = []
    const hooks = everyHook(async (_, { transition: { flowRunId, position, to } }) => {
      const [entry] = await inner.read(flowRunId, position, 1)
      found.push([to.name, entry !== undefined && 'to' in entry ? entry.to : undefined])
    })
    const step = task({ name: 'step', ...hooks }, () => sleep('1m'))
    const started = clock.now()
    const run = flow({ name: 'late', ...hooks }, () => step())()
    await quiet()
    expect(found).toEqual([])
    await engine.settle(run)
    expect(clock.now()).toBeGreaterThan(started + 60_000)
    await quiet()
    expect(found).toHaveLength(6)
    for (const [told, stored] of found as [string, string][]) expect(stored).toBe(told)
  })

  it('once, where the journal stores an append and answers with an error', async () => {
    const clock = virtualClock()
    const inner = memoryJournal()
    let answers = 0
    const journal: Journal = Object.assign(delayed(inner, clock), {
      append: async (request: Append) => {
        const answer = await inner.append(request)
        if (++answers % 2 === 1) throw new TypeError('the line was cut')
        return answer
      },
    })
    await using engine = testEngine({ clock, journal })
    errorsOf(engine)
    const { hooks, calls } = noted()
    expect(await engine.settle(flow({ name: 'cut', ...hooks }, () => 1)())).toBe(1)
    await quiet()
    expect(calls).toEqual(['onPending Pending', 'onRunning Running', 'onCompletion Completed'])
  })

  it('one after the other for one run, each when the one before has settled, while the run goes on', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const calls: string[] = []
    const run = flow(
      {
        name: 'slow-hook',
        onPending: () => void calls.push('pending'),
        onRunning: [
          async () => {
            calls.push('first begins')
            await gate.promise
            calls.push('first ends')
          },
          () => void calls.push('second'),
        ],
        onCompletion: () => void calls.push('completed'),
      },
      () => 'value',
    )()
    expect(await engine.settle(run)).toBe('value')
    await quiet()
    expect(run.state.name).toBe('Completed')
    expect(calls).toEqual(['pending', 'first begins'])
    gate.resolve()
    await quiet()
    expect(calls).toEqual(['pending', 'first begins', 'first ends', 'second', 'completed'])
  })

  it('side by side for different runs', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const calls: string[] = []
    const slow = task(
      { name: 'slow', onRunning: () => gate.promise, onCompletion: () => calls.push('slow') },
      () => 1,
    )
    const quick = task({ name: 'quick', onCompletion: () => calls.push('quick') }, () => 1)
    const hooks = { onCompletion: () => calls.push('flow') }
    await engine.settle(flow({ name: 'beside', ...hooks }, async () => [await slow(), await quick()])())
    await quiet()
    expect(calls).toEqual(['quick', 'flow'])
    gate.resolve()
    await quiet()
    expect(calls).toEqual(['quick', 'flow', 'slow'])
  })

  it('in the order of the list that they are given in, sync or async', async () => {
    await using engine = testEngine()
    const calls: number[] = []
    const onCompletion = [
      () => calls.push(1),
      async () => {
        await later(engine.clock, 1000)
        calls.push(2)
      },
      () => calls.push(3),
      async () => calls.push(4),
    ]
    await engine.settle(flow({ name: 'listed', onCompletion }, () => 1)())
    onCompletion.length = 0
    await engine.settle(later(engine.clock, 2000))
    await quiet()
    expect(calls).toEqual([1, 2, 3, 4])
  })

  it('and a hook that never settles holds back those of its own run alone', async () => {
    await using engine = testEngine()
    const calls: string[] = []
    const onCompletion = () => calls.push('completed')
    const stuck = task(
      { name: 'stuck', onRunning: () => new Promise(() => undefined), onCompletion },
      () => 1,
    )
    const fine = task({ name: 'fine', onCompletion: () => calls.push('fine') }, () => 1)
    expect(await engine.settle(flow('both', () => [stuck(), fine()])())).toEqual([1, 1])
    await quiet()
    expect(calls).toEqual(['fine'])
    const started = engine.clock.now()
    await engine.close()
    expect(engine.clock.now() - started).toBe(1000)
  })
})

describe('a hook that fails', () => {
  it.each([
    ['throws', fails],
    ['rejects', async () => fails()],
    [
      'returns a thenable that throws',
      () => ({
        get then() {
          return fails()
        },
      }),
    ],
  ])('because it %s, is seen in engine.errors and in the log, and changes nothing', async (_, bad) => {
    await using engine = testEngine()
    const errors = errorsOf(engine)
    const calls: string[] = []
    const hooks = everyHook(bad)
    const run = flow(
      { name: 'suffers', ...hooks, onCompletion: [bad, () => calls.push('still called'), bad] },
      () => 'value',
    )()
    expect(await engine.settle(run)).toBe('value')
    await quiet()
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Completed'])
    expect(calls).toEqual(['still called'])
    const ids = { flowRunId: run.id, runId: run.id }
    expect(errors).toEqual(Array(4).fill({ error: expect.any(TypeError) as unknown, ...ids }))
    expect(engine.lines.map(({ level, message }) => [level, message])).toEqual(
      Array(4).fill(['error', 'a hook failed']),
    )
    expect(engine.lines[0]?.fields).toMatchObject({ ...ids, run: 'suffers', err: { message: 'no' } })
  })

  it('is logged once where nobody observes errors', async () => {
    await using engine = testEngine()
    const run = flow({ name: 'unseen', onCompletion: fails }, () => 1)()
    await engine.settle(run)
    await quiet()
    expect(engine.lines).toHaveLength(1)
    expect(engine.lines[0]).toMatchObject({
      level: 'error',
      fields: { run: 'unseen', runId: run.id, flowRunId: run.id, err: { message: 'no' } },
    })
  })

  it.each([[undefined], [null], ['text'], [0]])('with %j is seen, too', async (thrown) => {
    await using engine = testEngine()
    const errors = errorsOf(engine)
    const onCompletion = () => {
      throw thrown
    }
    await engine.settle(flow({ name: 'odd', onCompletion }, () => 1)())
    await quiet()
    expect(errors).toEqual([expect.objectContaining({ error: thrown })])
  })

  it('with the error of its run does not pass for that run', async () => {
    await using engine = testEngine({ strictValues: false })
    const onFailure = ({ error }: HookEvent) => {
      throw error
    }
    const run = flow({ name: 'rethrows', onFailure }, fails)()
    await engine.settle(run.wait())
    await quiet()
    expect(engine.lines).toHaveLength(1)
    expect(engine.lines[0]?.message).not.toMatch(/nobody looked/)
  })

  it('is not an unobserved failure of anything, nor tried again', async () => {
    await using engine = testEngine()
    errorsOf(engine)
    let calls = 0
    const onCompletion = () => {
      calls++
      return fails()
    }
    const step = task({ name: 'step', retries: 3, onCompletion }, () => 1)
    const run = flow({ name: 'above', retries: 3 }, () => step())()
    expect(await engine.settle(run)).toBe(1)
    await quiet()
    expect([calls, run.state.name]).toEqual([1, 'Completed'])
  })

  it('of a logger and an observer that throw, too, ends nothing', async () => {
    const throwing = { debug: fails, info: fails, warn: fails, error: fails }
    await using engine = testEngine({ logger: throwing })
    engine.errors.subscribe(fails)
    const calls: string[] = []
    const onCompletion = [({ logger }: HookEvent) => logger.info('x'), fails, () => calls.push('called')]
    expect(await engine.settle(flow({ name: 'hostile', onCompletion }, () => 1)())).toBe(1)
    await quiet()
    expect(calls).toEqual(['called'])
  })
})

describe('hooks given by `.with`', () => {
  it('take the place of those of their kind, and leave the others', async () => {
    await using engine = testEngine()
    const calls: string[] = []
    const note = (text: string) => () => calls.push(text)
    const step = task(
      { name: 'step', onRunning: note('running'), onCompletion: [note('one'), note('two')] },
      () => 1,
    )
    const run = flow('with', async () => {
      await step.with({ onCompletion: note('other') })()
      await step.with({ onCompletion: [] })()
      await step()
    })
    await engine.settle(run())
    await quiet()
    expect(calls).toEqual(['running', 'other', 'running', 'running', 'one', 'two'])
  })

  it('also of a flow, and of a run that was there when they were given again', async () => {
    await using engine = testEngine()
    const calls: string[] = []
    const plain = flow('plain', () => sleep('1s').then(() => 1))
    const first = plain.with({ id: 'one', onCompletion: () => calls.push('first') })()
    const second = plain.with({ id: 'one', onCompletion: () => calls.push('second') })()
    expect(await engine.settle(Promise.all([first, second]))).toEqual([1, 1])
    await quiet()
    expect(calls).toEqual(['first'])
  })

  it('of one call do not reach the runs below', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const inner = task('inner', () => 1)
    const outer = task('outer', () => inner())
    await engine.settle(flow('nested', () => outer.with(hooks)())())
    await quiet()
    expect(calls).toEqual(['onPending Pending', 'onRunning Running', 'onCompletion Completed'])
  })
})

describe('misuse of hooks is refused where they are given', () => {
  it.each([
    ['onCompletion', 'log'],
    ['onFailure', [() => 1, 'log']],
    ['onRunning', null],
    ['onPending', {}],
    ['onPaused', true],
    ['onCancelling', 7],
    ['onCrashed', [[]]],
  ])('%s: %j', (name, hook) => {
    const options = { name: 'misused', [name]: hook }
    const message = new RegExp(`\`${name}\`.*a function, or a list of functions`)
    expect(() => task(options, () => 1)).toThrow(code('INVALID_OPTION', message))
    expect(() => flow(options, () => 1)).toThrow(code('INVALID_OPTION', message))
    const plain = task('plain', () => 1)
    expect(() => plain.with({ [name]: hook } as object)).toThrow(code('INVALID_OPTION', message))
  })

  it.each(['onCompleted', 'onCancel', 'onFailed', 'onError', 'onSuspended'])(
    '%s, which there is not',
    (name) => {
      expect(() => task({ name: 'misused', [name]: () => 1 }, () => 1)).toThrow(
        code('INVALID_OPTION', /onCompletion/),
      )
    },
  )

  it('undefined is none', async () => {
    await using engine = testEngine()
    const step = task({ name: 'step', cache: inputs(), ...({ onCompletion: undefined } as object) }, () => 1)
    expect(await engine.settle(step())).toBe(1)
  })
})
