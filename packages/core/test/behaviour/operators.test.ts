/** The operators for streams of transitions. */
import {
  asList,
  flow,
  ofFlow,
  ofRun,
  ofTask,
  ofType,
  task,
  untilTerminal,
  type EngineError,
  type RunsChange,
  type RunSummary,
  type Transition,
} from '@troupe/core'
import { from, of, Subject, toArray, type Observable, type OperatorFunction } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { all, code, quiet, steps, testEngine } from './support.ts'

const pack = task('pack', (n: number) => n)
const label = task('label', (n: number) => {
  if (n < 0) throw new RangeError('no such order')
  return n
})
const ship = flow('ship', async (n: number) => label(await pack(n)))
const bill = flow('bill', (n: number) => label(n))

/** What three flow runs did. */
async function history(): Promise<{ readonly ids: readonly string[]; readonly transitions: Transition[] }> {
  await using engine = testEngine()
  const transitions: Transition[] = []
  engine.transitions.subscribe((transition) => transitions.push(transition))
  const runs = [engine.run(ship, 1), engine.run(ship, -1), engine.run(bill, 2)]
  await engine.settle(Promise.all(runs.map((run) => run.wait())))
  return { ids: runs.map(({ id }) => id), transitions }
}

function given<R>(
  transitions: readonly Transition[],
  operator: OperatorFunction<Transition, R>,
): Promise<R[]> {
  return all(from(transitions).pipe(operator))
}

describe('the operators of transitions', () => {
  it('let through what is of a flow, given by name or as it was defined', async () => {
    const { transitions } = await history()
    const ofShip = transitions.filter((one) => one.flow === 'ship')
    expect(ofShip.length).toBeGreaterThan(10)
    expect(await given(transitions, ofFlow('ship'))).toEqual(ofShip)
    expect(await given(transitions, ofFlow(ship))).toEqual(ofShip)
    expect(await given(transitions, ofFlow(bill, 'ship'))).toEqual(transitions)
    expect(await given(transitions, ofFlow('Ship'))).toEqual([])
  })

  it('let through the task runs of a task, in whatever flow', async () => {
    const { transitions } = await history()
    const labels = await given(transitions, ofTask('label'))
    expect(new Set(labels.map((one) => one.flow))).toEqual(new Set(['ship', 'bill']))
    expect(labels).toEqual(transitions.filter((one) => one.task === 'label'))
    expect(await given(transitions, ofTask(pack, label))).toEqual(
      transitions.filter(({ kind }) => kind === 'task'),
    )
  })

  it('let through one run, and of a flow run its task runs', async () => {
    const { ids, transitions } = await history()
    const [first = ''] = ids
    const ofFirst = transitions.filter(({ flowRunId }) => flowRunId === first)
    expect(await given(transitions, ofRun(first))).toEqual(ofFirst)
    const taskRun = ofFirst.find(({ kind }) => kind === 'task')
    const ofTaskRun = await given(transitions, ofRun({ id: taskRun?.runId ?? '' }))
    expect(ofTaskRun.map(({ to }) => to.name)).toEqual(['Pending', 'Running', 'Completed'])
    expect(await given(transitions, ofRun('nobody'))).toEqual([])
  })

  it('let through states by their names and by their types', async () => {
    const { transitions } = await history()
    const failed = await given(transitions, ofType('FAILED'))
    expect(failed.map((one) => `${one.kind} ${one.to.name}`)).toEqual(['task Failed', 'flow Failed'])
    const some = await given(transitions, ofType('Pending', 'COMPLETED', 'CANCELLED'))
    expect(some).toEqual(transitions.filter(({ to }) => to.name === 'Pending' || to.name === 'Completed'))
  })

  it('complete after the end of a run, and let that through', async () => {
    const { ids, transitions } = await history()
    const [first = '', , third = ''] = ids
    const source = new Subject<Transition>()
    const seen: Transition[] = []
    let completed = 0
    source
      .pipe(untilTerminal(third))
      .subscribe({ next: (one) => seen.push(one), complete: () => completed++ })
    for (const transition of transitions) source.next(transition)
    expect(completed).toBe(1)
    expect(source.observed).toBe(false)
    const end = transitions.findIndex(({ runId, to }) => runId === third && to.name === 'Completed')
    expect(seen).toEqual(transitions.slice(0, end + 1))
    // Without an id: the flow run that comes first.
    const own = await given(transitions, untilTerminal())
    expect(own.at(-1)).toMatchObject({ runId: first, to: { name: 'Completed' } })
    const taskRun = transitions.find(({ kind }) => kind === 'task')?.runId ?? ''
    expect((await given(transitions, untilTerminal(taskRun))).at(-1)?.runId).toBe(taskRun)
  })

  it('go together, on history that goes on live', async () => {
    await using engine = testEngine()
    const run = engine.run(ship, 1)
    await quiet(3)
    const seen = await engine.settle(
      all(engine.watch().pipe(untilTerminal(run), ofRun(run), ofFlow(ship), ofType('COMPLETED'))),
    )
    expect(steps(seen)).toEqual(['pack-1: Completed', 'label-2: Completed', 'ship: Completed'])
  })

  it('hand on errors, and let go of their source with whoever listens', () => {
    const operators: OperatorFunction<Transition, unknown>[] = [
      ofFlow('a'),
      ofTask('a'),
      ofRun('a'),
      ofType('FAILED'),
      untilTerminal(),
    ]
    for (const operator of operators) {
      const source = new Subject<Transition>()
      const errors: unknown[] = []
      source.pipe(operator).subscribe({ error: (error) => errors.push(error) })
      source.error(new RangeError('gone'))
      expect(errors).toEqual([new RangeError('gone')])
      const other = new Subject<Transition>()
      const subscription = other.pipe(operator).subscribe()
      expect(other.observed).toBe(true)
      subscription.unsubscribe()
      expect(other.observed).toBe(false)
    }
  })

  it('keep the guard: what an observer throws goes to engine.errors', async () => {
    await using engine = testEngine()
    const errors: EngineError[] = []
    engine.errors.subscribe((error) => errors.push(error))
    const guarded: Observable<unknown> = engine.transitions.pipe(
      ofFlow('ship'),
      untilTerminal(),
      ofType('RUNNING'),
    )
    guarded.subscribe(() => {
      throw new RangeError('in the observer')
    })
    const run = engine.run(ship, 1)
    expect(await engine.settle(run)).toBe(1)
    expect(errors.map(({ error }) => error)).toEqual([new RangeError('in the observer')])
  })

  it('are refused names and states that there can not be', () => {
    // @ts-expect-error nothing to go by
    expect(() => ofFlow()).toThrow(code('INVALID_OPTION', /ofFlow takes flows/))
    expect(() => ofFlow('')).toThrow(code('INVALID_OPTION'))
    expect(() => ofTask({ name: 3 } as unknown as string)).toThrow(code('INVALID_OPTION', /ofTask/))
    expect(() => ofRun('')).toThrow(code('INVALID_OPTION', /ofRun/))
    expect(() => ofRun(null as unknown as string)).toThrow(code('INVALID_OPTION'))
    expect(() => untilTerminal({} as { id: string })).toThrow(code('INVALID_OPTION', /untilTerminal/))
    // @ts-expect-error no state
    expect(() => ofType('DONE')).toThrow(code('INVALID_OPTION', /DONE/))
    // @ts-expect-error nothing to go by
    expect(() => ofType()).toThrow(code('INVALID_OPTION'))
  })
})

