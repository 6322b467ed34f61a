/** A worker in ten lines: executes task runs of the queue `flights`, on any machine that reaches the server. */
import { closeOnSignals, createWorker } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'

const worker = await createWorker({
  transport: natsTransport({ servers: process.argv[2] ?? '127.0.0.1:4222', namespace: 'flights' }),
  queues: { flights: 2 },
  modules: [new URL('../quickstart/flow.js', import.meta.url)],
})
closeOnSignals(worker, { grace: '30s' })
console.log(`${worker.node} takes task runs from the queue flights; Ctrl-C ends it`)
