import { flow, memoryJournal, receive, sleep, task, waitForInput, currentFlowRun, now } from '@troupe/core'
import type { TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { schemaOf } from './schemas.ts'
import { code, errorOf, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

const suspendAfter = '1m'

/** Moves time, and lets everything come to rest. */
async function pass(engine: TestEngine, ms: number): Promise<void> {
  await engine.settle(new Promise<void>((resolve) => void engine.clock.at(engine.clock.now() + ms, resolve)))
  await quiet()
}

describe('a flow run that waits long', () => {
  it('is suspended, and its body replayed when its time comes; what it did is not done again', async () => {
    await using engine = testEngine({ suspendAfter })
    const done: string[] = []
    const step = task('step', (name: string) => void done.push(name))
    const bodies: AbortSignal[] = []
    const started = engine.clock.now()
    const run = flow('month', async () => {
      bodies.push(currentFlowRun().signal)
      await step('before')
      await sleep('30d')
      await step('after')
      return now() - started
    })()
    await pass(engine, 120_000)
    expect(run.state).toMatchObject({ type: 'PAUSED', name: 'Suspended' })
    expect(bodies.map(({ aborted }) => aborted)).toEqual([true])
    expect(bodies[0]?.reason).toEqual(code('RUN_SUSPENDED'))
    expect(await engine.settle(run)).toBe(30 * 86_400_000)
    expect(done).toEqual(['before', 'after'])
    expect(bodies).toHaveLength(2)
    expect((await statesOf(engine, run)).join(' → ')).toBe(
      'Pending → Running → Paused → Suspended → Recovering → Running → Completed',
    )
  })

  it('goes on at a signal that it waits for, and stays for others', async () => {
    await using engine = testEngine({ suspendAfter })
    const run = flow('hears', async () => [await receive('a'), await receive('b')])()
    await pass(engine, 120_000)
    await run.signal('b', 2)
    await quiet()
    expect(run.state.name).toBe('Suspended')
    await run.signal('a', 1)
    expect(await engine.settle(run)).toEqual([1, 2])
  })

  it('goes on with an input that the schema of its body takes; a wrong one is refused', async () => {
    await using engine = testEngine({ suspendAfter })
    const even = schemaOf<number>((value) =>
      Number(value) % 2 === 0 ? { value: Number(value) } : { issues: [{ message: 'is odd' }] },
    )
    const run = flow('asks', () => waitForInput(even))()
    await pass(engine, 120_000)
    expect(run.state.name).toBe('Suspended')
    expect(await errorOf(engine.settle(run.resume(3)))).toEqual(code('INVALID_INPUT', /is odd/))
    expect(run.state.name).toBe('Paused')
    await pass(engine, 120_000)
    expect(run.state.name).toBe('Suspended')
    await engine.settle(run.resume(4))
    expect(await engine.settle(run)).toBe(4)
  })

  it('is suspended also where it waits for one more input and has not been handed the first', async () => {
    await using engine = testEngine({ suspendAfter })
    const run = flow('asks twice', () => Promise.all([waitForInput(), waitForInput()]))()
    await quiet()
    await run.resume(1)
    await pass(engine, 120_000)
    expect(run.state.name).toBe('Suspended')
    await engine.settle(run.resume(2))
    expect(await engine.settle(run)).toEqual([1, 2])
  })

  it('times out while it is suspended: by the time of its wait for an input, and by its own limit', async () => {
    await using engine = testEngine({ suspendAfter })
    const input = flow('input', () => waitForInput(undefined, { timeout: '1h' }))()
    const limit = flow({ name: 'limit', timeout: '1h' }, () => sleep('1d'))()
    const begun = engine.clock.now()
    expect(await outcomeOf(engine, input)).toMatchObject({ state: 'TimedOut' })
    expect(await outcomeOf(engine, limit)).toMatchObject({ state: 'TimedOut' })
    expect(engine.clock.now() - begun).toBe(3_600_000)
    expect(await statesOf(engine, limit)).toContain('Suspended')
  })

  it('is not suspended while a run that it submitted is live, or its wait ends soon', async () => {
    await using engine = testEngine({ suspendAfter })
    const long = task('long', () => sleep('1d'))
    const busy = flow('busy', async () => {
      const run = long()
      await sleep('1h')
      return run
    })()
    const soon = flow('soon', async () => {
      for (let i = 0; i < 20; i++) await sleep('30s')
    })()
    await engine.settle(Promise.all([busy, soon]))
    expect(await statesOf(engine, busy)).toEqual(['Pending', 'Running', 'Completed'])
    expect(await statesOf(engine, soon)).toEqual(['Pending', 'Running', 'Completed'])
  })

  it('gives back the slots of its limits meanwhile, and waits for them again', async () => {
    await using engine = testEngine({ suspendAfter, limits: [{ flow: 'one at a time', concurrency: 1 }] })
    const order: string[] = []
    const one = flow('one at a time', async (name: string, wait: '1h' | '1s') => {
      order.push(`${name} begins`)
      await sleep(wait)
      order.push(`${name} ends`)
    })
    const first = one('long', '1h')
    await quiet()
    const second = one('short', '1s')
    await engine.settle(Promise.all([first, second]))
    expect(order).toEqual(['long begins', 'short begins', 'short ends', 'long begins', 'long ends'])
  })

  it('that is paused goes on only when it is resumed, also where its time has come', async () => {
    await using engine = testEngine({ suspendAfter })
    const run = flow('paused', () => sleep('1h'))()
    await pass(engine, 120_000)
    expect(run.state.name).toBe('Suspended')
    expect((await engine.settle(run.pause())).name).toBe('Paused')
    await pass(engine, 7_200_000)
    expect(run.state.type).toBe('PAUSED')
    await engine.settle(run.resume())
    await engine.settle(run)
    expect(run.state.name).toBe('Completed')
  })

  it.each([
    ['live', 0],
    ['let go', 120_000],
  ])('for an input, and is paused meanwhile with its body %s, goes on when it is resumed', async (_, ms) => {
    await using engine = testEngine({ suspendAfter })
    const run = flow(`held for an input ${ms}`, () => waitForInput())()
    await pass(engine, ms)
    expect(run.state.name).toBe(ms === 0 ? 'Paused' : 'Suspended')
    expect((await engine.settle(run.pause())).type).toBe('PAUSED')
    expect((await engine.settle(run.resume('given'))).name).toBe('Paused')
    await pass(engine, 1_000)
    expect(run.state.name).toBe('Paused')
    await engine.settle(run.resume())
    expect(await engine.settle(run)).toBe('given')
  })

  it('can be cancelled', async () => {
    await using engine = testEngine({ suspendAfter })
    const run = flow('stops', () => sleep('1d'))()
    await pass(engine, 120_000)
    expect((await engine.settle(run.cancel())).name).toBe('Cancelled')
    expect((await statesOf(engine, run)).slice(-2)).toEqual(['Suspended', 'Cancelled'])
  })

  it('is a subflow, too: its caller goes on when it has ended', async () => {
    await using engine = testEngine({ suspendAfter })
    const child = flow('child', async () => {
      await sleep('1d')
      return receive('x')
    })
    let inner: { signal(name: string, payload: unknown): Promise<void> } | undefined
    const run = flow('parent', async () => {
      const part = child()
      inner = part
      return `got ${String(await part)}`
    })()
    await pass(engine, 86_400_000 * 2)
    await inner?.signal('x', 5)
    expect(await engine.settle(run)).toBe('got 5')
  })

  it('is never suspended where the engine is not told to', async () => {
    await using engine = testEngine()
    const run = flow('memory', () => sleep('30d'))()
    await engine.settle(run)
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Completed'])
  })

  it('does not hold up the close of its engine', async () => {
    const engine = testEngine({ suspendAfter })
    const run = flow('waits', () => receive('never'))()
    await pass(engine, 120_000)
    const before = engine.clock.now()
    await engine.close({ grace: '1h' })
    expect(engine.clock.now() - before).toBeLessThan(3_600_000)
    expect(await errorOf(run)).toEqual(code('ENGINE_CLOSED'))
  })
})

describe('a suspended flow run whose engine is gone', () => {
  it('goes on in the next engine at its moment, at its signal, or with its input', async () => {
    const journal = memoryJournal()
    const first = testEngine({ journal, suspendAfter })
    const time = flow('by time', async () => {
      await sleep('1d')
      return 'time'
    })
    const signal = flow('by signal', () => receive<string>('go'))
    const input = flow('by input', () => waitForInput())
    const begun = first.clock.now()
    time()
    signal()
    input()
    await pass(first, 120_000)
    await first.close()
    await using engine = testEngine({ journal, suspendAfter })
    const runs = await engine.recover()
    expect(runs.map(({ state }) => state.name)).toEqual(['Suspended', 'Suspended', 'Suspended'])
    const [byTime, bySignal, byInput] = runs
    await bySignal?.signal('go', 'signal')
    await engine.settle(Promise.resolve(byInput?.resume('input')))
    expect(await engine.settle(Promise.all(runs.map((run) => run.result())))).toEqual([
      'time',
      'signal',
      'input',
    ])
    expect(engine.clock.now() - begun).toBe(86_400_000)
    expect(byTime?.state.name).toBe('Completed')
  })

  it('hears what was sent to it while no engine had it', async () => {
    const journal = memoryJournal()
    const first = testEngine({ journal, suspendAfter })
    const hears = flow('hears later', () => receive<string>('go'))
    const { id } = hears()
    await pass(first, 120_000)
    await first.close()
    await using other = testEngine({ journal })
    const elsewhere = await other.get(id)
    await (elsewhere as ReturnType<typeof hears>).signal('go', 'sent before')
    await using engine = testEngine({ journal, suspendAfter })
    const [run] = await engine.recover()
    expect(engine.lines).toEqual([])
    expect(await engine.settle(Promise.resolve(run?.result()))).toBe('sent before')
  })
})
