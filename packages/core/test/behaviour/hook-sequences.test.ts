import {
  cancelled,
  failed,
  flow,
  inputs,
  retryAfter,
  sleep,
  task,
  waitAll,
  type FlowOptions,
  type TaskOptions,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { Lives, rest } from '../replay/lives.ts'
import { losingRunner, noted } from './hooks-support.ts'
import { quiet, testEngine } from './support.ts'

const fails = (): never => {
  throw new Error('no')
}
/** Fails as often as it is told, then completes. */
function flaky(times: number): () => string {
  let calls = 0
  return () => (++calls > times ? 'done' : fails())
}

describe('the hooks of a task run', () => {
  const cases: [string, Omit<TaskOptions, 'parameters'>, () => unknown, string[]][] = [
    ['completes', {}, () => 1, ['onPending Pending', 'onRunning Running', 'onCompletion Completed']],
    [
      'completes after a retry at once',
      { retries: 2 },
      flaky(2),
      [
        'onPending Pending',
        'onRunning Running',
        'onRunning Retrying',
        'onRunning Retrying',
        'onCompletion Completed',
      ],
    ],
    [
      'completes after a retry with delay',
      { retries: 2, retryDelay: '1m' },
      flaky(1),
      [
        'onPending Pending',
        'onRunning Running',
        'onScheduled AwaitingRetry',
        'onRunning Retrying',
        'onCompletion Completed',
      ],
    ],
    [
      'asks for its retry',
      { retries: 1 },
      () => {
        throw retryAfter('1s')
      },
      [
        'onPending Pending',
        'onRunning Running',
        'onScheduled AwaitingRetry',
        'onRunning Retrying',
        'onFailure Failed',
      ],
    ],
    [
      'fails after its last retry, of which onFailure is told once',
      { retries: 2, retryDelay: ['1s', '2s'] },
      fails,
      [
        'onPending Pending',
        'onRunning Running',
        'onScheduled AwaitingRetry',
        'onRunning Retrying',
        'onScheduled AwaitingRetry',
        'onRunning Retrying',
        'onFailure Failed',
      ],
    ],
    ['fails', {}, fails, ['onPending Pending', 'onRunning Running', 'onFailure Failed']],
    [
      'returns failed',
      {},
      () => failed(new Error('no')),
      ['onPending Pending', 'onRunning Running', 'onFailure Failed'],
    ],
    [
      'is not to be tried again',
      { retries: 5, retryOn: () => false },
      fails,
      ['onPending Pending', 'onRunning Running', 'onFailure Failed'],
    ],
    [
      'times out, and is tried again',
      { retries: 1, timeout: '1s' },
      () => sleep('1h'),
      ['onPending Pending', 'onRunning Running', 'onRunning Retrying', 'onFailure TimedOut'],
    ],
    [
      'has a run that failed unseen',
      {},
      () => void task('unseen', fails)(),
      ['onPending Pending', 'onRunning Running', 'onFailure UnobservedFailure'],
    ],
    [
      'returns cancelled',
      {},
      () => cancelled('no need'),
      ['onPending Pending', 'onRunning Running', 'onCancelling Cancelling', 'onCancellation Cancelled'],
    ],
  ]

  it.each(cases)('that %s', async (_, options, body, expected) => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const hooked = task({ name: 'hooked', ...options, ...hooks }, body)
    await engine.settle(flow('calls', async () => (await hooked().wait()).name)())
    await quiet()
    expect(calls).toEqual(expected)
  })

  it('that is cancelled before its body begins', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const hooked = task({ name: 'hooked', ...hooks }, (_n: unknown) => 1)
    const slow = task('slow', () => sleep('1h'))
    const run = flow('cancels', async () => {
      const pending = hooked(slow())
      await sleep(1)
      await pending.cancel()
      return cancelled('enough')
    })()
    await quiet()
    engine.clock.advance(1)
    await quiet()
    await engine.settle(run.cancel())
    await quiet()
    expect(calls).toEqual(['onPending Pending', 'onCancellation Cancelled'])
  })

  it('that is cancelled while its body runs, and while it waits to be tried again', async () => {
    await using engine = testEngine()
    const running = noted()
    const waiting = noted()
    const runs = task({ name: 'runs', ...running.hooks }, () => sleep('1h'))
    const waits = task({ name: 'waits', retries: 1, retryDelay: '1h', ...waiting.hooks }, fails)
    const run = flow('cancels', async () => {
      const futures = [runs(), waits()]
      await sleep(1)
      for (const future of futures) await future.cancel()
    })()
    await engine.settle(run)
    await quiet()
    expect(running.calls).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onCancelling Cancelling',
      'onCancellation Cancelled',
    ])
    expect(waiting.calls).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onScheduled AwaitingRetry',
      'onCancellation Cancelled',
    ])
  })

  it('that is Cached, and of the one whose result it takes', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const hooked = task({ name: 'hooked', cache: inputs(), ...hooks }, () => 1)
    await engine.settle(flow('caches', async () => [await hooked(), await hooked()])())
    await quiet()
    expect(calls).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onCompletion Completed',
      'onPending Pending',
      'onCompletion Cached',
    ])
  })

  it('whose upstream failed, and whose parameters are invalid', async () => {
    await using engine = testEngine()
    const upstream = noted()
    const invalid = noted()
    const downstream = task({ name: 'downstream', retries: 3, ...upstream.hooks }, (_n: unknown) => 1)
    const strict = task({ name: 'strict', parameters: z.tuple([z.number()]), ...invalid.hooks }, (n) => n)
    const run = flow('refuses', async () => {
      const futures = [downstream(task('bad', fails)()), strict('x' as unknown as number)]
      await waitAll(futures)
    })()
    await engine.settle(run)
    await quiet()
    expect(upstream.calls).toEqual(['onPending Pending', 'onFailure UpstreamFailed'])
    expect(invalid.calls).toEqual(['onPending Pending', 'onFailure Failed'])
  })

  it('that waits for a slot, and that waits too long', async () => {
    await using engine = testEngine({ limits: [{ tag: 'one', concurrency: 1 }] })
    const patient = noted()
    const impatient = noted()
    const options = { tags: ['one'] }
    const holds = task({ name: 'holds', ...options }, () => sleep('1m'))
    const waits = task({ name: 'waits', ...options, ...patient.hooks }, () => 1)
    const gives = task({ name: 'gives', ...options, waitTimeout: '1s', ...impatient.hooks }, () => 1)
    await engine.settle(flow('slots', () => waitAll([holds(), waits(), gives()]).then(() => 'done'))())
    await quiet()
    expect(patient.calls).toEqual([
      'onPending Pending',
      'onPending AwaitingConcurrencySlot',
      'onRunning Running',
      'onCompletion Completed',
    ])
    expect(impatient.calls).toEqual([
      'onPending Pending',
      'onPending AwaitingConcurrencySlot',
      'onFailure TimedOut',
    ])
  })

  it('whose body brings its host down, for good or to be tried again', async () => {
    await using engine = testEngine()
    const good = noted()
    const again = noted()
    const crashes = task({ name: 'crashes', retries: 3, ...good.hooks }, () => 1)
    const returns = task({ name: 'returns', retries: 1, retryOnCrash: true, ...again.hooks }, () => 1)
    const crash = { crashed: true }
    await engine.settle(
      flow({ name: 'crash', taskRunner: losingRunner(crash) }, async () => (await crashes().wait()).name)(),
    )
    await engine.settle(flow({ name: 'again', taskRunner: losingRunner(crash) }, () => returns())())
    await quiet()
    expect(good.calls).toEqual(['onPending Pending', 'onRunning Running', 'onCrashed Crashed'])
    expect(again.calls).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onRunning Retrying',
      'onCompletion Completed',
    ])
  })

  it('whose host is lost', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const hooked = task({ name: 'hooked', ...hooks }, () => 1)
    const taskRunner = losingRunner({ crashed: false })
    expect(await engine.settle(flow({ name: 'lost', taskRunner }, () => hooked())())).toBe(1)
    await quiet()
    expect(calls).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onPending Recovering',
      'onRunning Running',
      'onCompletion Completed',
    ])
  })

  it('outside any flow', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    await engine.settle(task({ name: 'alone', ...hooks }, () => 1)())
    await quiet()
    expect(calls).toEqual(['onPending Pending', 'onRunning Running', 'onCompletion Completed'])
  })
})

