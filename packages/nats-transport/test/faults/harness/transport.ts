import type { Transport } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import type { Settings } from './orders.ts'

/** The transport of every node of a test, and of whoever looks on. */
export function transportOf(
  servers: readonly string[],
  namespace: string,
  { times: _, ...settings }: Settings,
): Transport {
  return natsTransport({ servers, namespace, ...settings })
}
