import { flow, memoryJournal, sleep, task, type EngineError, type Transition } from '@troupe/core'
import { filter, map, take, toArray } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { all, code, errorOf, quiet, steps, testEngine } from './support.ts'

const one = task('one', async (ms: number = 10) => {
  await sleep(ms)
  return ms
})
const pair = flow('pair', () => [one(1), one(2)])

describe('a transition', () => {
  it('says what changed, of which run, when and where, and never a value', async () => {
    await using engine = testEngine({ node: 'here' })
    const start = engine.clock.now()
    const child = flow('child', () => one(5))
    const run = flow({ name: 'parent', runName: 'Sunday' }, () => child())()
    const seen = engine.settle(all(engine.transitions.pipe(take(9))))
    const transitions = await seen
    const [pending, running] = transitions
    expect(pending).toEqual({
      flowRunId: run.id,
      runId: run.id,
      kind: 'flow',
      flow: 'parent',
      runName: 'Sunday',
      from: null,
      to: { type: 'PENDING', name: 'Pending' },
      seq: 1,
      position: 2,
      attempt: 1,
      at: start,
      startedAt: start,
      node: 'here',
    })
    expect(running).toMatchObject({
      from: { type: 'PENDING', name: 'Pending' },
      to: { type: 'RUNNING', name: 'Running' },
      seq: 2,
    })
    const childId = transitions.find(({ flow: name }) => name === 'child')?.runId
    const ended = transitions.find(({ kind, to }) => kind === 'task' && to.name === 'Completed')
    expect(ended).toEqual({
      flowRunId: childId,
      runId: expect.stringMatching(new RegExp(`^${childId}\\.`)) as unknown,
      kind: 'task',
      flow: 'child',
      task: 'one',
      runName: 'one-1',
      from: { type: 'RUNNING', name: 'Running' },
      to: { type: 'COMPLETED', name: 'Completed' },
      seq: 3,
      position: expect.any(Number) as unknown,
      attempt: 1,
      at: start + 5,
      startedAt: start,
      node: 'here',
      parentRunId: childId,
    })
    expect(transitions.find(({ runId }) => runId === childId)?.parentRunId).toBe(run.id)
    await engine.settle(run)
  })

  it('carries the message of its state', async () => {
    await using engine = testEngine()
    const run = flow('fails', () => {
      throw new Error('why')
    })()
    expect((await engine.settle(all(run.transitions))).at(-1)?.to).toEqual({
      type: 'FAILED',
      name: 'Failed',
      message: 'why',
    })
  })

  it('of a task outside any flow has the task as its flow', async () => {
    await using engine = testEngine()
    const future = one()
    const transitions = await engine.settle(all(future.transitions))
    expect(transitions).toHaveLength(3)
    expect(transitions[0]).toMatchObject({
      kind: 'task',
      flow: 'one',
      task: 'one',
      flowRunId: future.id,
      runId: future.id,
    })
  })
})

describe('`engine.transitions`', () => {
  it('is hot: it gives what comes after the subscription', async () => {
    await using engine = testEngine()
    await engine.settle(pair())
    const seen: Transition[] = []
    const subscription = engine.transitions.subscribe((transition) => seen.push(transition))
    await quiet()
    expect(seen).toEqual([])
    const run = pair()
    await engine.settle(run)
    expect(seen).toHaveLength(9)
    subscription.unsubscribe()
    await engine.settle(pair())
    expect(seen).toHaveLength(9)
  })

  it('gives each run in order of position, with no gap in `seq`, and as the journal has it', async () => {
    await using engine = testEngine()
    const seen: Transition[] = []
    engine.transitions.subscribe((transition) => seen.push(transition))
    const run = pair()
    await engine.settle(run)
    expect(seen).toEqual(await all(run.transitions))
    expect(seen.map(({ position }) => position)).toEqual(
      seen.map(({ position }) => position).toSorted((a, b) => a - b),
    )
    expect(seen.filter(({ runId }) => runId === run.id).map(({ seq }) => seq)).toEqual([1, 2, 3])
  })

  it('delivers after the commit: what is seen can be read', async () => {
    const journal = memoryJournal()
    await using engine = testEngine({ journal })
    const stored: Promise<boolean>[] = []
    engine.transitions.subscribe(({ flowRunId, position, to }) => {
      stored.push(
        journal
          .read(flowRunId, position, 1)
          .then(([entry]) => entry !== undefined && 'to' in entry && entry.to === to.name),
      )
    })
    await engine.settle(pair())
    expect(new Set(await Promise.all(stored))).toEqual(new Set([true]))
    expect(stored).toHaveLength(9)
  })

  it('works with operators', async () => {
    await using engine = testEngine()
    const done = all(
      engine.transitions.pipe(
        filter(({ to, kind }) => kind === 'task' && to.name === 'Completed'),
        map(({ runName }) => runName),
        take(2),
        toArray(),
      ),
    )
    await engine.settle(pair())
    expect(await done).toEqual([['one-1', 'one-2']])
  })
})

