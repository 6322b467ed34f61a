import type { AnyFlow, Engine } from '@troupe/core'
import { deliveryFlow } from './delivery.ts'
import { begin, Feed, type WebhookStatus } from './feed.ts'
import { checkEndpoints, settingsOf, type WebhookEndpoint, type WebhookOptions } from './options.ts'

export type { WebhookStatus } from './feed.ts'

/** Webhooks of an engine. @public */
export interface Webhooks {
  /** How each endpoint is doing, in the order in which they were given. */
  status(): readonly WebhookStatus[]
  /** Starts no more deliveries. Those that are under way are flow runs of the engine, and go on. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Sends transitions to other services: a POST for each that an endpoint wants, signed as Standard Webhooks are, and tried again
 * until it is answered with 2xx. Each delivery is a flow run of the engine, so it survives what flow runs survive, and several
 * nodes that have the same endpoint send it once.
 *
 * What is sent is what was committed since the endpoint was first given to an engine over these journals, also while no process
 * was there: at least once, and those of one flow run in their order.
 *
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`, `ENGINE_CLOSED`
 * @public
 */
export function webhooks(
  engine: Engine,
  endpoints: readonly WebhookEndpoint[],
  options: WebhookOptions = {},
): Webhooks {
  const settings = settingsOf(options)
  const checked = checkEndpoints(endpoints)
  const feeds = checked.map(
    (endpoint) => new Feed(engine, endpoint, settings, deliveryFlow(endpoint, settings)),
  )
  const close = async (): Promise<void> => {
    for (const feed of feeds) feed.close()
    await Promise.all(feeds.map(({ done }) => done))
  }
  return {
    status: () => feeds.map(({ status }) => status),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * The flows whose runs are the deliveries to these endpoints, for nodes of a cluster that are to go on with deliveries of others:
 * `createEngine({ transport, serve: { flows: [...webhookFlows(endpoints)] } })`.
 *
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function webhookFlows(
  endpoints: readonly WebhookEndpoint[],
  options: WebhookOptions = {},
): readonly AnyFlow[] {
  const settings = settingsOf(options)
  return [begin, ...checkEndpoints(endpoints).map((endpoint) => deliveryFlow(endpoint, settings))]
}
