/** A node in a process of its own that takes from a queue, holds what it gets, and blocks its event loop when it is told to. */
import type { Delivery } from '@troupe/core'
import type { HolderOrder, HolderQuestion, HolderSaid } from './holder-orders.ts'
import { queueNodeAt } from './support.ts'
import { main } from './taker.ts'

const { node: name, blockOnFirstMs, ...options } = JSON.parse(process.argv[2] ?? '') as HolderOrder
const say = (said: HolderSaid): void => void process.send?.(said)

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

const node = queueNodeAt({
  ...options,
  cutOff: () => say({ said: 'cutOff' }),
  reported: (error) => say({ said: 'report', error: String(error) }),
})
const held = new Map<string, Delivery>()
let isFirst = true
const taking = node.queue.take(main, (delivery) => {
  held.set(delivery.id, delivery)
  say({ said: 'delivered', id: delivery.id, repeated: delivery.repeated })
  if (!isFirst || blockOnFirstMs === undefined) return
  isFirst = false
  // What was said is on its way before.
  setImmediate(() => setImmediate(() => block(blockOnFirstMs)))
})

process.on('message', (question: HolderQuestion) => {
  if (question.do === 'want') taking.want(question.count)
  if (question.do === 'block') block(question.ms)
  if (question.do === 'done') for (const delivery of held.values()) delivery.done()
  say({ said: 'answer', to: question.do })
})
process.on('disconnect', () => process.exit(0))

await node.nodes.announce(name)
say({ said: 'ready' })
