/** What a call gives: the type of the value follows from the body, with futures, endings and handles resolved. */
import {
  asCompleted,
  cancelled,
  completed,
  createEngine,
  failed,
  flow,
  task,
  unmapped,
  waitAll,
  type AnyRunHandle,
  type FlowRun,
  type FlowRunHandle,
  type RunHandle,
  type RunState,
  type TaskFuture,
  type TaskHandle,
  type Waited,
} from '@troupe/core'
import { expectTypeOf } from 'vitest'

interface Group {
  name: string
  n: number
}
const group = task('group', async (n: number): Promise<Group> => ({ name: 'x', n }))
const word = task('word', () => 'x')

// Sync and async bodies alike; nothing, never, and a union.
expectTypeOf(group(1)).toEqualTypeOf<TaskFuture<Group>>()
expectTypeOf(word()).toEqualTypeOf<TaskFuture<string>>()
expectTypeOf(flow('f', () => 1)()).toEqualTypeOf<FlowRun<number>>()
expectTypeOf(task('nothing', () => undefined)()).toEqualTypeOf<TaskFuture<undefined>>()
expectTypeOf(task('void', async () => {})()).toEqualTypeOf<TaskFuture<void>>()
expectTypeOf(task('maybe', (n: number) => (n > 1 ? n : undefined))(1)).toEqualTypeOf<
  TaskFuture<number | undefined>
>()
expectTypeOf(
  task('never', (): never => {
    throw new RangeError()
  })(),
).toEqualTypeOf<TaskFuture<never>>()

// What is awaited.
async function awaited(): Promise<void> {
  expectTypeOf(await group(1)).toEqualTypeOf<Group>()
  expectTypeOf(await group(1).result()).toEqualTypeOf<Group>()
  expectTypeOf(await group(1).handle.result()).toEqualTypeOf<Group>()
  expectTypeOf(await group(1).wait()).toEqualTypeOf<RunState>()
  expectTypeOf(await group(1).catch(() => 'x')).toEqualTypeOf<Group | string>()
  expectTypeOf(await group(1).then(({ n }) => n)).toEqualTypeOf<number>()
  expectTypeOf(await Promise.all([group(1), word()])).toEqualTypeOf<[Group, string]>()
  expectTypeOf(await Promise.race([group(1), word()])).toEqualTypeOf<Group | string>()
  expectTypeOf(await waitAll([group(1)])).toEqualTypeOf<Waited<TaskFuture<Group>>>()
  for await (const one of asCompleted([group(1)])) expectTypeOf(one).toEqualTypeOf<RunHandle<Group>>()
}
void awaited

// A forgotten await is an error by itself.
function forgotten(): number {
  // @ts-expect-error a future is always true
  if (group(1)) return 1 // oxlint-disable-line typescript/no-misused-promises
  // @ts-expect-error a future has no properties of its value
  return group(1).n
}
void forgotten

// A body that returns futures: their values.
expectTypeOf(flow('one', () => group(1))()).toEqualTypeOf<FlowRun<Group>>()
expectTypeOf(flow('later', async () => group(1))()).toEqualTypeOf<FlowRun<Group>>()
expectTypeOf(flow('handle', async () => group(1).handle)()).toEqualTypeOf<FlowRun<Group>>()
expectTypeOf(flow('list', () => [group(1), group(2)])()).toEqualTypeOf<FlowRun<Group[]>>()
expectTypeOf(flow('mapped', () => group.map([1, 2]))()).toEqualTypeOf<FlowRun<Group[]>>()
expectTypeOf(flow('object', () => ({ a: group(1), b: { c: word() }, d: 1 }))()).toEqualTypeOf<
  FlowRun<{ a: Group; b: { c: string }; d: number }>
>()
expectTypeOf(flow('tuple', () => [group(1), word()] as const)()).toEqualTypeOf<
  FlowRun<readonly [Group, string]>
>()
expectTypeOf(flow('map', () => new Map([['a', group(1)]]))()).toEqualTypeOf<FlowRun<Map<string, Group>>>()
expectTypeOf(flow('set', () => new Set([word()]))()).toEqualTypeOf<FlowRun<Set<string>>>()
expectTypeOf(flow('either', (a: boolean) => (a ? word() : 1))(true)).toEqualTypeOf<FlowRun<string | 1>>()

