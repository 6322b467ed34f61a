import { allowFailure, flow, memoryJournal, opaque, sleep, task, type TaskFuture } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, outcomeOf, statesOf, testEngine } from './support.ts'

const one = task('one', async () => {
  await sleep(10)
  return 1
})
const word = task('word', async (text: string) => {
  await sleep(1)
  return text
})
const fail = task('fail', async () => {
  await sleep(5)
  throw new RangeError('too high')
})
const seen: unknown[] = []
const look = task('look', (value: unknown) => void seen.push(value))
/** What a task receives for an argument. */
const received = flow('received', async (make: () => unknown) => {
  seen.length = 0
  await look(make())
  return undefined
})

/** Not strict, for arguments are passed on as they are, functions too. */
async function receive(make: () => unknown): Promise<unknown> {
  await using engine = testEngine({ strictValues: false })
  await engine.settle(received(make))
  return seen[0]
}

function nest(depth: number, leaf: unknown): unknown {
  let value = leaf
  for (let i = 0; i < depth; i++) value = { inner: value }
  return value
}

function unnest(value: unknown): unknown {
  let at = value
  while (typeof at === 'object' && at !== null && 'inner' in at) at = at.inner
  return at
}

describe('a future as an argument', () => {
  it('is passed on as its value', async () => {
    expect(await receive(() => one())).toBe(1)
  })

  it('is found in arrays, objects, sets, and keys and values of maps', async () => {
    expect(await receive(() => [0, one(), [one()]])).toEqual([0, 1, [1]])
    expect(await receive(() => ({ a: one(), b: { c: one(), d: 'x' } }))).toEqual({
      a: 1,
      b: { c: 1, d: 'x' },
    })
    expect(await receive(() => new Set([one(), 2]))).toEqual(new Set([1, 2]))
    expect(
      await receive(
        () =>
          new Map<unknown, unknown>([
            [word('k'), one()],
            ['plain', [one()]],
          ]),
      ),
    ).toEqual(
      new Map<unknown, unknown>([
        ['k', 1],
        ['plain', [1]],
      ]),
    )
    const bare = Object.assign(Object.create(null) as object, { a: 1 })
    expect(await receive(() => Object.assign(Object.create(null) as object, { a: one() }))).toEqual(bare)
  })

  it('is found 16 containers deep', async () => {
    expect(unnest(await receive(() => nest(15, one())))).toBe(1)
  })

  it('is handed on as it is where it lies deeper', async () => {
    expect(unnest(await receive(() => nest(16, one())))).toMatchObject({ kind: 'task' })
  })

  it('is waited for once where it stands twice', async () => {
    const value = await receive(() => {
      const future = one()
      return [future, { again: future }]
    })
    expect(value).toEqual([1, { again: 1 }])
  })

  it('leaves the argument itself as it was', async () => {
    let argument: unknown[] = []
    await receive(() => (argument = [one()]))
    expect(argument[0]).toMatchObject({ kind: 'task' })
  })

  it('is found in cyclic data', async () => {
    const value = (await receive(() => {
      const cyclic: Record<string, unknown> = { name: 'a', future: one() }
      cyclic['self'] = cyclic
      return cyclic
    })) as Record<string, unknown>
    expect(value['future']).toBe(1)
    expect(value['self']).toBe(value)
  })

  it('is not looked for in class instances', async () => {
    class Box {
      readonly inner: unknown
      constructor(inner: unknown) {
        this.inner = inner
      }
    }
    let box: Box | undefined
    expect(await receive(() => (box = new Box(one())))).toBe(box)
  })
})

describe('an argument without futures', () => {
  it('arrives as the very same object', async () => {
    const inner = [1, 2]
    const argument = { list: inner, map: new Map([['a', { b: 1 }]]), set: new Set([1]) }
    const value = (await receive(() => argument)) as typeof argument
    expect(value).toBe(argument)
    expect(value.list).toBe(inner)
  })

  it('is copied only along the way to a future', async () => {
    const kept = { large: true }
    const value = (await receive(() => ({ kept, n: one() }))) as { kept: unknown }
    expect(value).toEqual({ kept: { large: true }, n: 1 })
    expect(value.kept).toBe(kept)
  })

  it('may be cyclic', async () => {
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    expect(await receive(() => cyclic)).toBe(cyclic)
  })

  it('is a copy for each attempt where values are encoded', async () => {
    await using engine = testEngine()
    const argument = { list: [1] }
    const push = task({ name: 'push', retries: 1 }, (value: { list: number[] }) => {
      value.list.push(2)
      if (value.list.length < 3) throw new Error('again')
      return value.list
    })
    expect(await outcomeOf(engine, flow('pushes', () => push(argument))())).toMatchObject({ state: 'Failed' })
    expect(argument).toEqual({ list: [1] })
  })
})

