/** What operators narrow, and flow runs as inputs of RxJS. */
import {
  asList,
  createEngine,
  flow,
  ofFlow,
  ofRun,
  ofTask,
  ofType,
  stuckLongerThan,
  task,
  untilTerminal,
  type RunsChange,
  type RunSummary,
  type Stuck,
  type Transition,
} from '@troupe/core'
import { from, mergeMap, of, switchMap, type Observable } from 'rxjs'
import { expectTypeOf } from 'vitest'

declare const transitions: Observable<Transition>
const ship = flow('ship', async (order: number) => ({ order }))
const label = task('label', () => 'x')

transitions.pipe(ofFlow('ship', ship), ofRun('x'), untilTerminal()).subscribe((transition) => {
  expectTypeOf(transition).toEqualTypeOf<Transition>()
})
transitions.pipe(ofTask('label', label)).subscribe((transition) => {
  expectTypeOf(transition.task).toEqualTypeOf<string>()
  expectTypeOf(transition.kind).toEqualTypeOf<'task'>()
})
transitions.pipe(ofType('FAILED')).subscribe(({ to }) => {
  expectTypeOf(to.type).toEqualTypeOf<'FAILED'>()
  expectTypeOf(to.name).toEqualTypeOf<'Failed' | 'TimedOut' | 'UnobservedFailure' | 'UpstreamFailed'>()
  expectTypeOf(to.message).toEqualTypeOf<string | undefined>()
})
transitions.pipe(ofType('Paused', 'CANCELLED')).subscribe(({ to }) => {
  expectTypeOf(to.type).toEqualTypeOf<'PAUSED' | 'CANCELLED'>()
  expectTypeOf(to.name).toEqualTypeOf<'Paused' | 'Cancelled'>()
})
// What was narrowed stays so.
transitions.pipe(ofTask('label'), ofType('RUNNING'), ofFlow('ship')).subscribe((transition) => {
  expectTypeOf(transition.task).toEqualTypeOf<string>()
  expectTypeOf(transition.to.type).toEqualTypeOf<'RUNNING'>()
})
// @ts-expect-error no state
ofType('DONE')
// @ts-expect-error a run and no list
ofRun(['a'])

expectTypeOf(transitions.pipe(stuckLongerThan('5m', { states: 'RUNNING' }))).toEqualTypeOf<
  Observable<Stuck>
>()

function queries(): void {
  const runs = createEngine().runs({ state: ['RUNNING', 'Paused'], tag: 'a', newestFirst: true, limit: 10 })
  runs.subscribe((change) => {
    if (change.kind === 'list') expectTypeOf(change.runs).toEqualTypeOf<readonly RunSummary[]>()
    else expectTypeOf(change.run).toEqualTypeOf<RunSummary>()
  })
  expectTypeOf(runs.pipe(asList())).toEqualTypeOf<Observable<readonly RunSummary[]>>()
  expectTypeOf(runs[Symbol.asyncIterator]().next()).resolves.toExtend<IteratorResult<RunsChange>>()
  // @ts-expect-error a live query has no pages
  createEngine().runs({ cursor: 'x' })
}
void queries

// A flow run, and a task run, is an input; a handle is not.
expectTypeOf(from(ship(1))).toEqualTypeOf<Observable<{ order: number }>>()
expectTypeOf(from(label())).toEqualTypeOf<Observable<string>>()
expectTypeOf(of(1, 2).pipe(mergeMap((order) => ship(order)))).toEqualTypeOf<Observable<{ order: number }>>()
expectTypeOf(of(1, 2).pipe(switchMap(() => label()))).toEqualTypeOf<Observable<string>>()
// @ts-expect-error it has no `then`
from(ship(1).handle)