// Leaves stay what they are.
expectTypeOf(flow('date', () => new Date())()).toEqualTypeOf<FlowRun<Date>>()
expectTypeOf(flow('bytes', () => new Uint8Array(1))()).toEqualTypeOf<FlowRun<Uint8Array<ArrayBuffer>>>()
class Money {
  readonly cents = 1
  plus(other: Money): Money {
    return other
  }
}
expectTypeOf(flow('money', () => new Money())()).toEqualTypeOf<FlowRun<Money>>()
// oxlint-disable-next-line typescript/no-explicit-any
expectTypeOf(flow('any', () => JSON.parse('1') as any)().result()).resolves.toBeAny()
expectTypeOf(flow('unknown', () => JSON.parse('1') as unknown)()).toEqualTypeOf<FlowRun<unknown>>()

// Endings: the value of `completed`, and nothing of the others.
expectTypeOf(flow('completed', () => completed(1))()).toEqualTypeOf<FlowRun<number>>()
expectTypeOf(flow('failed', () => failed(new RangeError()))()).toEqualTypeOf<FlowRun<never>>()
expectTypeOf(flow('cancelled', () => cancelled())()).toEqualTypeOf<FlowRun<never>>()
expectTypeOf(
  task('ends', (n: number) => {
    if (n > 2) return completed('much')
    if (n > 1) return failed(new RangeError())
    return n
  })(1),
).toEqualTypeOf<TaskFuture<string | number>>()

// Handles.
declare const run: FlowRun<Group>
expectTypeOf(run.handle).toEqualTypeOf<FlowRunHandle<Group>>()
expectTypeOf(group(1).handle).toEqualTypeOf<TaskHandle<Group>>()
expectTypeOf(run.ignore()).toEqualTypeOf<FlowRun<Group>>()
expectTypeOf(run.handle).not.toHaveProperty('then')
expectTypeOf(run).toHaveProperty('pause')
expectTypeOf(group(1)).not.toHaveProperty('pause')
expectTypeOf<FlowRun<'a'>>().toExtend<FlowRun<string>>()
expectTypeOf<TaskFuture<string>>().not.toExtend<TaskFuture<'a'>>()

// Engines.
const engine = createEngine()
const named = flow('named', (file: string, n?: number) => ({ file, n }))
expectTypeOf(engine.run(named, 'x')).toEqualTypeOf<FlowRun<{ file: string; n: number | undefined }>>()
engine.run(named, word(), 1)
// @ts-expect-error the argument is missing
engine.run(named)
// @ts-expect-error wrong argument
engine.run(named, 1)
// @ts-expect-error a task is no flow
engine.run(group, 1)
expectTypeOf(engine.get('x')).resolves.toEqualTypeOf<AnyRunHandle | undefined>()

// `map`.
const add = task('add', (a: number, b: number, c: number = 0) => a + b + c)
const lengths = task('lengths', (list: string[], suffix: string) => list.map((one) => one + suffix).length)
expectTypeOf(add.map([1], [2])).toEqualTypeOf<TaskFuture<number>[]>()
declare const n: TaskFuture<number>
declare const texts: TaskFuture<string[]>
add.map([1, n], 2)
add.map([1], n, [3])
add.map(new Set([1]), unmapped(2))
add.map([1], unmapped(n))
lengths.map([['a'], ['b']], 'x')
lengths.map([texts, [word()]], word())
lengths.map(unmapped(['a', 'b']), ['x', 'y'])
lengths.map(unmapped(texts), ['x', word()])
// @ts-expect-error items of the wrong type
add.map(['a'], [1])
// @ts-expect-error a constant of the wrong type
add.map([1], 'a')
// @ts-expect-error an unmapped value of the wrong type
add.map([1], unmapped('a'))
// @ts-expect-error an argument is missing
add.map([1])
// @ts-expect-error a list is mapped over, so its items must be lists here
lengths.map(['a', 'b'], 'x')
