/**
 * What the main entry is in a thread that executes tasks: all that bodies and definitions need, and neither XState nor RxJS,
 * which take longer to load than the thread takes to start. Chosen by the condition `@troupe/thread`; the types are those of
 * the main entry.
 */
export { CodecError, InternalError, JournalError, RunError, TroupeError, UsageError } from '../base/errors.ts'
export { compression } from '../codecs/compression.ts'
export { encryption } from '../codecs/encryption.ts'
export { isTaskThread } from '../base/task-thread.ts'
export { callBodiesWithin } from '../base/bodies-within.ts'
export { flowParameters, inputs, runId, taskSource, version } from '../definitions/cache-policies.ts'
export { closeOnSignals } from '../engine/close-on-signals.ts'
export { flow } from '../definitions/flow.ts'
export { abort, exponentialBackoff, retryAfter } from '../definitions/retrying.ts'
export { task } from '../definitions/task.ts'
export { memoryBlobs } from '../ports/blobs.ts'
export { memoryCache } from '../ports/cache.ts'
export { memoryJournal } from '../ports/memory-journal.ts'
export { memoryMailbox } from '../ports/mailbox.ts'
export { ConcurrentTaskRunner } from '../runners/concurrent-task-runner.ts'
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
} from '../runs/context.ts'
export { cancelled, completed, failed } from '../runs/endings.ts'
export { opaque, transfer, unmapped } from '../runs/markers.ts'
export { allowFailure, asCompleted, waitAll } from '../runs/wait.ts'
export { ofFlow, ofRun, ofTask, ofType, untilTerminal } from '../streams/operators.ts'
export { asList } from '../streams/as-list.ts'
export { stuckLongerThan } from '../streams/stuck.ts'
export { registerValue } from '../values/registry.ts'
export { createEngine, createWorker, flowRunMachine, memoryTransport, taskRunMachine } from './engine.ts'
