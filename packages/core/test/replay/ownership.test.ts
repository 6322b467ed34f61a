import { once } from 'node:events'
import { currentTaskRun, flow, memoryJournal, sleep, task, TroupeError, type Journal } from '@troupe/core'
import { createTestEngine, virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { histories, Lives, rest } from './lives.ts'

let gate: { promise: Promise<unknown>; open: (value: unknown) => void }
function closeGate(): void {
  let open: (value: unknown) => void = () => undefined
  const promise = new Promise<unknown>((resolve) => {
    open = resolve
  })
  gate = { promise, open }
}
const pass = task('pass', () => gate.promise)
const gated = flow('gated', async (name: string) => [name, await pass()])

describe('a flow run that another engine takes over', () => {
  it('is let go by the first, whose caller still gets what the second one makes of it', async () => {
    const lives = new Lives()
    closeGate()
    await using first = lives.start()
    await using second = lives.start()
    const signals: AbortSignal[] = []
    const signalled = task('signalled', async () => {
      const { signal } = currentTaskRun()
      const isFirst = signals.push(signal) === 1
      await gate.promise
      if (isFirst) await once(signal, 'abort')
      return 'value'
    })
    const beside = task('beside', () => gate.promise)
    const shared = flow('shared', async () => (await Promise.all([signalled(), beside()]))[0])
    const run = first.run(shared)
    await rest()
    const recovered = await lives.recover(second)
    await rest()
    // The first engine notices at its next append.
    gate.open(0)
    expect(await lives.clock.run(recovered.result())).toBe('value')
    expect(await lives.clock.run(run)).toBe('value')
    expect(run.state.name).toBe('Completed')
    expect(signals[0]?.aborted).toBe(true)
    expect(await histories(second, run.id)).toEqual({
      shared: 'Pending Running Recovering Running Completed',
      'signalled-1': 'Pending Running Recovering Running Completed',
      'beside-2': 'Pending Running Recovering Running Completed',
    })
  })

  it('is not lost where the last entries of the first come just before the claim of the second', async () => {
    const under = memoryJournal()
    const clock = virtualClock()
    const onTheirWay: (() => void)[] = []
    const withAppend = (append: Journal['append']): Journal => ({
      encodes: false,
      append,
      read: (id, from, limit) => under.read(id, from, limit),
      summary: (id) => under.summary(id),
      list: (query) => under.list(query),
      delete: (id) => under.delete(id),
      subscribe: (listener) => under.subscribe(listener),
      close: () => under.close(),
    })
    closeGate()
    const first = createTestEngine({
      clock,
      seed: 1,
      journal: withAppend((append) => {
        if (onTheirWay.length === 0 && append.expected < 4) return under.append(append)
        return new Promise((resolve) => onTheirWay.push(() => resolve(under.append(append))))
      }),
    })
    const run = first.run(gated, 'x')
    await rest()
    gate.open(1)
    await rest()
    expect(onTheirWay).toHaveLength(1)
    await clock.run(first.close())
    await using second = createTestEngine({
      clock,
      seed: 2,
      journal: withAppend((append) => {
        for (const arrive of onTheirWay.splice(0)) arrive()
        return under.append(append)
      }),
    })
    const [recovered] = await second.recover()
    expect(recovered?.id).toBe(run.id)
    expect(await clock.run(Promise.resolve(recovered?.result()))).toEqual(['x', 1])
    expect(recovered?.state.name).toBe('Completed')
  })

  it('has one id for one key, whichever engine it is started on', async () => {
    const lives = new Lives()
    closeGate()
    await using first = lives.start()
    await using second = lives.start()
    const started = first.run(gated.with({ idempotencyKey: 'order 7' }), 'x')
    const again = second.run(gated.with({ idempotencyKey: 'order 7' }), 'x')
    const other = second.run(gated.with({ idempotencyKey: 'order 7' }), 'y')
    expect(again.id).toBe(started.id)
    expect(other.id).toBe(started.id)
    await rest()
    gate.open(1)
    expect(await lives.clock.run(Promise.all([started, again]))).toEqual([
      ['x', 1],
      ['x', 1],
    ])
    const error = await lives.clock.run(other.result().catch((thrown: unknown) => thrown))
    expect(TroupeError.is(error, 'IDEMPOTENCY_CONFLICT')).toBe(true)
  })
})

describe('a run whose host is lost', () => {
  it('is CRASHED when that happened more often than allowed', async () => {
    const lives = new Lives()
    closeGate()
    const poison = flow({ name: 'poison', maxRecoveries: 1 }, async () => pass())
    const id = await lives.runUntilDeath(5, poison)
    const dying = lives.start()
    await lives.recover(dying)
    await rest()
    await dying.close()
    await using engine = lives.start()
    const { state } = await lives.recoverToEnd(engine)
    expect(state).toMatchObject({ type: 'CRASHED', name: 'Crashed' })
    expect(state.message).toMatch(/^Poisoned: /)
    expect(await histories(engine, id)).toEqual({
      poison: 'Pending Running Recovering Running Recovering Crashed',
      'pass-1': 'Pending Running Recovering Running Cancelling Cancelled',
    })
  })

  it('is CRASHED at once where it must not run twice', async () => {
    const lives = new Lives()
    closeGate()
    let starts = 0
    const once = task({ name: 'once', onHostLost: 'crash' }, async () => {
      starts++
      return gate.promise
    })
    const charges = flow('charges', async () => {
      try {
        return await Promise.all([once(), sleep('1s')])
      } catch (error) {
        return (error as TroupeError).code
      }
    })
    // Claim, root, Running, the task run, the timer, the task run Running, the timer fired: the body is on its way.
    await lives.runUntilDeath(7, charges)
    expect(starts).toBe(1)
    await using engine = lives.start()
    const { run } = await lives.recoverToEnd(engine)
    expect(await run.result()).toBe('RUN_CRASHED')
    expect(starts).toBe(1)
  })

  it('begins only when the journal says so where it must not run twice', async () => {
    const lives = new Lives()
    closeGate()
    let starts = 0
    const once = task({ name: 'never-before', onHostLost: 'crash' }, () => ++starts)
    const charges = flow('charges-late', async () => once())
    // The process dies when the task run is Pending; Running was on its way.
    await lives.runUntilDeath(4, charges)
    expect(starts).toBe(0)
    await using engine = lives.start()
    const { run } = await lives.recoverToEnd(engine)
    expect(await run.result()).toBe(1)
    expect(starts).toBe(1)
  })

  it('ends its cancellation where it was being cancelled', async () => {
    const lives = new Lives()
    closeGate()
    await using first = lives.start()
    const run = first.run(gated, 'x')
    await rest()
    void run.cancel('stop')
    await rest()
    expect(run.state.name).toBe('Cancelling')
    await using second = lives.start()
    const { state } = await lives.recoverToEnd(second)
    expect(state.name).toBe('Cancelled')
    expect(await histories(second, run.id)).toEqual({
      gated: 'Pending Running Cancelling Cancelled',
      'pass-1': 'Pending Running Cancelling Cancelled',
    })
  })
})

describe('a journal that does not take an append', () => {
  it('stalls the run visibly, and is asked again until it does', async () => {
    const clock = virtualClock()
    const under = memoryJournal()
    let refusing = 0
    const flaky: Journal = {
      encodes: false,
      append: (request) => {
        if (refusing > 0) {
          refusing--
          throw new RangeError('disk full')
        }
        return under.append(request)
      },
      read: (id, from, limit) => under.read(id, from, limit),
      summary: (id) => under.summary(id),
      list: (query) => under.list(query),
      delete: (id) => under.delete(id),
      subscribe: (listener) => under.subscribe(listener),
      close: () => under.close(),
    }
    await using engine = createTestEngine({ journal: flaky, clock })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push((error as Error).cause))
    const run = engine.run(flow('writes', async () => task('one', () => 1)()))
    refusing = 3
    await rest()
    expect(engine.health().stalled).toEqual([run.id])
    expect(await clock.run(run)).toBe(1)
    expect(engine.health().stalled).toEqual([])
    expect(errors).toMatchObject([{ message: 'disk full' }])
  })
})