describe('the hooks of a flow run', () => {
  const cases: [string, Omit<FlowOptions, 'parameters'>, () => unknown, string[]][] = [
    ['completes', {}, () => 1, ['onPending Pending', 'onRunning Running', 'onCompletion Completed']],
    [
      'fails after its retries',
      { retries: 1 },
      fails,
      ['onPending Pending', 'onRunning Running', 'onRunning Retrying', 'onFailure Failed'],
    ],
    [
      'completes after a retry with delay',
      { retries: 1, retryDelay: '1m' },
      flaky(1),
      [
        'onPending Pending',
        'onRunning Running',
        'onScheduled AwaitingRetry',
        'onRunning Retrying',
        'onCompletion Completed',
      ],
    ],
    [
      'times out',
      { timeout: '1s' },
      () => sleep('1h'),
      ['onPending Pending', 'onRunning Running', 'onFailure TimedOut'],
    ],
    [
      'has a run that failed unseen',
      {},
      () => void task('unseen', fails)(),
      ['onPending Pending', 'onRunning Running', 'onFailure UnobservedFailure'],
    ],
    [
      'returns cancelled',
      {},
      () => cancelled(),
      ['onPending Pending', 'onRunning Running', 'onCancelling Cancelling', 'onCancellation Cancelled'],
    ],
  ]

  it.each(cases)('that %s', async (_, options, body, expected) => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    await engine.settle(flow({ name: 'hooked', ...options, ...hooks }, body)().wait())
    await quiet()
    expect(calls).toEqual(expected)
  })

  it('that is paused and goes on, and that is cancelled while it is paused', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const hooked = flow({ name: 'hooked', ...hooks }, () => sleep('1m'))
    const first = hooked()
    await quiet()
    await first.pause()
    await first.resume()
    await engine.settle(first)
    await quiet()
    expect(calls.splice(0)).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onPaused Paused',
      'onRunning Running',
      'onCompletion Completed',
    ])
    const second = hooked()
    await quiet()
    await second.pause()
    await engine.settle(second.cancel())
    await quiet()
    expect(calls.slice(2)).toEqual(['onPaused Paused', 'onCancelling Cancelling', 'onCancellation Cancelled'])
  })

  it('that is cancelled from outside, and those of a subflow in it', async () => {
    await using engine = testEngine()
    const above = noted()
    const below = noted()
    const inner = flow({ name: 'inner', ...below.hooks }, () => sleep('1h'))
    const run = flow({ name: 'outer', ...above.hooks }, () => inner())()
    await quiet()
    await engine.settle(run.cancel())
    await quiet()
    const expected = [
      'onPending Pending',
      'onRunning Running',
      'onCancelling Cancelling',
      'onCancellation Cancelled',
    ]
    expect([above.calls, below.calls]).toEqual([expected, expected])
  })

  it('whose parameters are invalid, and that waits for a slot', async () => {
    await using engine = testEngine({ limits: [{ flow: 'one', concurrency: 1 }] })
    const invalid = noted()
    const waits = noted()
    const strict = flow({ name: 'strict', parameters: z.tuple([z.number()]), ...invalid.hooks }, (n) => n)
    await engine.settle(strict('x' as unknown as number).wait())
    const one = flow({ name: 'one' }, () => sleep('1m'))
    const [first, second] = [one(), one.with(waits.hooks)()]
    await engine.settle(Promise.all([first, second]))
    await quiet()
    expect(invalid.calls).toEqual(['onPending Pending', 'onFailure Failed'])
    expect(waits.calls).toEqual([
      'onPending Pending',
      'onPending AwaitingConcurrencySlot',
      'onRunning Running',
      'onCompletion Completed',
    ])
  })

  it('that is retried: those of the runs that had completed are not called again', async () => {
    await using engine = testEngine()
    const { hooks, calls } = noted()
    const step = task({ name: 'step', ...hooks }, () => 1)
    const again = flaky(1)
    const run = flow({ name: 'tries', retries: 1 }, async () => {
      await step()
      return again()
    })()
    expect(await engine.settle(run)).toBe('done')
    await quiet()
    expect(calls).toEqual(['onPending Pending', 'onRunning Running', 'onCompletion Completed'])
  })
})

