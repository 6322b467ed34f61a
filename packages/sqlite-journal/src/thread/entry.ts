/** What the journal's thread runs. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Call, ThreadData } from '../wires.ts'
import { Service } from './service.ts'

if (parentPort !== null) {
  const port = parentPort
  const service = new Service(workerData as ThreadData, {
    more: () => (receiveMessageOnPort(port) as { readonly message: readonly Call[] } | undefined)?.message,
    report: (report) => port.postMessage(report),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    // Not by itself: what programs load into all of their threads may keep this one.
    ended: () => process.exit(),
  })
  port.on('message', (calls: readonly Call[]) => void service.take(calls))
}
