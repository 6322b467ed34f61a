/**
 * Troupe: flows of tasks, in which every flow run and task run is an actor.
 *
 * @packageDocumentation
 */
export type { Duration } from './base/duration.ts'
export {
  CodecError,
  InternalError,
  JournalError,
  RunError,
  TroupeError,
  UsageError,
  type ErrorCode,
  type ErrorDetails,
} from './base/errors.ts'
export { compression, type CompressionOptions } from './codecs/compression.ts'
export { encryption, type EncryptionKey, type EncryptionOptions } from './codecs/encryption.ts'
export { isTaskThread } from './base/task-thread.ts'
export { callBodiesWithin } from './base/bodies-within.ts'
export type { LogFields, Logger, LogLine, RunLogger } from './base/logger.ts'
export {
  flowParameters,
  inputs,
  runId,
  taskSource,
  version,
  type CachePolicy,
  type InputsOptions,
} from './definitions/cache-policies.ts'
export type { OnBodyError } from './definitions/definition.ts'
export type { AnyFunction } from './definitions/functions.ts'
export { flow, type AnyFlow, type Flow } from './definitions/flow.ts'
export type {
  FlowCallOptions,
  FlowOptions,
  RunOptions,
  TaskCallOptions,
  TaskOptions,
} from './definitions/options.ts'
export type { Hook, HookEvent, HookOptions } from './definitions/hooks.ts'
export {
  abort,
  exponentialBackoff,
  retryAfter,
  type BackoffOptions,
  type RetryDelay,
  type RetryOn,
} from './definitions/retrying.ts'
export type { RunName } from './definitions/run-names.ts'
export { task, type AnyTask, type Task } from './definitions/task.ts'
export { createWorker, type WorkerOptions } from './engine/create-worker.ts'
export { createEngine, type CloseOptions, type Engine } from './engine/create-engine.ts'
export type { ForkOptions } from './engine/fork.ts'
export type { ExportOptions, ImportOptions } from './engine/run-file.ts'
export type { ListOptions, RunPage, RunsQuery } from './engine/list-options.ts'
export type { Progress } from './engine/progress.ts'
export type { ReplayOptions, ReplayReport } from './engine/replay-run.ts'
export type { EngineError, EngineHealth, EngineOptions } from './engine/engine-options.ts'
export type { Limit, LimitState, LimitTarget } from './engine/limit.ts'
export type { Limits } from './engine/limits.ts'
export type { DeadLetter, EventDelivery, EventSource, EventTaker, EventTap } from './events/event-source.ts'
export type { EventInfo, IntakeArguments, IntakeOptions } from './events/intake-options.ts'
export type { Intake, IntakeState, IntakeStatus } from './events/intake-types.ts'
export type { EventsOf } from './events/sources.ts'
export { flowRunMachine } from './machines/flow-run-machine.ts'
export type { RunState, StateName, StateType } from './machines/states.ts'
export { taskRunMachine } from './machines/task-run-machine.ts'
export { memoryBlobs, type Blobs } from './ports/blobs.ts'
export { memoryCache, type Cache, type CacheEntry, type MemoryCacheOptions } from './ports/cache.ts'
export type { Clock } from './ports/clock.ts'
export type {
  Append,
  AppendRefused,
  CommitListener,
  Journal,
  JournalQuery,
  JournalSummary,
} from './ports/journal.ts'
export { memoryMailbox, type Mailbox, type MailMessage } from './ports/mailbox.ts'
export { closeOnSignals, type CloseOnSignalsOptions } from './engine/close-on-signals.ts'
export type { ReleaseOptions } from './engine/release.ts'
export type { NamedFlow } from './engine/named-flow.ts'
export type { Serve } from './engine/serve-options.ts'
export type {
  AttemptScope,
  EngineGauges,
  Instrumentation,
  InstrumentationEvent,
  InstrumentedAttempt,
  InstrumentedEnd,
  InstrumentedEngine,
  InstrumentedRun,
  SentScope,
  TraceCarrier,
} from './ports/instrumentation.ts'
export type { ClusterNodes, NodeInfo, Nodes } from './ports/nodes.ts'
export type { Delivery, Offer, Queue, QueueName, QueuePriority, Taking } from './ports/queue.ts'
export type { Register, Registered } from './ports/register.ts'
export type { Station, Transport, TransportHost } from './ports/transport.ts'
export { memoryTransport, type MemoryTransport } from './memory-transport/memory-transport.ts'
export type { MemoryFaults, MemoryTransportOptions } from './memory-transport/options.ts'
export type { PayloadCodec } from './ports/payload-codec.ts'
export { memoryJournal, type MemoryJournalOptions } from './ports/memory-journal.ts'
export type { Random } from './ports/random.ts'
export type {
  Assignment,
  BodyResult,
  PoolHost,
  RemoteHost,
  TaskPool,
  TaskReports,
  TaskRunner,
} from './ports/task-runner.ts'
export { ConcurrentTaskRunner, type ConcurrentTaskRunnerOptions } from './runners/concurrent-task-runner.ts'
export type { ForeignBody, Link, Runtime } from './remote/link.ts'
export type { Answer, Ask, BodyEvent, BodyServer, BodyStart, Parcel, Tell } from './remote/protocol.ts'
export {
  bindRun,
  currentFlowRun,
  currentTaskRun,
  now,
  random,
  receive,
  sleep,
  sleepUntil,
  uuid,
  waitForInput,
  withTags,
  type ReceiveOptions,
} from './runs/context.ts'
export { cancelled, completed, failed } from './runs/endings.ts'
export { opaque, transfer, unmapped, type Unmapped, type Wrapped } from './runs/markers.ts'
export type {
  AnyRunHandle,
  Arg,
  Args,
  CurrentRun,
  FlowControls,
  FlowRun,
  FlowRunHandle,
  MapArg,
  MapArgs,
  RunFuture,
  RunHandle,
  Settled,
  TaskFuture,
  TaskHandle,
} from './runs/types.ts'
export { allowFailure, asCompleted, waitAll, type Waited } from './runs/wait.ts'
export {
  ofFlow,
  ofRun,
  ofTask,
  ofType,
  untilTerminal,
  type Identified,
  type Named,
  type NamesOfStates,
  type TaskTransition,
  type TransitionTo,
} from './streams/operators.ts'
export { asList, type RunsChange, type RunSummary } from './streams/as-list.ts'
export { stuckLongerThan, type Stuck, type StuckOptions } from './streams/stuck.ts'
export type { Transition } from './streams/transition.ts'
export type { Watched, WatchFilter, WatchOptions } from './streams/watch.ts'
export { registerValue } from './values/registry.ts'
