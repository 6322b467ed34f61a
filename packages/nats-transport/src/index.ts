/**
 * The NATS transport: flow runs and task runs of many nodes over NATS JetStream.
 *
 * @packageDocumentation
 */
export type { NatsAuth, NatsTls } from './connection/dial.ts'
export { natsEvents } from './events/nats-events.ts'
export type { NatsConsumerOptions, NatsEventMessage, NatsEventsOptions } from './events/options.ts'
export { natsTransport } from './nats-transport.ts'
export type { NatsKeep, NatsPublish, NatsTransportOptions } from './options.ts'
