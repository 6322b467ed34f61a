import { taskThread } from './task-thread.ts'

/** Text that says where a body belongs, as `TraceCarrier` of ports/instrumentation.ts. */
interface Carrier {
  readonly traceparent: string
  readonly tracestate?: string | undefined
}

/** Calls a body where that belongs. */
export type Within = <T>(trace: Carrier, body: () => T) => T

/** Of this thread: there is no engine in it that could be given an instrumentation. */
const key = Symbol.for('@troupe/core/bodies-within')
const shared = globalThis as { [key]?: Within }

/**
 * For instrumentations: how bodies are called in the threads of a task runner, where a module that such a thread loads makes the
 * instrumentation. Elsewhere it is never called; nodes have engines.
 *
 * @public
 */
export function callBodiesWithin(within: Within): void {
  shared[key] = within
}

/** How bodies are called in this thread, where it executes them for a task runner. */
export function bodiesWithin(): Within | undefined {
  return taskThread() === undefined ? undefined : shared[key]
}
