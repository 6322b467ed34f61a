import {
  flow,
  memoryJournal,
  receive,
  type FlowRunHandle,
  sleep,
  sleepUntil,
  task,
  waitForInput,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, outcomeOf, quiet, statesOf, testEngine } from './support.ts'
import { schemaOf } from './schemas.ts'

const double = task('double', (n: number) => n * 2)

describe('a signal', () => {
  it('is received by the body that waits for it, with what was sent', async () => {
    await using engine = testEngine()
    const run = flow('waits', async () => receive<{ amount: bigint }>('paid'))()
    await quiet()
    expect(run.state.name).toBe('Running')
    await run.signal('paid', { amount: 3n })
    expect(await engine.settle(run)).toEqual({ amount: 3n })
  })

  it('goes to the wait that began first, also where that has lost a race: whoever keeps its promise gets it', async () => {
    await using engine = testEngine()
    const later = flow('later', async () => {
      const order = receive<string>('order')
      const first = await Promise.race([order, sleep('1h').then(() => 'nothing yet')])
      return [first, await order]
    })()
    const lost = flow('lost', async () => {
      await Promise.race([receive('order'), sleep('1h')])
      return receive<string>('order')
    })()
    await engine.settle(
      new Promise<void>((resolve) => engine.clock.at(engine.clock.now() + 7_200_000, resolve)),
    )
    for (const run of [later, lost]) await run.signal('order', 'one')
    await lost.signal('order', 'two')
    expect(await engine.settle(later)).toEqual(['nothing yet', 'one'])
    expect(await engine.settle(lost)).toBe('two')
  })

  it('is kept until it is asked for, and given once, in the order in which signals of its name came', async () => {
    await using engine = testEngine()
    const run = flow('late', async () => {
      await sleep('1h')
      const first = await receive<number>('n')
      const other = await receive<string>('other')
      const second = await receive<number>('n')
      return [first, other, second]
    })()
    await quiet()
    for (const n of [1, 2, 3]) await run.signal('n', n)
    await run.signal('other', 'x')
    expect(await engine.settle(run)).toEqual([1, 'x', 2])
  })

  it('goes to waits in the order in which they began', async () => {
    await using engine = testEngine()
    const run = flow('many', () => Promise.all([receive('a'), receive('a'), receive('b')]))()
    await quiet()
    await run.signal('a', 1)
    await run.signal('b', 2)
    await run.signal('a', 3)
    expect(await engine.settle(run)).toEqual([1, 3, 2])
  })

  it('that does not come in time is an error that the body may catch; the next wait still gets it', async () => {
    await using engine = testEngine()
    const run = flow('in time', async () => {
      const error = await errorOf(receive('go', { timeout: '5s' }))
      return [error, await receive('go')]
    })()
    await quiet()
    await engine.settle(engine.clock.run(sleepOn(engine.clock, 6_000)))
    await run.signal('go', 'now')
    expect(await engine.settle(run)).toEqual([code('WAIT_TIMEOUT', /received no signal "go" in time/), 'now'])
  })

  it('to a run that has ended is refused', async () => {
    await using engine = testEngine()
    const run = flow('short', () => 1)()
    await engine.settle(run)
    expect(await errorOf(run.signal('late'))).toEqual(code('RUN_ENDED', /takes no signal "late"/))
    const found = await engine.get(run.id)
    expect(await errorOf((found as typeof run).signal('late'))).toEqual(code('RUN_ENDED'))
  })

  it('that can not be encoded is refused, and nothing is sent', async () => {
    await using engine = testEngine()
    const run = flow('strict', () => receive('f'))()
    await quiet()
    expect(await errorOf(run.signal('f', { deep: () => 1 }))).toEqual(code('NOT_ENCODABLE', /payload\.deep/))
    await run.signal('f', 'text')
    expect(await engine.settle(run)).toBe('text')
  })

  it('needs a name, and a flow run', async () => {
    await using engine = testEngine()
    const run = flow('named', async () => {
      const part = double(1)
      return [await errorOf((part as unknown as FlowRunHandle<unknown>).signal('x')), await part]
    })()
    expect(await errorOf(run.signal(''))).toEqual(code('INVALID_OPTION'))
    expect(await engine.settle(run)).toEqual([code('INVALID_OPTION', /is a task run/), 2])
  })

  it('reaches a run that is paused when it is resumed', async () => {
    await using engine = testEngine()
    const run = flow('held', () => receive('go'))()
    await quiet()
    await run.pause()
    await run.signal('go', 7)
    await quiet()
    expect(run.state.name).toBe('Paused')
    await run.resume()
    expect(await engine.settle(run)).toBe(7)
  })

  it('is there again for the next try of a flow run', async () => {
    await using engine = testEngine()
    let tries = 0
    const run = flow({ name: 'again', retries: 1 }, async () => {
      const got = [await receive('a'), await receive('a')]
      if (++tries === 1) throw new Error('once more')
      return got
    })()
    await quiet()
    await run.signal('a', 1)
    await run.signal('a', 2)
    expect(await engine.settle(run)).toEqual([1, 2])
    expect(tries).toBe(2)
  })

  it('from the body of another run is sent once, however often that body is replayed', async () => {
    const journal = memoryJournal()
    const hears = flow('hears', async () => [
      await receive('n'),
      await receive('n', { timeout: '10s' }).catch(() => 'none'),
    ])
    const tells = flow('tells', async () => {
      const other = hears.with({ id: 'hearer' })()
      await other.signal('n', 1)
      await sleep('5s')
      return other
    })
    const first = testEngine({ journal })
    tells.with({ id: 'teller' })()
    await quiet()
    await first.close()
    await using engine = testEngine({ journal })
    const [run] = await engine.recover()
    expect(await engine.settle(run?.result() ?? Promise.reject(new Error('not recovered')))).toEqual([
      1,
      'none',
    ])
  })

  it('is waited for only in the body of a flow', async () => {
    await using engine = testEngine()
    const asks = task('asks', () => errorOf(Promise.resolve().then(() => receive('x'))))
    expect(await engine.settle(flow('f', () => asks())())).toEqual(
      code('NO_RUN_CONTEXT', /body of task asks/),
    )
    expect(() => receive('x')).toThrow(/outside the body of a run/)
    expect(
      await engine.settle(flow('g', () => errorOf(Promise.resolve().then(() => receive(''))))()),
    ).toEqual(code('INVALID_OPTION'))
  })
})

