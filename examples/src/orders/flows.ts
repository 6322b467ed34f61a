/** What becomes of an order: three flows. They say what happens; on which node, and what happens again, the engine decides. */
import { currentTaskRun, exponentialBackoff, flow, task } from '@troupe/core'
import { z } from 'zod'
import { NoUse, type World } from './world.ts'

/** The id is chosen by whoever orders: it makes one order of all repetitions. It goes into headers and keys, so it is a plain word. */
export const orderId = /^[\w-]{1,40}$/

/** What comes in from outside, so it is checked. */
const orderShape = z.object({
  id: z.string().regex(orderId),
  item: z.enum(['kite', 'lamp', 'globe']),
  quantity: z.int().min(1).max(9),
  customer: z.email(),
  card: z.string().min(1),
})

export type Order = z.infer<typeof orderShape>

const parameters = z.tuple([orderShape])

/** Not worth another try: the answer would be the same. */
const retryOn = (error: unknown): boolean => !(error instanceof NoUse)

/** For what must happen in the end, however long the other side is away. */
const patient = { retries: 1000, retryDelay: exponentialBackoff('200ms', { max: '5s' }), retryJitter: 0.3 }

// All runs of an order have one name, by which the page puts them together.
const runName = '{0.id} · {0.quantity} × {0.item}'

export function orderFlows({ stock, payments, mail }: World) {
  const reserve = task({ name: 'reserve', runName, ...patient, retryOn }, (order: Order) =>
    stock.reserve(order.id, order.item, order.quantity),
  )
  const release = task({ name: 'release', runName, ...patient }, (order: Order) =>
    stock.release(order.id, order.item),
  )

  const charge = task(
    {
      name: 'charge',
      runName,
      // Each attempt may take two seconds, and another one may be worth it for about ten.
      timeout: '2s',
      retries: 8,
      retryDelay: exponentialBackoff('300ms', { max: '2s' }),
      retryJitter: 0.3,
      retryOn,
    },
    (order: Order) => payments.charge(order.id, order.card, currentTaskRun().signal),
  )
  const refund = task({ name: 'refund', runName, ...patient }, (order: Order) => payments.refund(order.id))

  const write = task({ name: 'write', runName, ...patient, retryOn }, (order: Order) =>
    mail.send(order.id, order.customer, `${order.quantity} × ${order.item} will be with you soon`),
  )

  const pay = flow({ name: 'pay', runName }, (order: Order) => charge(order))
  const notify = flow({ name: 'notify', runName }, (order: Order) => write(order))

  const accept = flow({ name: 'accept', runName, parameters }, async (order: Order) => {
    try {
      await reserve(order)
      await pay(order)
      await notify(order)
    } catch (error) {
      // Whatever went wrong, and however far it had come: what was done is undone. A payment that failed may have been charged
      // all the same, for the answer may have been lost; so it is refunded, too. `cleanup` lets this run where the order is
      // being cancelled.
      await Promise.all([refund.with({ cleanup: true })(order), release.with({ cleanup: true })(order)])
      throw error
    }
  })

  return { accept, pay, notify }
}