describe('`asList`', () => {
  const run = (order: number, state: RunSummary['state']['name'] = 'Running'): RunSummary => ({
    id: `run${order}`,
    kind: 'flow',
    flow: 'ship',
    version: '1',
    runName: 'ship',
    state: { type: state === 'Running' ? 'RUNNING' : 'COMPLETED', name: state },
    tags: [],
    startedAt: order,
    changedAt: order,
    node: 'a',
    order,
  })
  const fold = (...changes: RunsChange[]): Promise<(readonly RunSummary[])[]> =>
    all(of(...changes).pipe(asList()))
  const orders = (lists: readonly (readonly RunSummary[])[]): number[][] =>
    lists.map((list) => list.map(({ order }) => order))

  it('folds changes in the order of the query', async () => {
    const changes: RunsChange[] = [
      { kind: 'added', run: run(4) },
      { kind: 'added', run: run(1) },
      { kind: 'changed', run: run(3, 'Completed') },
      { kind: 'removed', run: run(2) },
    ]
    const oldest = await fold({ kind: 'list', runs: [run(2), run(3)], newestFirst: false }, ...changes)
    expect(orders(oldest)).toEqual([
      [2, 3],
      [2, 3, 4],
      [1, 2, 3, 4],
      [1, 2, 3, 4],
      [1, 3, 4],
    ])
    expect(oldest.at(-1)?.[1]?.state.name).toBe('Completed')
    const newest = await fold({ kind: 'list', runs: [run(3), run(2)], newestFirst: true }, ...changes)
    expect(orders(newest)).toEqual([
      [3, 2],
      [4, 3, 2],
      [4, 3, 2, 1],
      [4, 3, 2, 1],
      [4, 3, 1],
    ])
  })

  it('gives a new list each time, and begins anew for each subscription', async () => {
    const changes: RunsChange[] = [
      { kind: 'list', runs: [run(1)], newestFirst: false },
      { kind: 'changed', run: run(1, 'Completed') },
    ]
    const lists = from(changes).pipe(asList())
    const [before, after] = await all(lists)
    expect(before?.[0]?.state.name).toBe('Running')
    expect(after?.[0]?.state.name).toBe('Completed')
    expect(await all(lists.pipe(toArray()))).toEqual([[before, after]])
  })
})
