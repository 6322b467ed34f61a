/**
 * The NATS transport: flow runs and task runs of many nodes over NATS JetStream.
 *
 * @packageDocumentation
 */
export {}
