import { currentFlowRun, currentTaskRun, failed, flow, now, sleep, task, uuid } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { all, code, outcomeOf, statesOf, steps, testEngine } from './support.ts'

const one = task('one', async (n: number = 1) => {
  await sleep(1)
  return n
})

/** Fails the first `times` times it is called. */
function flaky(name: string, times: number): { body: () => number; calls: () => number } {
  let calls = 0
  return {
    body: () => {
      calls++
      if (calls <= times) throw new Error(`${name} fails for the ${calls}. time`)
      return calls
    },
    calls: () => calls,
  }
}

describe('a task with retries', () => {
  it('is tried again at once, until it completes', async () => {
    await using engine = testEngine()
    const { body } = flaky('a', 2)
    const attempts: number[] = []
    const tries = task({ name: 'tries', retries: 5 }, () => {
      attempts.push(currentTaskRun().attempt)
      return body()
    })
    const run = flow('retries', () => tries())()
    expect(await engine.settle(run)).toBe(3)
    expect(attempts).toEqual([1, 2, 3])
    const own = (await all(run.transitions)).filter(({ kind }) => kind === 'task')
    expect(own.map(({ to, attempt, seq }) => `${seq} ${to.name} ${attempt}`)).toEqual([
      '1 Pending 1',
      '2 Running 1',
      '3 Retrying 2',
      '4 Retrying 3',
      '5 Completed 3',
    ])
  })

  it('fails with its last error when there are none left', async () => {
    await using engine = testEngine()
    const { body, calls } = flaky('b', 9)
    const future = task({ name: 'exhausted', retries: 2 }, body)()
    expect(await outcomeOf(engine, future)).toMatchObject({
      state: 'Failed',
      error: { message: 'b fails for the 3. time' },
    })
    expect(calls()).toBe(3)
    expect(await statesOf(engine, future)).toEqual(['Pending', 'Running', 'Retrying', 'Retrying', 'Failed'])
  })

  it('says why in the state that follows', async () => {
    await using engine = testEngine()
    const { body } = flaky('c', 1)
    const future = task({ name: 'reason', retries: 1 }, body)()
    await engine.settle(future)
    expect((await all(future.transitions)).find(({ to }) => to.name === 'Retrying')?.to.message).toBe(
      'c fails for the 1. time',
    )
  })

  it('is tried again when it returns `failed`, not when it is invalid or its upstream failed', async () => {
    await using engine = testEngine()
    let calls = 0
    const returns = task({ name: 'returns', retries: 1 }, () =>
      ++calls === 1 ? failed(new Error('x')) : 'ok',
    )
    expect(await engine.settle(returns())).toBe('ok')
    const fails = task('fails', (): number => {
      throw new Error('upstream')
    })
    let late: ReturnType<typeof one> | undefined
    const run = flow('not-again', () => {
      late = one.with({ retries: 3 })(fails())
      return late.wait()
    })()
    await engine.settle(run)
    expect(late === undefined ? [] : await statesOf(engine, late)).toEqual(['Pending', 'UpstreamFailed'])
  })

  it('gets fresh arguments for each attempt, and keeps its own runs that completed', async () => {
    await using engine = testEngine()
    const { body } = flaky('d', 1)
    let inner = 0
    const step = task('step', () => ++inner)
    const outer = task({ name: 'outer', retries: 1 }, async (list: number[]) => {
      list.push(await step())
      body()
      return list
    })
    expect(await engine.settle(flow('fresh', () => outer([0]))())).toEqual([0, 1])
    expect(inner).toBe(1)
  })

  it('multiplies with the retries of its flow', async () => {
    await using engine = testEngine()
    const { body, calls } = flaky('e', 99)
    const tries = task({ name: 'inner', retries: 2 }, body)
    const run = flow({ name: 'outer', retries: 3 }, () => tries())()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed' })
    expect(calls()).toBe(12)
  })
})

