/** A flow run and a task run stand wherever RxJS takes something to subscribe to. */
import { flow, task, type EngineError } from '@troupe/core'
import {
  catchError,
  concatMap,
  exhaustMap,
  finalize,
  firstValueFrom,
  forkJoin,
  from,
  mergeMap,
  of,
  race,
  Subject,
  switchMap,
  toArray,
} from 'rxjs'
import { describe, expect, it } from 'vitest'
import { deferred, quiet, testEngine } from './support.ts'

const double = flow('double', async (n: number) => 2 * n)
const fails = flow('fails', (): number => {
  throw new RangeError('on purpose')
})
const add = task('add', (a: number, b: number) => a + b)

describe('a flow run as an ObservableInput', () => {
  it('gives its value, and completes', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    from(double(4)).subscribe({ next: (value) => seen.push(value), complete: () => seen.push('complete') })
    await quiet()
    expect(seen).toEqual([8, 'complete'])
    expect(await engine.settle(firstValueFrom(from(add(1, 2))))).toBe(3)
  })

  it('stands in mergeMap, concatMap, switchMap, exhaustMap, forkJoin and race', async () => {
    await using engine = testEngine()
    const orders = of(1, 2, 3)
    const values = await engine.settle(
      firstValueFrom(
        forkJoin({
          merged: orders.pipe(
            mergeMap((n) => double(n)),
            toArray(),
          ),
          inTurn: orders.pipe(
            concatMap((n) => double(n)),
            toArray(),
          ),
          last: orders.pipe(
            switchMap((n) => double(n)),
            toArray(),
          ),
          first: orders.pipe(
            exhaustMap((n) => double(n)),
            toArray(),
          ),
          one: double(5),
          any: race(double(6), from(new Promise<number>(() => undefined))),
        }),
      ),
    )
    const { merged, ...others } = values
    expect(merged.toSorted((a, b) => a - b)).toEqual([2, 4, 6])
    expect(others).toEqual({ inTurn: [2, 4, 6], last: [6], first: [2], one: 10, any: 12 })
  })

  it('gives its error, and that is looking', async () => {
    await using engine = testEngine()
    const errors: EngineError[] = []
    engine.errors.subscribe((error) => errors.push(error))
    const caught = from(fails()).pipe(catchError((error: Error) => of(error.message)))
    expect(await engine.settle(firstValueFrom(caught))).toBe('on purpose')
    await quiet()
    expect(errors).toEqual([])
  })

  it('goes on when nobody listens any more, unless it is cancelled', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const waits = flow('waits', async () => gate.promise)
    const kept = waits()
    from(kept).subscribe().unsubscribe()
    const orders = new Subject<number>()
    const runs: ReturnType<typeof waits>[] = []
    const newest = orders.pipe(
      switchMap(() => {
        const run = waits()
        runs.push(run)
        return from(run).pipe(finalize(() => void run.cancel('another one came')))
      }),
    )
    const seen: unknown[] = []
    newest.subscribe({ next: (value) => seen.push(value) })
    orders.next(1)
    await quiet()
    orders.next(2)
    await quiet()
    gate.resolve()
    await engine.settle(Promise.all([kept.wait(), ...runs.map((run) => run.wait())]))
    expect([kept, ...runs].map(({ state }) => state.name)).toEqual(['Completed', 'Cancelled', 'Completed'])
    expect(seen).toEqual([undefined])
  })

  it('is one only as a future: a handle is asked for what is meant', async () => {
    await using engine = testEngine()
    const { handle } = double(4)
    // @ts-expect-error a handle has no `then`
    expect(() => from(handle)).toThrow(TypeError)
    expect(await engine.settle(firstValueFrom(from(handle.result())))).toBe(8)
    expect(
      (await engine.settle(firstValueFrom(handle.states.pipe(toArray())))).map(({ name }) => name),
    ).toEqual(['Pending', 'Running', 'Completed'])
    await expect(firstValueFrom(from(fails()))).rejects.toThrow(new RangeError('on purpose'))
  })
})
