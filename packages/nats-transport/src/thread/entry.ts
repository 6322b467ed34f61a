/** What the thread runs that a node's presence depends on. It loads no engine, and nothing of the user. */
import { parentPort, workerData } from 'node:worker_threads'
import { dial } from '../connection/dial.ts'
import { connectBy } from './connect.ts'
import { ServedPresence } from './served.ts'
import type { ThreadData, ToPresence } from './wires.ts'

const data = workerData as ThreadData
const port = parentPort
if (port !== null) {
  const connect = connectBy(() => dial(data.dial, data.label), {
    inboxPrefix: data.inboxPrefix,
    where: data.dial.servers.join(', '),
    label: data.label,
  })
  const served = new ServedPresence(data, connect, (message) => port.postMessage(message))
  port.on('message', (message: ToPresence) => served.take(message))
}
