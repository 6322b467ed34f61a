import { UsageError } from '../base/errors.ts'
import type { TaskThread } from '../base/task-thread.ts'

/** What was called is not to be called while a module is loaded for its tasks; whoever waits for them is told. */
export function refuseInThread(thread: TaskThread | undefined, what: string): UsageError {
  const message =
    `${what} was called in a thread that executes tasks, outside the body of a task: the module was loaded there to find ` +
    'its tasks. Move the call into a module of its own, or guard it: `if (isMainThread) …` with `isMainThread` of ' +
    '"node:worker_threads"'
  thread?.refused(message)
  return new UsageError('FLOW_STARTED_IN_WORKER', message)
}
