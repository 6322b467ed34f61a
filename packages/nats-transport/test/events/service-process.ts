/** A service as a process: it takes orders from a stream, starts a flow run for each, and is killed in between. */
import { appendFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { createEngine, flow, task, type Engine } from '@troupe/core'
import { natsEvents } from '@troupe/nats-transport'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { natsTransportWith } from '../../src/nats-transport.ts'
import { shortTimes } from '../faults/harness/times.ts'
import type { Heard, Order, ServiceOrder } from './service-orders.ts'

const order = JSON.parse(process.argv[2] ?? '') as ServiceOrder
const say = (heard: Heard): void => void process.send?.(heard)

const ship = task('ship', ({ id, weight }: Order) => {
  appendFileSync(order.effects, `${id}\n`)
  return weight * 2
})
const accept = flow('accept', async (event: Order) => (await ship(event)) + 1)

function open(): Engine {
  if (order.journal === 'nats') {
    const { servers, namespace } = order
    const transport = natsTransportWith({ servers, namespace }, shortTimes)
    return createEngine({ node: 'service', transport, serve: { flows: [accept] } })
  }
  const journal = sqliteJournal(order.folder, { durability: 'process' })
  return createEngine({ node: 'service', journal, recover: true })
}

const engine = open()
engine.errors.subscribe(({ error }) => {
  const { code, message, cause } = error as Error & { readonly code?: string }
  if (code !== 'BAD_EVENT') say({ said: 'error', error: `${code} ${message} ${inspect(cause)}` })
})

const { servers, namespace, stream } = order
const events = natsEvents<Order>({
  servers,
  namespace,
  stream,
  consumer: 'service',
  create: { ackWait: '5s' },
})
const intake = engine.on(events, accept, {
  key: ({ id }) => id,
  parameters: (event) => {
    if (typeof event.id !== 'string') throw new TypeError('it has no id')
    if (event.weight < 0) throw new RangeError('it weighs less than nothing')
    return [event]
  },
})

let told = 0
intake.statuses.subscribe((status) => {
  const { received, started, duplicates, dead } = status
  if (received < told + 250 && status.state !== 'failed') return
  told = received
  globalThis.gc?.()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  say({ said: 'status', received, started, duplicates, dead, bytes: heapUsed + external + arrayBuffers })
})
intake.done.catch((error: unknown) => say({ said: 'error', error: String(error) }))

process.on('message', () => {
  void engine.close({ grace: '20s' }).then(() => process.exit(0))
})
process.on('disconnect', () => process.exit(0))
