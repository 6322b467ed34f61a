/**
 * What a call of a task takes: values, futures of them, and containers with futures in them, two levels deep. Checked by
 * `tsc -b`; nothing here runs.
 */
import { allowFailure, flow, opaque, task, type FlowRun, type TaskFuture } from '@troupe/core'
import { expectTypeOf } from 'vitest'

interface Group {
  readonly name: string
  readonly n: number
}
declare const group: Group
declare const groupF: TaskFuture<Group>
declare const text: TaskFuture<string>
declare const num: TaskFuture<number>
declare const flag: TaskFuture<boolean>
declare const run: FlowRun<number>

// Plain parameters: a value or a future of it, of a task or a flow.
const plain = task('plain', (a: number, b: string) => `${a}${b}`)
plain(1, 'x')
plain(num, text)
plain(run, 'x')
expectTypeOf(plain(1, 'x')).toEqualTypeOf<TaskFuture<string>>()
// @ts-expect-error a string is no number
plain('1', 'x')
// @ts-expect-error nor is a future of one
plain(text, 'x')
// @ts-expect-error too few
plain(1)
// @ts-expect-error too many
plain(1, 'x', 2)
// @ts-expect-error a native promise is refused at run time, and by its type
plain(Promise.resolve(1), 'x')
// @ts-expect-error a bare handle stands for no argument
plain(num.handle, 'x')

// Objects: a future of the whole, or of any property.
const object = task('object', (_value: { a: number; b?: Group; readonly c: string | null }) => 1)
declare const wholeObject: TaskFuture<{ a: number; b?: Group; readonly c: string | null }>
object({ a: 1, c: null })
object(wholeObject)
object({ a: num, b: groupF, c: text })
object({ a: num, b: { name: text, n: num }, c: null })
// @ts-expect-error a property is missing
object({ a: num })
// @ts-expect-error a property too many
object({ a: num, c: 'x', tpyo: 1 })
// @ts-expect-error a future of the wrong type, in a property of a property
object({ a: num, b: { name: num, n: num }, c: 'x' })

// Lists, of values and futures mixed, a future of the whole, and lists of objects.
const list = task('list', (groups: Group[]) => groups.length)
const readonlyList = task('readonly-list', (groups: readonly Group[]) => groups.length)
declare const wholeList: TaskFuture<Group[]>
declare const readonlyFutures: readonly TaskFuture<Group>[]
list([group, groupF, { name: 'x', n: num }])
list(wholeList)
list([])
readonlyList(readonlyFutures)
readonlyList([group])
// @ts-expect-error a future of a list is no item of one
list([wholeList])
// @ts-expect-error strings are no groups
list([text])

// Lists of lists, and objects in lists in objects.
const matrix = task('matrix', (rows: number[][]) => rows.length)
matrix([[1, num], [num]])
declare const rowF: TaskFuture<number[]>
matrix([rowF, [1]])

// Tuples, with optional and rest elements.
const tuple = task('tuple', (_value: [number, string?, ...boolean[]]) => 1)
tuple([1])
tuple([num, text, flag, true])
// @ts-expect-error the order counts
tuple([text, num])

// Maps and sets, in keys and values.
const map = task('map', (_value: Map<string, Group>) => 1)
const set = task('set', (_value: ReadonlySet<number>) => 1)
map(new Map([['a', group]]))
map(new Map([['a', groupF]]))
map(new Map([[text, groupF]]))
set(new Set([1]))
set(new Set([num]))
// @ts-expect-error wrong value
map(new Map([['a', num]]))

// Optional and rest parameters, and defaults (which need their type written).
const optional = task('optional', (a: number, b?: string, ...rest: boolean[]) => [a, b, rest])
optional(1)
optional(num, text, flag, false)
optional(1, undefined, true)
const defaulted = task('defaulted', (a: number, b: string = 'x') => a + b)
defaulted(1)
defaulted(num, text)
// @ts-expect-error wrong rest
optional(1, 'x', 2)

// Unions and boolean: a future of one side is enough.
const union = task('union', (_value: string | number | { kind: 'a'; n: number } | { kind: 'b' }) => 1)
union('x')
union(num)
union(text)
union({ kind: 'a', n: num })
union({ kind: 'b' })
declare const stringOrNumber: TaskFuture<string | number>
union(stringOrNumber)
const boolean = task('boolean', (_value: boolean) => 1)
boolean(true)
boolean(flag)
// @ts-expect-error no boolean
boolean(num)
const literal = task('literal', (_value: 'asc' | 'desc') => 1)
literal('asc')
// @ts-expect-error no such word
literal('up')

// `unknown` and `any` take everything.
const unknownTask = task('unknown', (_value: unknown) => 1)
unknownTask(num)
unknownTask({ a: [num] })
// oxlint-disable-next-line typescript/no-explicit-any
const anyTask = task('any', (_value: any) => 1)
anyTask(num)
anyTask([1, 'x'])

// Recursive types.
type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
const json = task('json', (_value: Json) => 1)
json({ a: [1, { b: null }] })
json(num)
json([num, { a: text }])
interface Tree {
  value: number
  children: Tree[]
}
const tree = task('tree', (_value: Tree) => 1)
tree({ value: 1, children: [{ value: 2, children: [] }] })
tree({ value: num, children: [{ value: num, children: [] }] })

// Class instances, buffers, dates, functions: as a whole only.
class Money {
  readonly #cents: number
  constructor(cents: number) {
    this.#cents = cents
  }
  plus(other: Money): Money {
    return new Money(this.#cents + other.#cents)
  }
}
declare const moneyF: TaskFuture<Money>
const money = task('money', (...parameters: [Money, Date, Uint8Array, Error, RegExp]) => parameters.length)
money(new Money(1), new Date(), new Uint8Array(1), new RangeError('x'), /x/)
money(moneyF, new Date(), new Uint8Array(1), new Error('x'), /x/)
declare const bytesF: TaskFuture<Uint8Array>
money(moneyF, new Date(), bytesF, new Error('x'), /x/)
// @ts-expect-error looks like it, but is none
money({ plus: (other: Money) => other }, new Date(), new Uint8Array(1), new Error('x'), /x/)

// Callbacks keep their contextual types.
const callback = task('callback', (fn: (n: number, text: string) => boolean) => fn(1, 'x'))
callback((n, given) => {
  expectTypeOf(n).toEqualTypeOf<number>()
  expectTypeOf(given).toEqualTypeOf<string>()
  return n > 1
})

// Markers.
const orError = task('or-error', (_value: Group | Error) => 1)
orError(allowFailure(groupF))
// @ts-expect-error the task does not take an error
list([allowFailure(groupF)])
list(opaque([group]))
// @ts-expect-error what is opaque is not searched: a list of futures is no list of groups
list(opaque([groupF]))

// Options of a call do not change its parameters.
plain.with({ retries: 3, waitFor: [num], key: 'k' })(num, 'x')
flow('f', (a: number) => a).with({ id: 'x' })(num)
// @ts-expect-error an option of flows
plain.with({ id: 'x' })

// Errors stand where the mistake is: at the argument, and in an object at the property.
plain(
  1,
  // @ts-expect-error at the argument
  num,
)
object({
  a: 1,
  // @ts-expect-error at the property
  c: num,
})
object({
  a: 1,
  // @ts-expect-error at the object that lacks a property
  b: { n: num },
  c: null,
})
list([
  group,
  // @ts-expect-error at the item
  { name: 'x', n: text },
])
// A limit: where futures stand beside the mistake, they are reported, too.
object({
  // @ts-expect-error nothing is wrong with this one
  a: num,
  // @ts-expect-error but with this one
  c: num,
})