describe('a flow with retries', () => {
  it('runs its body again; task runs that completed are not run again, those that failed are', async () => {
    await using engine = testEngine()
    const ran: string[] = []
    const good = task('good', (name: string) => {
      ran.push(name)
      return name
    })
    const { body } = flaky('f', 2)
    const bad = task('bad', () => {
      ran.push('bad')
      return body()
    })
    const bodies: number[] = []
    const run = flow({ name: 'again', retries: 2 }, async () => {
      bodies.push(currentFlowRun().attempt)
      const first = await good('a')
      const second = good('b')
      return [first, await second, await bad()]
    })()
    expect(await engine.settle(run)).toEqual(['a', 'b', 3])
    expect(bodies).toEqual([1, 2, 3])
    expect(ran).toEqual(['a', 'b', 'bad', 'bad', 'bad'])
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Retrying', 'Retrying', 'Completed'])
    expect(steps(await all(run.transitions)).filter((step) => step.startsWith('good'))).toEqual([
      'good-1: Pending',
      'good-1: Running',
      'good-1: Completed',
      'good-2: Pending',
      'good-2: Running',
      'good-2: Completed',
    ])
  })

  it('gives each call its own value where the body branches differently', async () => {
    await using engine = testEngine()
    const ran: number[] = []
    const square = task('square', (n: number) => {
      ran.push(n)
      return n * n
    })
    let attempt = 0
    const run = flow({ name: 'branches', retries: 1 }, async () => {
      attempt++
      if (attempt === 1) {
        await Promise.all([square(1), square(2), square(3)])
        throw new Error('other way')
      }
      const three = await square(3)
      const four = await square(4)
      return [three, four, await square(1), await square(2), await square(3)]
    })()
    expect(await engine.settle(run)).toEqual([9, 16, 1, 4, 9])
    expect(ran).toEqual([1, 2, 3, 4, 3])
  })

  it('tells identical calls apart by their number, and by `key`', async () => {
    await using engine = testEngine()
    let count = 0
    const counter = task('counter', () => ++count)
    let attempt = 0
    const run = flow({ name: 'identical', retries: 1 }, async () => {
      attempt++
      const values = [await counter(), await counter(), await counter.with({ key: 'c' })()]
      if (attempt === 1) throw new Error('again')
      return [...values, await counter()]
    })()
    expect(await engine.settle(run)).toEqual([1, 2, 3, 4])
  })

  it('runs anew what is called with other arguments', async () => {
    await using engine = testEngine()
    const ran: string[] = []
    const stamp = task('stamp', (text: string) => {
      ran.push(text)
      return text
    })
    const run = flow({ name: 'anew', retries: 1 }, async () => {
      const value = await stamp(`attempt ${currentFlowRun().attempt}`)
      if (currentFlowRun().attempt === 1) throw new Error('again')
      return value
    })()
    expect(await engine.settle(run)).toBe('attempt 2')
    expect(ran).toEqual(['attempt 1', 'attempt 2'])
  })

  it('draws time and chance anew, and sleeps again', async () => {
    await using engine = testEngine()
    const drawn: [number, string][] = []
    const start = engine.clock.now()
    const run = flow({ name: 'draws', retries: 1 }, async () => {
      drawn.push([now() - start, uuid()])
      await sleep('1s')
      if (drawn.length === 1) throw new Error('again')
    })()
    await engine.settle(run)
    expect(drawn.map(([at]) => at)).toEqual([0, 1000])
    expect(drawn[0]?.[1]).not.toBe(drawn[1]?.[1])
    expect(engine.clock.now() - start).toBe(2000)
  })

  it('does not run a subflow again that completed, and runs one again that failed', async () => {
    await using engine = testEngine()
    const { body } = flaky('g', 1)
    const ran: string[] = []
    const good = flow('good-child', () => {
      ran.push('good')
      return 'good'
    })
    const bad = flow('bad-child', () => {
      ran.push('bad')
      return body()
    })
    const run = flow({ name: 'with-children', retries: 1 }, async () => [await good(), await bad()])()
    expect(await engine.settle(run)).toEqual(['good', 2])
    expect(ran).toEqual(['good', 'bad', 'bad'])
  })

  it('is tried again after a failure that nobody looked at', async () => {
    await using engine = testEngine()
    const { body } = flaky('h', 1)
    const bad = task('unseen', body)
    const run = flow({ name: 'unobserved', retries: 1 }, () => {
      bad()
      return 'fine'
    })()
    expect(await engine.settle(run)).toBe('fine')
    expect(await statesOf(engine, run)).toEqual(['Pending', 'Running', 'Retrying', 'Completed'])
  })

  it('ends UnobservedFailure where that is how the last attempt ends', async () => {
    await using engine = testEngine()
    const { body } = flaky('i', 9)
    const bad = task('unseen', body)
    const run = flow({ name: 'unobserved-2', retries: 1 }, () => void bad())()
    expect(await outcomeOf(engine, run)).toMatchObject({
      state: 'UnobservedFailure',
      message: '1/1 runs failed and nobody looked',
      error: code('UNOBSERVED_FAILURE'),
    })
  })

  it('works where values are passed by reference', async () => {
    await using engine = testEngine({ strictValues: false })
    let ran = 0
    const counts = task('counts', (list: Map<string, number>) => {
      ran++
      return list.size
    })
    const { body } = flaky('j', 1)
    const run = flow({ name: 'by-reference', retries: 1 }, async () => {
      const size = await counts(new Map([['a', 1]]))
      body()
      return size
    })()
    expect(await engine.settle(run)).toBe(1)
    expect(ran).toBe(1)
  })

  it('passes values that depend on runs of the earlier attempt', async () => {
    await using engine = testEngine()
    const ran: string[] = []
    const add = task('add', (a: number, b: number) => {
      ran.push(`${a}+${b}`)
      return a + b
    })
    const { body } = flaky('k', 1)
    const run = flow({ name: 'depends', retries: 1 }, async () => {
      const sum = add(one(1), one(2))
      const total = await add(sum, 10)
      body()
      return total
    })()
    expect(await engine.settle(run)).toBe(13)
    expect(ran).toEqual(['1+2', '3+10'])
  })
})
