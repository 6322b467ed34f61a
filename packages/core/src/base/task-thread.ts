/** Set by a task runner in the threads that it starts, before any module of the user's is loaded there. */
const key = Symbol.for('@troupe/core/task-thread')

/** What a thread that executes task bodies tells whoever started it. */
export interface TaskThread {
  /** A flow or an engine was to be started here, outside the body of any task. */
  refused(message: string): void
}

/** This thread, where it was started to execute task bodies. */
export function taskThread(): TaskThread | undefined {
  return (globalThis as { [key]?: TaskThread })[key]
}

/**
 * Whether this is a thread that a task runner started to execute task bodies. There a module is loaded for its tasks only,
 * and must start no flow: `if (!isTaskThread()) await main()`. `isMainThread` of `node:worker_threads` says the same where
 * the program itself lives in the main thread.
 *
 * @public
 */
export function isTaskThread(): boolean {
  return taskThread() !== undefined
}
