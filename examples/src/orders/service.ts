/**
 * One node: a web server, an intake of orders and an engine that runs their flows. As many as you like may run, on one machine or
 * many: `PORT=3000 NODE=one NATS_URL=127.0.0.1:4222 node dist/orders/service.js`.
 */
import { readFile } from 'node:fs/promises'
import { serve } from '@hono/node-server'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, nanos } from '@nats-io/transport-node'
import { type Transition, closeOnSignals, createEngine } from '@troupe/core'
import { natsEvents, natsTransport } from '@troupe/nats-transport'
import { transitionResponse } from '@troupe/web'
import { Hono } from 'hono'
import { orderFlows, orderId, type Order } from './flows.ts'
import { partsOf } from './parts.ts'
import { followRefused } from './refused.ts'
import { openWorld } from './world.ts'

const { NODE: node = 'one', NATS_URL: servers = '127.0.0.1:4222', PORT: port = '3000' } = process.env

// Never given up, however long there is no server.
const nc = await connect({
  servers,
  waitOnFirstConnect: true,
  maxReconnectAttempts: -1,
  reconnectTimeWait: 250,
})
// Orders that were placed, and those that were refused, for a month.
const month = nanos(30 * 24 * 3_600_000)
await (await jetstreamManager(nc)).streams.add({ name: 'ORDERS', subjects: ['orders.*'], max_age: month })
const orders = jetstream(nc)
const { accept, pay, notify } = orderFlows(await openWorld(nc))

const engine = createEngine({
  node,
  transport: natsTransport({ servers, namespace: 'shop' }),
  serve: { flows: [accept, pay, notify] },
})
// The supervisor ends the nodes before the server. A Ctrl-C reaches all processes of a terminal at once.
closeOnSignals(engine, { grace: '2s', signals: ['SIGTERM'] })
process.on('SIGINT', () => undefined)

// Each order in the stream becomes one run of `accept`, on the node that takes it. It is acknowledged when its run is recorded.
const placed = natsEvents<Order>({
  servers,
  stream: 'ORDERS',
  consumer: 'accept',
  // What a node had taken when it was killed, another one gets after five seconds.
  create: { filter: 'orders.placed', ackWait: '5s' },
})
engine.on(placed, accept, { key: ({ id }) => id, tags: ['order'], deadLetter: 'orders.refused' })
const refused = followRefused(orders)

const app = new Hono()

// It only takes the order. What else is in it, the schema of `accept` checks: orders may come from other services, too.
app.post('/orders', async (c) => {
  const order: unknown = await c.req.json().catch(() => undefined)
  const id = idOf(order)
  if (id === undefined)
    return c.json({ error: 'an order is an object with an id, of up to 40 of A-Z a-z 0-9 _ -' }, 400)
  try {
    await orders.publish('orders.placed', JSON.stringify(order), { msgID: id })
  } catch (error) {
    // Whoever ordered tries again, with the same id: it may be in the stream all the same.
    return c.json({ error: String(error) }, 503, { 'retry-after': '1' })
  }
  return c.json({ id }, 202)
})

app.get('/orders/events', (c) =>
  transitionResponse(engine.watch({ tag: 'order' }, { since: Date.now() - 3_600_000 }), c.req.raw, { show }),
)

/** What the page may know of a transition. A run has its name when it begins. */
function show({ runName: order, flow, task, to, attempt, node: by, at }: Transition): unknown {
  if (to.name === 'Pending') return undefined
  return { order, step: task ?? flow, state: to.name, message: to.message, attempt, node: by, at }
}

const parts = partsOf(app)
app.get('/status', (c) => c.json({ node, parts: parts(), refused: refused() }))

const files = {
  '/': ['text/html', new URL('../../src/orders/page/index.html', import.meta.url)],
  '/page.css': ['text/css', new URL('../../src/orders/page/page.css', import.meta.url)],
  '/page.js': ['text/javascript', new URL('../../src/orders/page/page.js', import.meta.url)],
  '/client.js': ['text/javascript', new URL(import.meta.resolve('@troupe/web/client'))],
} as const
for (const [path, [type, file]] of Object.entries(files))
  app.get(path, async (c) =>
    c.body(await readFile(file, 'utf8'), 200, { 'content-type': `${type}; charset=utf-8` }),
  )

serve({ fetch: app.fetch, port: Number(port), hostname: '127.0.0.1' })

function idOf(order: unknown): string | undefined {
  if (typeof order !== 'object' || order === null || !('id' in order)) return undefined
  return typeof order.id === 'string' && orderId.test(order.id) ? order.id : undefined
}
