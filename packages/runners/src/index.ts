/**
 * Where the tasks of a flow run: task runners for Troupe. Choosing one changes no flow code.
 *
 * @packageDocumentation
 */
export { ConcurrentTaskRunner, type ConcurrentTaskRunnerOptions } from '@troupe/core'
export { type NatsTaskRunnerOptions, type QueueOf } from './nats/options.ts'
export { NatsTaskRunner } from './nats/nats-task-runner.ts'
export { SequentialTaskRunner } from './sequential-task-runner.ts'
export { type WorkerThreadsTaskRunnerOptions } from './worker-threads/options.ts'
export { WorkerThreadsTaskRunner } from './worker-threads/worker-threads-task-runner.ts'
