/** Where inference ends. These are known, documented limits; a change that moves one shows up here. */
import { flow, task, type RunFuture, type Task, type TaskFuture } from '@troupe/core'
import { expectTypeOf } from 'vitest'

// A generic function loses its type parameter: write a typed wrapper.
const identity = task('identity', <T>(value: T) => value)
expectTypeOf(identity(1)).toEqualTypeOf<TaskFuture<unknown>>()
const typed = identity as unknown as <T>(value: T | RunFuture<T>) => TaskFuture<T>
expectTypeOf(typed('x' as string)).toEqualTypeOf<TaskFuture<string>>()

// A parameter with a default has the type of its default.
const untyped = task('untyped', (key: string, n = 1) => key.length + n)
expectTypeOf(untyped('a')).toEqualTypeOf<TaskFuture<number>>()
untyped('a', 2)
// @ts-expect-error the default is a number
untyped('a', 'b')

// A parameter without a type is never: nothing can be passed for it until it has one.
const noType = task('no-type', (value) => {
  expectTypeOf(value).toEqualTypeOf<never>()
})
// @ts-expect-error write the parameter's type
noType(1)

// An overloaded function counts with its last overload.
function overloaded(value: string): string
function overloaded(value: number): number
function overloaded(value: string | number): string | number {
  return value
}
const last = task('last', overloaded)
expectTypeOf(last(1)).toEqualTypeOf<TaskFuture<number>>()
// @ts-expect-error the first overload is lost
last('x')

// An object type with a method takes futures only as a whole.
interface WithMethod {
  n: number
  grow(): WithMethod
}
declare const num: TaskFuture<number>
declare const withMethod: WithMethod
declare const withMethodF: TaskFuture<WithMethod>
const methods = task('methods', (_value: WithMethod) => 1)
methods(withMethod)
methods(withMethodF)
// @ts-expect-error not in its properties
methods({ n: num, grow: () => withMethod })

// A task that calls itself needs its result type written.
const countdown = task('countdown', async (n: number): Promise<number> =>
  n === 0 ? 0 : await countdown(n - 1),
)
expectTypeOf(countdown(3)).toEqualTypeOf<TaskFuture<number>>()
const fib: Task<[number], number> = task('fib', (n: number) => (n < 2 ? n : fib(n - 1)))
expectTypeOf(fib(3)).toEqualTypeOf<TaskFuture<number>>()

// A definition of too few parameters fits one of more, as functions do; a result that is ignored is void.
const noArguments: Task<[], number> = task('none', () => 1)
expectTypeOf(noArguments()).toEqualTypeOf<TaskFuture<number>>()

// Options are checked by name and by type.
// @ts-expect-error misspelt
task({ name: 'x', retires: 1 }, () => 1)
// @ts-expect-error no number
task({ name: 'x', retries: '1' }, () => 1)
// @ts-expect-error no duration
task({ name: 'x', grace: '1 week' }, () => 1)
// @ts-expect-error an option of flows
task({ name: 'x', onDivergence: 'run' }, () => 1)
// @ts-expect-error an option of calls
flow({ name: 'x', idempotencyKey: 'k' }, () => 1)