describe('`waitFor`', () => {
  it('takes handles, for there is nothing else that one could mean', async () => {
    await using engine = testEngine()
    const order: string[] = []
    const first = task('first', async () => {
      await sleep(10)
      order.push('first')
    })
    const second = task('second', () => void order.push('second'))
    const handles = flow('handles', async () => {
      const { handle } = first()
      await second.with({ waitFor: [handle] })()
    })
    await engine.settle(handles())
    expect(order).toEqual(['first', 'second'])
    const started = handles()
    const found = await engine.get(started.id)
    await engine.settle(flow('found', () => second.with({ waitFor: found })())())
    expect(order).toEqual(['first', 'second', 'first', 'second', 'second'])
  })

  it('refuses a run that this engine does not have: it would not be waited for', async () => {
    const journal = memoryJournal()
    await using owner = testEngine({ journal, node: 'owner' })
    const run = owner.run(flow('elsewhere', () => sleep(10)))
    await owner.settle(run)
    await using engine = testEngine({ journal, node: 'other' })
    const found = await engine.get(run.id)
    const late = engine.run(flow('late', () => one.with({ waitFor: [found] })()))
    expect(await errorOf(engine.settle(late))).toEqual(code('INVALID_OPTION', /`waitFor\[0\]`.*wait\(\)/))
  })

  it('orders runs that pass no value', async () => {
    await using engine = testEngine()
    const order: string[] = []
    const first = task('first', async () => {
      await sleep(100)
      order.push('first')
    })
    const second = task('second', () => void order.push('second'))
    await engine.settle(flow('ordered', () => void second.with({ waitFor: first() })())())
    expect(order).toEqual(['first', 'second'])
    order.length = 0
    await engine.settle(
      flow('ordered-lists', () => void second.with({ waitFor: [[first()], { a: first() }] })())(),
    )
    expect(order).toEqual(['first', 'first', 'second'])
  })

  it('fails what waits for a run that failed', async () => {
    await using engine = testEngine()
    let late: TaskFuture<number> | undefined
    const run = flow('waits-in-vain', () => {
      late = one.with({ waitFor: [fail()] })()
      return late.wait()
    })()
    expect(await engine.settle(run)).toMatchObject({ name: 'UpstreamFailed' })
  })

  it('holds for flows, too', async () => {
    await using engine = testEngine()
    const start = engine.clock.now()
    const child = flow('child', () => engine.clock.now() - start)
    const run = flow('parent', () => child.with({ waitFor: [one()] })())()
    expect(await engine.settle(run)).toBe(10)
  })
})

describe('a run whose upstream did not complete', () => {
  it('never runs, ends UpstreamFailed, and names the run at the root of the chain', async () => {
    await using engine = testEngine()
    let ran = false
    const next = task('next', (n: number) => {
      ran = true
      return n
    })
    const run = flow('chain', async () => {
      const first = fail()
      const last = next(next(next(first)))
      const states = await last.wait()
      return [states.name, await errorOf(last), first.id] as const
    })()
    const [state, error, id] = await engine.settle(run)
    expect(ran).toBe(false)
    expect(state).toBe('UpstreamFailed')
    expect(error).toMatchObject({
      code: 'UPSTREAM_FAILED',
      details: { rootRunId: id, rootRunName: 'fail-1' },
      cause: { name: 'RangeError', message: 'too high' },
    })
  })

  it('has the states Pending and UpstreamFailed, also after a cancelled one', async () => {
    await using engine = testEngine()
    let late: TaskFuture<string> | undefined
    const run = flow('cancelled-upstream', async () => {
      const first = one()
      late = word(first as unknown as TaskFuture<string>)
      await first.cancel('not needed')
      return errorOf(late)
    })()
    expect(await engine.settle(run)).toEqual(code('UPSTREAM_FAILED', /one-1/))
    expect(await statesOf(engine, late ?? one())).toEqual(['Pending', 'UpstreamFailed'])
  })

  it('ends Failed where it is a flow run', async () => {
    await using engine = testEngine()
    const child = flow('child', (n: number) => n)
    const run = flow('parent', async () => {
      const late = child(fail())
      return [(await late.wait()).name, await errorOf(late)]
    })()
    expect(await engine.settle(run)).toEqual(['Failed', code('UPSTREAM_FAILED')])
  })
})

describe('`allowFailure`', () => {
  it('passes the error on as the value', async () => {
    const error = await receive(() => allowFailure(fail()))
    expect(error).toBeInstanceOf(RangeError)
    expect(error).toMatchObject({ message: 'too high' })
  })

  it('passes the value on where the run completed', async () => {
    expect(await receive(() => allowFailure(one()))).toBe(1)
  })

  it('may stand in containers, beside futures that must complete', async () => {
    expect(await receive(() => ({ a: one(), b: [allowFailure(fail())] }))).toEqual({
      a: 1,
      b: [new RangeError('too high')],
    })
  })

  it('covers every future of a container that it stands around', async () => {
    // @ts-expect-error its type takes a future only
    expect(await receive(() => allowFailure([one(), { b: fail() }]))).toEqual([
      1,
      { b: new RangeError('too high') },
    ])
  })

  it('passes on the error of a cancelled run, and holds where values are encoded', async () => {
    await using engine = testEngine()
    const describeIt = task('describe', (value: unknown) =>
      value instanceof Error ? value.message : 'no error',
    )
    const run = flow('allowed', async () => {
      const first = one()
      const told = describeIt(allowFailure(first))
      await first.cancel('enough')
      return [await told, await describeIt([allowFailure(fail())])]
    })()
    expect(await engine.settle(run)).toEqual([expect.stringContaining('enough'), 'no error'])
  })

  it('holds in `waitFor`', async () => {
    await using engine = testEngine()
    const run = flow('after-all', () => one.with({ waitFor: [allowFailure(fail())] })())()
    expect(await engine.settle(run)).toBe(1)
  })
})

describe('`opaque`', () => {
  it('hands a value on without a search', async () => {
    const value = { future: 'none' }
    expect(await receive(() => opaque(value))).toBe(value)
    expect(await receive(() => [opaque(value)])).toEqual([value])
    const held = (await receive(() => opaque([one()]))) as unknown[]
    expect(held[0]).toMatchObject({ kind: 'task' })
  })

  it('holds where values are encoded', async () => {
    await using engine = testEngine()
    const sum = task('sum', (numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
    expect(await engine.settle(flow('opaque-sum', () => sum(opaque([1, 2, 3])))())).toBe(6)
  })
})
