/** Parameters by schema: calls take the schema's input, bodies get its output. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { flow, task, type FlowRun, type TaskFuture } from '@troupe/core'
import { type } from 'arktype'
import * as v from 'valibot'
import { expectTypeOf } from 'vitest'
import { z } from 'zod'

declare const text: TaskFuture<string>
declare const num: TaskFuture<number>

// By hand.
declare const byHand: StandardSchemaV1<[string | number, boolean?], [number, boolean]>
const handed = task({ name: 'handed', parameters: byHand }, (n, flag) => {
  expectTypeOf(n).toEqualTypeOf<number>()
  expectTypeOf(flag).toEqualTypeOf<boolean>()
  return n
})
expectTypeOf(handed('1')).toEqualTypeOf<TaskFuture<number>>()
handed(1, true)
handed(text)
handed(num, true)
// @ts-expect-error the schema takes no object
handed({})
// @ts-expect-error too many
handed(1, true, 2)

// zod: defaults, coercion, transforms, objects, rest.
const zodded = flow(
  {
    name: 'zodded',
    parameters: z.tuple([
      z.string().transform(Number),
      z.object({ unit: z.enum(['m', 'km']).default('m') }),
      z.coerce.number().optional(),
    ]),
  },
  (n, { unit }, factor) => {
    expectTypeOf(n).toEqualTypeOf<number>()
    expectTypeOf(unit).toEqualTypeOf<'m' | 'km'>()
    expectTypeOf(factor).toEqualTypeOf<number | undefined>()
    return n
  },
)
expectTypeOf(zodded('1', {})).toEqualTypeOf<FlowRun<number>>()
zodded(text, { unit: 'km' }, '3')
zodded(text, { unit: undefined })
// @ts-expect-error the input is a string
zodded(1, {})
// @ts-expect-error no such unit
zodded('1', { unit: 'mi' })
const rested = task({ name: 'rested', parameters: z.tuple([z.string()], z.number()) }, (_head, ...tail) => {
  expectTypeOf(tail).toEqualTypeOf<number[]>()
})
rested('x')
rested('x', 1, num)
// @ts-expect-error wrong rest
rested('x', 'y')

// valibot: a tuple, with a transform and an object with a default.
const valid = task(
  {
    name: 'valid',
    parameters: v.tuple([
      v.pipe(v.string(), v.transform(Number)),
      v.object({ deep: v.optional(v.boolean(), true) }),
    ]),
  },
  (n, { deep }) => {
    expectTypeOf(n).toEqualTypeOf<number>()
    expectTypeOf(deep).toEqualTypeOf<boolean>()
    return n
  },
)
valid('1', {})
valid(text, { deep: false })
// @ts-expect-error the input is a string
valid(1, {})

// arktype.
const arked = task({ name: 'arked', parameters: type(['string', 'number?']) }, (name, n) => {
  expectTypeOf(name).toEqualTypeOf<string>()
  expectTypeOf(n).toEqualTypeOf<number | undefined>()
  return name
})
arked('x')
arked(text, num)
// @ts-expect-error wrong order
arked(1, 'x')

// A schema of something that is no list of arguments is refused where it is defined.
// @ts-expect-error a schema of an object
task({ name: 'no-list', parameters: z.object({ a: z.string() }) }, () => 1)
// @ts-expect-error a body that takes something else than the schema gives
task({ name: 'mismatch', parameters: z.tuple([z.string()]) }, (n: number) => n)
