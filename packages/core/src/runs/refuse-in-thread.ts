import { UsageError } from '../base/errors.ts'
import type { TaskThread } from '../base/task-thread.ts'

/** What was called is not to be called while a module is loaded for its tasks; whoever waits for them is told. */
export function refuseInThread(thread: TaskThread | undefined, what: string): UsageError {
  const place = placeOfCall()
  const where = place === undefined ? '' : ` at ${place}`
  const message =
    `${what} was called${where} in a thread that executes tasks, outside the body of a task: the module was loaded there ` +
    'to find its tasks. Move the call into a module of its own, or guard it: `if (isMainThread) …` with `isMainThread` of ' +
    '"node:worker_threads"; where the program itself lives in a worker, `if (!isTaskThread()) …` with `isTaskThread` of ' +
    '"@troupe/core"'
  thread?.refused(message)
  return new UsageError('FLOW_STARTED_IN_WORKER', message)
}

/** The line outside of this package that made the call; undefined in a bundle, where all is one file. */
function placeOfCall(): string | undefined {
  const { url } = import.meta as { url?: string }
  if (url === undefined) return undefined
  const own = new URL('..', url).href
  const lines = new UsageError('FLOW_STARTED_IN_WORKER', '').stack?.split('\n').slice(1) ?? []
  const line = lines.find((each) => /[:/\\]/.test(each) && !each.includes(own) && !each.includes('node:'))
  return line?.match(/\(?([^()\s]+:\d+:\d+)\)?$/)?.[1]
}
