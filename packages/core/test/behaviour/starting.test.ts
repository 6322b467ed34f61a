import { createEngine, currentFlowRun, flow, sleep, task, type FlowRun } from '@troupe/core'
import { createTestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { all, code, errorOf, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

const one = task('one', async (ms: number = 10) => {
  await sleep(ms)
  return ms
})

describe('flow runs', () => {
  it('run in parallel unless their caller awaits between them', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const slow = flow('slow', async () => await one(1000))
    await engine.settle(Promise.all([slow(), slow(), slow()]))
    expect(engine.clock.now() - start).toBe(1000)
    await engine.settle(flow('in-turn', async () => [await slow(), await slow()])())
    expect(engine.clock.now() - start).toBe(3000)
    await engine.settle(flow('at-once', () => [slow(), slow()])())
    expect(engine.clock.now() - start).toBe(4000)
  })

  it('that a body starts are subflows: runs of their own, with their caller as parent', async () => {
    await using engine = testEngine()
    let inner = ''
    const child = flow('child', async (n: number) => {
      inner = currentFlowRun().id
      return n + (await one(1))
    })
    const run = flow('parent', () => child(one(5)))()
    expect(await engine.settle(run)).toBe(6)
    expect(inner).not.toBe(run.id)
    expect(inner).not.toContain('.')
    const own = (await all(run.transitions)).map(({ runName }) => runName)
    expect(new Set(own)).toEqual(new Set(['parent', 'one-1']))
    const [first] = await all((await engine.get(inner))?.transitions ?? run.transitions)
    expect(first).toMatchObject({ flowRunId: inner, flow: 'child', parentRunId: run.id })
  })

  it('may be started by a task, too', async () => {
    await using engine = testEngine()
    const child = flow('child', () => 'from a task')
    const starts = task('starts', () => child())
    expect(await engine.settle(flow('whole', () => starts())())).toBe('from a task')
  })

  it('are not subflows of a run of another engine', async () => {
    await using a = testEngine()
    await using b = testEngine()
    let inner: FlowRun<string> | undefined
    const other = flow('other', () => one(10_000).then(() => 'other'))
    const run = a.run(
      flow('starter', () => {
        inner = b.run(other)
        return 'started'
      }),
    )
    expect(await a.settle(run)).toBe('started')
    expect(inner?.state.type).not.toBe('COMPLETED')
    expect(inner === undefined ? undefined : await b.settle(inner)).toBe('other')
  })

  it('can be looked up and listed while they live and when they have ended', async () => {
    await using engine = testEngine()
    const child = flow('child', () => one())
    const first = flow('first', () => child())()
    const second = one(1000)
    await quiet()
    expect((await engine.list()).map(({ id }) => id)).toEqual([first.id, second.id])
    await engine.settle(first)
    expect((await engine.list({ ended: true })).map(({ id }) => id)).toEqual([first.id])
    expect((await engine.list({ ended: false })).map(({ id }) => id)).toEqual([second.id])
    const page = await engine.list({ limit: 1 })
    expect(page.map(({ id }) => id)).toEqual([first.id])
    expect((await engine.list({ limit: 1, cursor: page.next ?? '' })).map(({ id }) => id)).toEqual([
      second.id,
    ])
    const found = await engine.get(first.id)
    expect(found?.state.name).toBe('Completed')
    expect(await found?.result()).toBe(10)
    expect(found !== undefined && 'then' in found).toBe(false)
    expect(await engine.get('nowhere')).toBeUndefined()
    await engine.settle(second)
    expect((await engine.get(second.id))?.state.name).toBe('Completed')
  })
})

describe('the engine of a call', () => {
  const tell = flow('tell', () => currentFlowRun().id)

  it('is the one that is open', async () => {
    await using engine = testEngine()
    const run = tell()
    await engine.settle(run)
    expect((await engine.list()).map(({ id }) => id)).toEqual([run.id])
  })

  it('is one in memory that is made when none is open, the same for all', async () => {
    const first = tell()
    const second = tell()
    expect(await first).toBe(first.id)
    expect(await second).toBe(second.id)
    const task1 = task('together', (a: string) => a)
    expect(await task1(first)).toBe(first.id)
  })

  it('must be said where several are open, and the error names the ways', async () => {
    await using a = testEngine()
    await using b = testEngine()
    expect(() => tell()).toThrow(code('NO_ENGINE', /2 engines.*engine\.run.*\.with\(\{ engine \}\).*bindRun/))
    expect(() => one()).toThrow(code('NO_ENGINE'))
    const runs = [a.run(tell), tell.with({ engine: b })()]
    expect(await a.settle(runs[0] as FlowRun<string>)).toBe(runs[0]?.id)
    expect(await b.settle(runs[1] as FlowRun<string>)).toBe(runs[1]?.id)
    expect((await a.list()).map(({ id }) => id)).toEqual([runs[0]?.id])
    expect((await b.list()).map(({ id }) => id)).toEqual([runs[1]?.id])
  })

  it('is that of the current run inside one, however many are open', async () => {
    await using a = testEngine()
    await using _b = testEngine()
    const outer = a.run(flow('outer', () => tell()))
    const inner = await a.settle(outer)
    expect((await a.get(inner))?.state.name).toBe('Completed')
  })

  it('is the one left when the others have been closed', async () => {
    await using a = testEngine()
    const b = testEngine()
    await b.close()
    const run = tell()
    expect(await a.settle(run)).toBe(run.id)
  })

  it('must be an engine', async () => {
    await using engine = testEngine()
    // @ts-expect-error no engine
    expect(() => tell.with({ engine: {} })()).toThrow(code('INVALID_OPTION', /createEngine/))
    // @ts-expect-error no flow
    expect(() => engine.run(() => 1)).toThrow(code('INVALID_OPTION', /engine\.run\(flow/))
    // By its name it runs on another node, which this engine can't reach.
    await expect(engine.run('tell')).rejects.toMatchObject({ code: 'NO_TRANSPORT' })
    await expect(engine.run('')).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('has a name in every transition', async () => {
    await using engine = createTestEngine({ node: 'a-node' })
    expect(engine.node).toBe('a-node')
    const run = tell()
    expect(new Set((await engine.settle(all(run.transitions))).map(({ node }) => node))).toEqual(
      new Set(['a-node']),
    )
    await using other = createEngine()
    expect(other.node).toMatch(/^node-\w{8}$/)
  })
})

describe('`id`', () => {
  it('is the id of the flow run', async () => {
    await using engine = testEngine()
    const run = flow('given', () => 1).with({ id: 'Order_42-a' })()
    expect(run.id).toBe('Order_42-a')
    expect(await engine.settle(run)).toBe(1)
  })

  it('gives the same run when it is started again, live or ended', async () => {
    await using engine = testEngine()
    let bodies = 0
    const order = flow('order', async (n: number) => {
      bodies++
      return n + (await one(10))
    }).with({ id: 'order-7' })
    const first = order(1)
    const second = order(1)
    expect(await engine.settle(Promise.all([first, second]))).toEqual([11, 11])
    expect(await engine.settle(order(1))).toBe(11)
    expect(bodies).toBe(1)
    expect(await statesOf(engine, second)).toEqual(['Pending', 'Running', 'Completed'])
  })

  it('conflicts with other parameters or another flow, when that is awaited', async () => {
    await using engine = testEngine()
    const order = flow('order', (n: number) => one(n)).with({ id: 'order-8' })
    const other = flow('other', (n: number) => n).with({ id: 'order-8' })
    const first = order(1)
    const conflicts = [order(2), other(1)]
    for (const run of conflicts) {
      expect(run.id).toBe('order-8')
      expect(await errorOf(run)).toEqual(code('IDEMPOTENCY_CONFLICT', /order-8/))
    }
    expect(await engine.settle(first)).toBe(1)
    expect(await errorOf(engine.settle(order(2)))).toEqual(code('IDEMPOTENCY_CONFLICT'))
    expect(await outcomeOf(engine, order(1))).toMatchObject({ state: 'Completed', value: 1 })
  })
})

describe('`idempotencyKey`', () => {
  const charge = flow('charge', (amount: number) => one(amount))

  it('makes the id: starters with the same key of one flow get the same run', async () => {
    await using engine = testEngine()
    const first = charge.with({ idempotencyKey: 'invoice 12/2001' })(5)
    const second = charge.with({ idempotencyKey: 'invoice 12/2001' })(5)
    const third = charge.with({ idempotencyKey: 'invoice 13/2001' })(5)
    expect(first.id).toMatch(/^[0-9a-f]{32}$/)
    expect(second.id).toBe(first.id)
    expect(third.id).not.toBe(first.id)
    expect(flow('refund', () => 1).with({ idempotencyKey: 'invoice 12/2001' })().id).not.toBe(first.id)
    expect(await engine.settle(Promise.all([first, second, third]))).toEqual([5, 5, 5])
    expect(await engine.list()).toHaveLength(3)
  })

  it('conflicts with other parameters', async () => {
    await using engine = testEngine()
    const first = charge.with({ idempotencyKey: 'k' })(5)
    expect(await errorOf(charge.with({ idempotencyKey: 'k' })(6))).toEqual(code('IDEMPOTENCY_CONFLICT'))
    expect(await engine.settle(first)).toBe(5)
  })

  it('holds after the engine was opened again over the same journal', async () => {
    const first = testEngine()
    const run = charge.with({ idempotencyKey: 'again' })(5)
    expect(await first.settle(run)).toBe(5)
    await first.close()
    await using second = testEngine({ journal: first.journal, clock: first.clock })
    const again = charge.with({ idempotencyKey: 'again' })(5)
    expect(again.id).toBe(run.id)
    expect(await second.settle(again)).toBe(5)
    expect(await errorOf(second.settle(charge.with({ idempotencyKey: 'again' })(6)))).toEqual(
      code('IDEMPOTENCY_CONFLICT'),
    )
  })

  it('may not be empty', () => {
    expect(() => charge.with({ idempotencyKey: '' })).toThrow(code('INVALID_OPTION', /idempotencyKey/))
  })

  it('gives a subflow one run, too, for all who start it', async () => {
    await using engine = testEngine()
    const run = flow('parent', async () => {
      const a = charge.with({ idempotencyKey: 'sub' })(5)
      const b = charge.with({ idempotencyKey: 'sub' })(5)
      return [a.id === b.id, await a, await b]
    })()
    expect(await engine.settle(run)).toEqual([true, 5, 5])
  })
})
