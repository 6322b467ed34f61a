import { availableParallelism } from 'node:os'
import type { ResourceLimits } from 'node:worker_threads'
import { UsageError, type Duration } from '@troupe/core'
import { toMilliseconds } from '@troupe/core/internal'

/** @public */
export interface WorkerThreadsTaskRunnerOptions {
  /** How many threads execute task bodies at once; a positive integer, default the cores of this machine. */
  readonly threads?: number
  /**
   * How many bodies one thread executes at once; default 1. More suit bodies that mostly wait for I/O; but ending the
   * thread of one that does not stop then ends the others, which run again.
   */
  readonly bodiesPerThread?: number
  /**
   * How many threads there may be besides, for bodies that wait for runs which they submitted; default 8. Where nesting
   * goes deeper, bodies share a thread with others that wait, up to 1,024 each; where all are full, there is one more.
   */
  readonly extraThreads?: number
  /** How many threads are kept when there is nothing to do; default 0. */
  readonly keepThreads?: number
  /** How long a thread with nothing to do is kept; default `'10s'`. */
  readonly idleTimeout?: Duration
  /** After how many bodies a thread is replaced by a new one, against leaks in what they call; default never. */
  readonly maxTasksPerThread?: number
  /** How long a body that is to stop may take to notice, before its thread is ended; default `'100ms'`. */
  readonly patience?: Duration
  /** Limits of the memory of each thread, as for `new Worker`. Buffers do not count. */
  readonly resourceLimits?: ResourceLimits
  /** Environment of the threads; default that of the process. */
  readonly env?: NodeJS.ProcessEnv
}

export interface Settings {
  readonly threads: number
  readonly bodiesPerThread: number
  readonly extraThreads: number
  readonly keepThreads: number
  readonly idleMs: number
  readonly maxTasksPerThread: number
  readonly patienceMs: number
  readonly resourceLimits: ResourceLimits | undefined
  readonly env: NodeJS.ProcessEnv | undefined
}

const names: readonly (keyof WorkerThreadsTaskRunnerOptions)[] = [
  'threads',
  'bodiesPerThread',
  'extraThreads',
  'keepThreads',
  'idleTimeout',
  'maxTasksPerThread',
  'patience',
  'resourceLimits',
  'env',
]

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function settingsOf(options: WorkerThreadsTaskRunnerOptions): Settings {
  for (const name of Object.keys(options)) {
    if (!(names as readonly string[]).includes(name)) {
      throw invalid(name, `one of the options of WorkerThreadsTaskRunner (${names.join(', ')})`, name)
    }
  }
  return {
    threads: count(options, 'threads', 1) ?? availableParallelism(),
    // More could not be told apart in the memory that is shared with a thread.
    bodiesPerThread: count(options, 'bodiesPerThread', 1, 256) ?? 1,
    extraThreads: count(options, 'extraThreads', 0) ?? 8,
    keepThreads: count(options, 'keepThreads', 0) ?? 0,
    idleMs: toMilliseconds(options.idleTimeout ?? '10s', 'idleTimeout'),
    maxTasksPerThread: count(options, 'maxTasksPerThread', 1) ?? Number.POSITIVE_INFINITY,
    patienceMs: toMilliseconds(options.patience ?? '100ms', 'patience'),
    resourceLimits: object(options, 'resourceLimits'),
    env: object(options, 'env'),
  }
}

function count(
  options: WorkerThreadsTaskRunnerOptions,
  name: keyof WorkerThreadsTaskRunnerOptions,
  least: number,
  most = Number.POSITIVE_INFINITY,
): number | undefined {
  const value = options[name]
  if (value === undefined) return undefined
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  const upTo = most === Number.POSITIVE_INFINITY ? '' : ` and at most ${most}`
  throw invalid(name, `an integer of at least ${least}${upTo}`, value)
}

function object<K extends 'resourceLimits' | 'env'>(
  options: WorkerThreadsTaskRunnerOptions,
  name: K,
): WorkerThreadsTaskRunnerOptions[K] {
  const value: unknown = options[name]
  if (value === undefined || (typeof value === 'object' && value !== null)) return options[name]
  throw invalid(name, 'an object', value)
}

function invalid(option: string, expected: string, got: unknown): UsageError {
  return new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${String(got)}`, {
    details: { option },
  })
}
