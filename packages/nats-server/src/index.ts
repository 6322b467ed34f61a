/**
 * Real nats-servers for the tests, examples and benchmarks of this repository.
 *
 * It knows nothing of Troupe and nothing of a NATS client: only binaries, processes and the servers' monitoring.
 */
export { startCluster } from './cluster.ts'
export type { ClusterOptions, NatsCluster, Requester } from './cluster.ts'
export { NatsServerError } from './errors.ts'
export { findServer, serverVersion } from './find.ts'
export type { ServerVersion } from './find.ts'
export { freePorts } from './ports.ts'
export { startServer } from './server.ts'
export type { NatsServer, ServerOptions } from './server.ts'