describe('after the death of a process', () => {
  it('hooks are called for what happens from then on, and not for what the journal remembers', async () => {
    const lives = new Lives()
    const above = noted()
    const below = noted()
    const quick = task({ name: 'quick', ...below.hooks }, (n: number) => n)
    const hooked = flow({ name: 'hooked-and-dies', ...above.hooks }, async () => {
      await quick(1)
      await sleep('1h')
      return await quick(2)
    })
    await using first = lives.start()
    const cut = first.run(hooked)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    expect(above.calls.splice(0)).toEqual(['onPending Pending', 'onRunning Running'])
    expect(below.calls.splice(0)).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onCompletion Completed',
    ])
    await using second = lives.start()
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toBe(2)
    await rest()
    expect(above.calls).toEqual(['onPending Recovering', 'onRunning Running', 'onCompletion Completed'])
    expect(below.calls).toEqual(['onPending Pending', 'onRunning Running', 'onCompletion Completed'])
  })

  it('each transition has its hook called at most once, wherever the process dies', async () => {
    const { hooks, calls } = noted()
    const step = task({ name: 'step' }, (n: number) => n)
    const dies = flow({ name: 'dies-anywhere', ...hooks }, async () => (await step(1)) + (await step(2)))
    // The last of the ten entries ends the run.
    for (let at = 2; at < 10; at++) {
      const lives = new Lives()
      await lives.runUntilDeath(at, dies)
      const before = calls.splice(0)
      await using engine = lives.start()
      await lives.recoverToEnd(engine)
      await rest()
      expect([...new Set(before)]).toEqual(before)
      expect(before.filter((call) => call === 'onCompletion Completed')).toEqual([])
      expect(calls.splice(0).at(-1)).toBe('onCompletion Completed')
    }
  })

  it('of a run that another engine took over, each is called once, where the journal has its transition', async () => {
    const lives = new Lives()
    const { hooks, calls } = noted()
    const taken = flow({ name: 'taken-over', ...hooks }, async () => {
      await sleep('1m')
      return 'done'
    })
    await using first = lives.start()
    const run = first.run(taken)
    await rest()
    await using second = lives.start()
    const recovered = await lives.recover(second)
    expect(await lives.clock.run(Promise.all([run.result(), recovered.result()]))).toEqual(['done', 'done'])
    await rest()
    expect(calls).toEqual([
      'onPending Pending',
      'onRunning Running',
      'onPending Recovering',
      'onRunning Running',
      'onCompletion Completed',
    ])
  })

  it('a run that is lost for good is Crashed', async () => {
    const lives = new Lives()
    const { hooks, calls } = noted()
    const once = flow({ name: 'only-once', onHostLost: 'crash', ...hooks }, () => sleep('1h'))
    await using first = lives.start()
    const cut = first.run(once)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    calls.splice(0)
    await using second = lives.start()
    const { state } = await lives.recoverToEnd(second)
    expect(state.name).toBe('Crashed')
    await rest()
    expect(calls).toEqual(['onCrashed Crashed'])
  })
})
