import type { BodyStart } from '@troupe/core'
import type { Order, PackedOrders } from './wires.ts'

/** Values of one order in the list. */
const stride = 11
const beside = 1
const moves = 2

/** Orders as few large things: cloning many small ones takes longer than a small body. */
export function packOrders(orders: readonly Order[]): PackedOrders {
  const facts: (number | string | readonly string[] | undefined)[] = []
  let length = 0
  for (const { start } of orders) length += start.args.bytes.length
  const bytes = new Uint8Array(length)
  let at = 0
  for (const { lease, slot, task, start, ...flags } of orders) {
    const { runId, flowRunId, name, runName, attempt, tags, args } = start
    bytes.set(args.bytes, at)
    at += args.bytes.length
    const bits = (flags.beside ? beside : 0) | (flags.moves ? moves : 0)
    // The ids of task runs begin with that of their flow run.
    const flowLength = flowRunId.length
    const own = tags.length === 0 ? undefined : tags
    facts.push(lease, slot, task, bits, runId, flowLength, name, runName, attempt, own, args.bytes.length)
  }
  return { facts, bytes }
}

export function unpackOrders({ facts, bytes }: PackedOrders): Order[] {
  const orders: Order[] = []
  let from = 0
  for (let i = 0; i < facts.length; i += stride) {
    const [lease, slot, task, bits, runId, flowLength, name, runName, attempt, tags, length] = facts.slice(
      i,
      i + stride,
    ) as [
      number,
      number,
      number,
      number,
      string,
      number,
      string,
      string,
      number,
      string[] | undefined,
      number,
    ]
    const start: BodyStart = {
      runId,
      flowRunId: runId.slice(0, flowLength),
      name,
      runName,
      attempt,
      tags: tags ?? [],
      args: { bytes: bytes.subarray(from, from + length) },
    }
    from += length
    orders.push({ lease, slot, task, beside: (bits & beside) !== 0, moves: (bits & moves) !== 0, start })
  }
  return orders
}