describe('an input', () => {
  const approval = schemaOf<{ ok: boolean }>((value) =>
    typeof (value as { ok?: unknown } | null)?.ok === 'boolean'
      ? { value: value as { ok: boolean } }
      : { issues: [{ message: 'expected a yes or a no', path: ['ok'] }] },
  )

  it('pauses the run until it is given, and a wrong one is refused', async () => {
    await using engine = testEngine()
    const run = flow('approves', async () => {
      const { ok } = await waitForInput(approval)
      return ok ? 'approved' : 'refused'
    })()
    await quiet()
    expect(run.state).toMatchObject({ name: 'Paused', message: 'waits for an input' })
    expect(await errorOf(run.resume({ ok: 'maybe' }))).toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/still waits for one: ok: expected a yes or a no/) as string,
      details: { issues: [{ message: 'expected a yes or a no', path: ['ok'] }] },
    })
    expect(await errorOf(run.resume())).toEqual(code('INVALID_INPUT', /run\.resume\(input\)/))
    expect(run.state.name).toBe('Paused')
    expect((await run.resume({ ok: true })).name).toBe('Running')
    expect(await engine.settle(run)).toBe('approved')
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Paused', 'Running', 'Completed'])
  })

  it('is what the schema makes of it, and without a schema whatever was given', async () => {
    await using engine = testEngine()
    const trimmed = schemaOf<string>(async (value) => ({ value: String(value).trim() }))
    const run = flow('trims', async () => [await waitForInput(trimmed), await waitForInput()])()
    await quiet()
    await run.resume('  x ')
    await quiet()
    await run.resume(undefined)
    expect(await engine.settle(run)).toEqual(['x', undefined])
  })

  it('is given in the order of asking, and the run goes on when all are there', async () => {
    await using engine = testEngine()
    const run = flow('asks twice', () => Promise.all([waitForInput(), waitForInput()]))()
    await quiet()
    await run.resume('a')
    expect(run.state.name).toBe('Paused')
    await run.resume('b')
    expect(await engine.settle(run)).toEqual(['a', 'b'])
  })

  it('that nobody waits for is refused, whatever the state of the run', async () => {
    await using engine = testEngine()
    const run = flow('plain', () => sleep('1m'))()
    await quiet()
    expect(await errorOf(run.resume(1))).toEqual(code('NO_INPUT_EXPECTED', /it is Running/))
    await run.pause()
    expect(await errorOf(run.resume(1))).toEqual(code('NO_INPUT_EXPECTED', /it is Paused/))
    await run.resume()
    await engine.settle(run)
    expect(await errorOf(run.resume(1))).toEqual(code('NO_INPUT_EXPECTED', /it is Completed/))
  })

  it('is given once where two give one at the same time', async () => {
    await using engine = testEngine()
    const slow = schemaOf<number>(async (value) => ({ value: value as number }))
    const run = flow('race', () => waitForInput(slow))()
    await quiet()
    const given = await Promise.allSettled([run.resume(1), run.resume(2)])
    expect(given.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(await engine.settle(run)).toBe(1)
  })

  it('that does not come in time ends the run TimedOut, after the runs that it submitted, and is not tried again', async () => {
    await using engine = testEngine()
    const long = task('long', () => sleep('1h'))
    const run = flow({ name: 'in time', retries: 3 }, async () => {
      void long().wait()
      await sleep(10)
      return waitForInput(undefined, { timeout: '1m' })
    })()
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'TimedOut',
      error: code('RUN_TIMED_OUT', /was given no input in time/),
    })
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Paused', 'TimedOut'])
  })

  it('is asked for after a pause from outside ends', async () => {
    await using engine = testEngine()
    const run = flow('both', async () => {
      await sleep(10)
      return waitForInput()
    })()
    await quiet()
    await run.pause()
    engine.clock.advance(1000)
    await quiet()
    expect((await run.resume()).name).toBe('Running')
    await quiet()
    expect(run.state.message).toBe('waits for an input')
    await run.resume('x')
    expect(await engine.settle(run)).toBe('x')
  })

  it('does not keep the run from being cancelled', async () => {
    await using engine = testEngine()
    const run = flow('stops', () => waitForInput())()
    await quiet()
    expect((await engine.settle(run.cancel('no need'))).name).toBe('Cancelled')
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Paused', 'Cancelling', 'Cancelled'])
  })

  it('must have a schema of a Standard Schema library', async () => {
    await using engine = testEngine()
    const run = flow('odd', () => errorOf(Promise.resolve().then(() => waitForInput({} as never))))()
    expect(await engine.settle(run)).toEqual(code('INVALID_OPTION', /Standard Schema/))
  })
})

describe('sleepUntil', () => {
  it('waits until a moment, and not at all for one that has passed', async () => {
    await using engine = testEngine()
    const until = engine.clock.now() + 90_000
    const run = flow('until', async () => {
      await sleepUntil(new Date(until))
      await sleepUntil(0)
    })()
    await engine.settle(run)
    expect(engine.clock.now()).toBe(until)
    expect(
      await engine.settle(flow('bad', () => errorOf(Promise.resolve().then(() => sleepUntil(Number.NaN))))()),
    ).toEqual(code('INVALID_OPTION'))
  })
})

function sleepOn(
  clock: { now(): number; at(time: number, fn: () => void): unknown },
  ms: number,
): Promise<void> {
  return new Promise((resolve) => void clock.at(clock.now() + ms, resolve))
}
