import type { BodyStart } from '@troupe/core'
import type { Order, PackedOrders } from './wires.ts'

/** Words of one order. */
const stride = 12
const beside = 1
const moves = 2

/** Orders as few large things: cloning many small ones takes longer than a small body. */
export function packOrders(orders: readonly Order[]): PackedOrders {
  const words = new Int32Array(orders.length * stride)
  let length = 0
  for (const { start } of orders) length += start.args.bytes.length
  const bytes = new Uint8Array(length)
  let text = ''
  let at = 0
  let to = 0
  for (const { lease, slot, task, start, beside: isBeside, moves: isMoving } of orders) {
    const { runId, flowRunId, name, runName, attempt, tags, args, trace } = start
    const told = tags.length === 0 ? '' : JSON.stringify(tags)
    const belongs = trace === undefined ? '' : `${trace.traceparent}\n${trace.tracestate ?? ''}`
    bytes.set(args.bytes, at)
    at += args.bytes.length
    text += runId + name + runName + told + belongs
    words[to++] = lease
    words[to++] = slot
    words[to++] = task
    words[to++] = (isBeside ? beside : 0) | (isMoving ? moves : 0)
    words[to++] = attempt
    // The ids of task runs begin with that of their flow run.
    words[to++] = flowRunId.length
    words[to++] = runId.length
    words[to++] = name.length
    words[to++] = runName.length
    words[to++] = told.length
    words[to++] = belongs.length
    words[to++] = args.bytes.length
  }
  return { words, text, bytes }
}

function traceIn(belongs: string): NonNullable<BodyStart['trace']> {
  const [traceparent = '', tracestate = ''] = belongs.split('\n')
  return tracestate === '' ? { traceparent } : { traceparent, tracestate }
}

export function unpackOrders({ words, text, bytes }: PackedOrders): Order[] {
  const orders: Order[] = []
  let next = 0
  let at = 0
  let from = 0
  const word = (): number => words[next++] ?? 0
  const part = (length: number): string => text.slice(at, (at += length))
  while (next < words.length) {
    const [lease, slot, task, bits, attempt, flowLength] = [word(), word(), word(), word(), word(), word()]
    const runId = part(word())
    const name = part(word())
    const runName = part(word())
    const told = part(word())
    const belongs = part(word())
    const length = word()
    const start: BodyStart = {
      runId,
      flowRunId: runId.slice(0, flowLength),
      name,
      runName,
      attempt,
      tags: told === '' ? [] : (JSON.parse(told) as string[]),
      args: { bytes: bytes.subarray(from, (from += length)) },
      ...(belongs === '' ? undefined : { trace: traceIn(belongs) }),
    }
    orders.push({ lease, slot, task, beside: (bits & beside) !== 0, moves: (bits & moves) !== 0, start })
  }
  return orders
}