describe('an observer that throws', () => {
  it('harms nobody, is reported, and is not called again', async () => {
    await using engine = testEngine()
    const errors: EngineError[] = []
    engine.errors.subscribe((error) => errors.push(error))
    const seen: string[] = []
    let calls = 0
    engine.transitions.subscribe(() => {
      calls++
      throw new Error('direct')
    })
    engine.transitions
      .pipe(
        map((transition) => {
          if (transition.to.name === 'Running') throw new Error('in an operator')
          return transition
        }),
      )
      .subscribe(() => undefined)
    engine.transitions.pipe(map(({ to }) => to.name)).subscribe(() => {
      throw new Error('behind an operator')
    })
    engine.transitions.subscribe(({ to }) => seen.push(to.name))
    const run = pair()
    run.states.subscribe(() => {
      throw new Error('of states')
    })
    expect(await engine.settle(run)).toEqual([1, 2])
    await quiet()
    expect(calls).toBe(1)
    expect(seen).toHaveLength(9)
    expect(errors.map(({ error }) => (error as Error).message).toSorted()).toEqual([
      'behind an operator',
      'direct',
      'in an operator',
      'of states',
    ])
  })

  it('of errors goes to the logger', async () => {
    await using engine = testEngine()
    engine.errors.subscribe(() => {
      throw new Error('observer of errors')
    })
    engine.transitions.subscribe(() => {
      throw new Error('observer')
    })
    await engine.settle(pair())
    expect(engine.lines.map(({ fields }) => (fields['err'] as Error).message)).toContain('observer of errors')
  })

  it('may throw in `complete`', async () => {
    await using engine = testEngine()
    const run = pair()
    run.transitions.subscribe({
      complete: () => {
        throw new Error('at the end')
      },
    })
    await engine.settle(run)
    await quiet()
    expect(engine.lines.map(({ fields }) => (fields['err'] as Error).message)).toEqual(['at the end'])
  })
})

