/** What `engine.on` takes: events and the arguments that are made of them fit together, with no types written. */
import { createEngine, flow, type EventSource, type Intake } from '@troupe/core'
import { of, type Observable } from 'rxjs'
import { expectTypeOf } from 'vitest'

interface Order {
  readonly id: string
  readonly count: number
}

declare const source: EventSource<Order>
declare const observable: Observable<Order>
declare const iterable: AsyncIterable<Order>

const engine = createEngine()
const whole = flow('whole', (order: Order) => order.count)
const parts = flow('parts', (id: string, count: number) => `${id} ${count}`)
const some = flow('some', (order: Order, times?: number) => order.count * (times ?? 1))

// The event itself, where the flow takes it.
expectTypeOf(engine.on(source, whole)).toEqualTypeOf<Intake>()
engine.on(observable, whole)
engine.on(iterable, whole, { concurrency: 3 })
engine.on(source, some)
engine.on(of({ id: 'a', count: 1 }), whole)

// Else what makes the arguments; the event has its type.
engine.on(source, parts, { parameters: ({ id, count }) => [id, count] })
engine.on(observable, parts, {
  parameters: async (order) => {
    expectTypeOf(order).toEqualTypeOf<Order>()
    return [order.id, order.count]
  },
  key: (order) => order.id,
  tags: (order) => [order.id],
  deadLetter: ({ event }) => expectTypeOf(event).toEqualTypeOf<Order | undefined>(),
})

// @ts-expect-error the flow takes no order
engine.on(source, parts)
// @ts-expect-error nor with other options
engine.on(source, parts, { concurrency: 3 })
// @ts-expect-error the second is a number
engine.on(source, parts, { parameters: ({ id }) => [id, id] })
// @ts-expect-error a key is a text
engine.on(source, whole, { key: ({ count }) => count })

// By its name nobody knows what it takes.
engine.on(source, 'whole')
engine.on(iterable, { flow: 'parts', tags: ['shop'] }, { parameters: ({ id, count }) => [id, count] })
