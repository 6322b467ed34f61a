/** One node of the cluster, in a process of its own: `node dist/multi-node/node.js one nats://127.0.0.1:4222`. */
import { closeOnSignals, createEngine } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { NatsTaskRunner } from '@troupe/runners'

import { flights } from '../quickstart/flow.ts'

const [node = 'one', servers = 'nats://127.0.0.1:4222'] = process.argv.slice(2)

const engine = createEngine({
  node,
  transport: natsTransport({ servers, namespace: 'flights' }),
  serve: {
    // The quickstart's flow, whose task runs go to whichever node is free.
    flows: [flights.with({ taskRunner: new NatsTaskRunner({ queue: 'flights' }) })],
    tasks: { flights: 1 },
  },
})
closeOnSignals(engine, { grace: '5s' })
