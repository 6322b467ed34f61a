import type { Transport } from '@troupe/core'
import { natsTransportWith } from '../../../src/nats-transport.ts'
import type { Settings } from './orders.ts'

/** The transport of every node of a test, and of whoever looks on. */
export function transportOf(
  servers: readonly string[],
  namespace: string,
  { times, ...settings }: Settings,
): Transport {
  return natsTransportWith({ servers, namespace, ...(settings as object) }, times ?? {})
}
