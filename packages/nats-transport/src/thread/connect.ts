import type { NatsConnection } from '@nats-io/transport-node'
import type { Clock, Random } from '@troupe/core'
import { randomInt } from 'node:crypto'
import { Connected } from '../connection/connected.ts'
import { troubleWith } from '../connection/errors.ts'
import type { Connect } from './served.ts'

/** The clock of the machine: presence is never on virtual time. */
const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  at(deadline, fn) {
    const timer = setTimeout(fn, Math.max(0, deadline - Date.now()))
    return () => clearTimeout(timer)
  },
  turn: (fn) => void setImmediate(fn),
}

const random: Random = {
  number: () => randomInt(2 ** 32) / 2 ** 32,
  uint32: () => randomInt(2 ** 32),
}

/** Between two tries to connect for the first time, at least and at most. */
const retryMs = [250, 5_000] as const

/** Makes the connection that presence uses, of whatever makes one. */
export function connectBy(
  make: () => Promise<NatsConnection>,
  parts: { readonly inboxPrefix: string; readonly where: string; readonly label: string },
): Connect {
  const { inboxPrefix, where, label } = parts
  return async (report, isClosed) => {
    const host = { node: label, clock, random, report, cutOff: report }
    const [least, most] = retryMs
    for (let waitMs: number = least; !isClosed(); waitMs = Math.min(waitMs * 2, most)) {
      try {
        return await Connected.over(await make(), { host, settings: { inboxPrefix }, where })
      } catch (error) {
        if (isClosed()) break
        report(troubleWith("can't connect for the node's presence", where, error))
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
    }
    return undefined
  }
}
