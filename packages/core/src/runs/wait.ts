import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { deadlineAfter } from './deadline.ts'
import type { Target } from './current-body.ts'
import { Future, Handle, isForeignFuture } from './future.ts'
import { twoCopies } from './refused-arguments.ts'
import { AllowFailure, type Wrapped } from './markers.ts'
import { currentBody } from './run-context.ts'
import type { RunHandle } from './types.ts'

/** What `waitAll` found. @public */
export interface Waited<F> {
  /** Those that have ended, in the order given. */
  readonly done: F[]
  /** Those that had not when the time was over, in the order given. */
  readonly pending: F[]
}

function targetsOf(futures: readonly unknown[], what: string): Target[] {
  const targets = futures.map((future, index) => {
    if (future instanceof Handle) return Handle.targetOf(future)
    if (typeof future === 'object' && future !== null && isForeignFuture(future))
      throw twoCopies(`${what} ${index}`)
    throw new UsageError('INVALID_OPTION', `expected a future or a handle at place ${index} of ${what}`)
  })
  const body = currentBody()
  for (const target of targets) {
    target.looked = true
    body?.awaits(target)
  }
  return targets
}

/**
 * Waits for runs to end, all at once. Never rejects for runs that did not complete; all of them count as looked at.
 *
 * @param options - `timeout`: how long to wait at the most; default without limit, 0 only looks.
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`, `DEADLOCK`
 * @public
 */
export async function waitAll<F extends RunHandle<unknown>>(
  futures: Iterable<F>,
  options: { readonly timeout?: Duration } = {},
): Promise<Waited<F>> {
  const list = [...futures]
  const ms = options.timeout === undefined ? undefined : toMilliseconds(options.timeout, 'timeout')
  const targets = targetsOf(list, 'the list of waitAll')
  const body = currentBody()
  const ended = new Set<number>()
  const all = Promise.all(targets.map((target, index) => target.untilEnd(body).then(() => ended.add(index))))
  const clock = targets[0]?.clock
  if (ms === undefined || clock === undefined) await all
  else {
    const deadline = body?.deadlineAfter(ms) ?? deadlineAfter(clock, ms)
    try {
      await Promise.race([all, deadline.done])
    } finally {
      deadline.stop()
    }
  }
  return {
    done: list.filter((_, index) => ended.has(index)),
    pending: list.filter((_, index) => !ended.has(index)),
  }
}

/** Somebody who asked `asCompleted` for the next. */
interface Asker<T> {
  readonly resolve: (result: IteratorResult<RunHandle<T>, undefined>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Gives futures in the order in which their runs end, whatever way they end; those that have ended already come first, as they stand
 * in the list. `for await` over it does not wait for more than the next. All of them count as looked at.
 *
 * It gives the very objects that it was given. They are typed as handles, because TypeScript takes the variable of a
 * `for await` loop for awaited: `await handle.result()` gives the value.
 *
 * @throws {@link UsageError} `INVALID_OPTION`, `DEADLOCK`
 * @public
 */
export function asCompleted<T>(futures: Iterable<RunHandle<T>>): AsyncIterableIterator<RunHandle<T>> {
  // Written by hand: an async generator would await the futures that it yields, and throw for those that failed.
  const list = [...futures]
  const ready: ((to: Asker<T>) => void)[] = []
  const askers: Asker<T>[] = []
  let left = list.length
  const targets = targetsOf(list, 'the list of asCompleted')
  const end = { value: undefined, done: true } as const
  const give = (to: Asker<T>, one: (to: Asker<T>) => void): void => {
    left--
    one(to)
    if (left === 0) for (const late of askers.splice(0)) late.resolve(end)
  }
  const arrived = (one: (to: Asker<T>) => void): void => {
    if (left === 0) return
    const asker = askers.shift()
    if (asker === undefined) ready.push(one)
    else give(asker, one)
  }
  targets.forEach((target, index) => {
    const value = list[index] as RunHandle<T>
    target.untilEnd(currentBody()).then(
      () => arrived(({ resolve }) => resolve({ value, done: false })),
      (error: unknown) => arrived(({ reject }) => reject(error)),
    )
  })
  return {
    next: () =>
      new Promise((resolve, reject) => {
        const one = ready.shift()
        if (one !== undefined) give({ resolve, reject }, one)
        else if (left === 0) resolve(end)
        else askers.push({ resolve, reject })
      }),
    return: () => {
      left = 0
      ready.length = 0
      for (const late of askers.splice(0)) late.resolve(end)
      return Promise.resolve(end)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/**
 * As an argument: the task runs although `future`'s run does not complete, and receives its error as the value. Around a
 * container it holds for every future in it.
 *
 * @public
 */
export function allowFailure<T>(future: RunHandle<T> & PromiseLike<T>): Wrapped<T | Error> {
  if (future instanceof Future) Handle.targetOf(future).looked = true
  return new AllowFailure(future) as unknown as Wrapped<T | Error>
}