describe('`engine.watch`', () => {
  it('gives what was, then what comes, and completes at the end of the run', async () => {
    await using engine = testEngine()
    const run = pair()
    await quiet()
    const late = all(engine.watch({ flowRunId: run.id }))
    await engine.settle(run)
    const after = await all(engine.watch({ flowRunId: run.id }))
    expect(await late).toEqual(after)
    expect(after).toHaveLength(9)
    expect(after.at(-1)).toMatchObject({ runId: run.id, to: { name: 'Completed' } })
  })

  it('filters by run, by task and by flow', async () => {
    await using engine = testEngine()
    const run = pair()
    const taskRunId = new Promise<string>((resolve) => {
      engine.transitions
        .pipe(
          filter(({ kind }) => kind === 'task'),
          take(1),
        )
        .subscribe(({ runId }) => resolve(runId))
    })
    await engine.settle(run)
    const id = await taskRunId
    expect(steps(await all(engine.watch({ runId: id })))).toEqual([
      'one-1: Pending',
      'one-1: Running',
      'one-1: Completed',
    ])
    expect(steps(await all(engine.watch({ runId: run.id })))).toEqual([
      'pair: Pending',
      'pair: Running',
      'pair: Completed',
    ])
    expect(await all(engine.watch({ flowRunId: run.id, task: 'one' }))).toHaveLength(6)
    expect(await all(engine.watch({ flowRunId: run.id, task: 'two' }))).toEqual([])
    expect(await all(engine.watch({ flowRunId: run.id, flow: 'pair' }))).toHaveLength(9)
    expect(await all(engine.watch({ flowRunId: run.id, flow: 'other' }))).toEqual([])
  })

  it('goes on from a position, with no gap and no repeat', async () => {
    await using engine = testEngine()
    const run = pair()
    await engine.settle(run)
    const whole = await all(engine.watch({ flowRunId: run.id }))
    for (const [index, { position }] of whole.entries()) {
      expect(await all(engine.watch({ flowRunId: run.id }, { from: position }))).toEqual(
        whole.slice(index + 1),
      )
    }
  })

  it('of all runs gives what was and what comes, in order for each of them', async () => {
    await using engine = testEngine()
    const first = pair()
    await engine.settle(first)
    const seen: Transition[] = []
    const subscription = engine.watch().subscribe((transition) => seen.push(transition))
    const byFlow: Transition[] = []
    const named = engine.watch({ flow: 'lone' }).subscribe((transition) => byFlow.push(transition))
    const second = flow('lone', () => one(3))()
    await engine.settle(second)
    await quiet()
    subscription.unsubscribe()
    named.unsubscribe()
    expect(seen.filter(({ flowRunId }) => flowRunId === first.id)).toEqual(await all(first.transitions))
    expect(seen.filter(({ flowRunId }) => flowRunId === second.id)).toEqual(await all(second.transitions))
    expect(byFlow).toEqual(await all(second.transitions))
    await engine.settle(pair())
    expect(seen).toHaveLength(15)
  })

  it('has as many watchers as there are, each at its own place', async () => {
    await using engine = testEngine()
    const run = pair()
    const watched = engine.watch({ flowRunId: run.id })
    const [a, b] = [all(watched), all(watched)]
    await engine.settle(run)
    expect(await a).toEqual(await b)
    expect(await all(watched)).toEqual(await a)
  })

  it('is an async iterable that pulls: a slow consumer misses nothing', async () => {
    await using engine = testEngine()
    const many = flow('many', () => one.map(Array.from({ length: 400 }, (_, index) => index)))
    const run = many()
    const iterator = engine.watch({ flowRunId: run.id })[Symbol.asyncIterator]()
    const first = await iterator.next()
    expect(first.value).toMatchObject({ seq: 1, position: 2 })
    await engine.settle(run)
    const rest: Transition[] = []
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
      rest.push(next.value)
    expect(rest).toHaveLength(3 * 401 - 1)
    expect(rest.map(({ position }) => position)).toEqual(
      rest.map(({ position }) => position).toSorted((a, b) => a - b),
    )
  })

  it('ends where the loop is left', async () => {
    await using engine = testEngine()
    const run = pair()
    const seen: string[] = []
    for await (const { to } of engine.watch({ flowRunId: run.id })) {
      seen.push(to.name)
      if (seen.length === 2) break
    }
    expect(seen).toEqual(['Pending', 'Running'])
    await engine.settle(run)
  })

  it('works after a restart, over the same journal', async () => {
    const first = testEngine()
    const run = pair()
    await first.settle(run)
    const before = await all(run.transitions)
    await first.close()
    await using second = testEngine({ journal: first.journal, clock: first.clock })
    expect(await all(second.watch({ flowRunId: run.id }))).toEqual(before)
    expect(await all((await second.get(run.id))?.transitions ?? second.transitions)).toEqual(before)
  })

  it('of a run that does not exist fails with RUN_NOT_FOUND', async () => {
    await using engine = testEngine()
    expect(await errorOf(all(engine.watch({ flowRunId: 'nowhere' })))).toEqual(
      code('RUN_NOT_FOUND', /nowhere/),
    )
    expect(await errorOf(engine.watch({ runId: 'nowhere' })[Symbol.asyncIterator]().next())).toEqual(
      code('RUN_NOT_FOUND'),
    )
  })

  it('refuses `from` where it can mean nothing, and unknown filters', async () => {
    await using engine = testEngine()
    expect(() => engine.watch({}, { from: 3 })).toThrow(code('INVALID_OPTION', /from/))
    // @ts-expect-error misspelt
    expect(() => engine.watch({ flowRunID: 'x' })).toThrow(code('INVALID_OPTION', /flowRunID/))
    expect(() => engine.watch({ flowRunId: 'x' }, { from: -1 })).toThrow(code('INVALID_OPTION'))
  })
})
