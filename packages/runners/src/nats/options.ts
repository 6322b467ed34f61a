import { UsageError } from '@troupe/core'

/** @public */
export interface NatsTaskRunnerOptions {
  /**
   * The queue that the task runs go to, or a function that chooses it for each of them; workers take from it by its name, of 1 to
   * 200 characters. A task run whose queue can't be had FAILS. Default `default`.
   */
  readonly queue?: string | QueueOf
  /**
   * How many task runs go with one message at most, where many wait: 1 to 64. Default 16. With 1, workers share even very short
   * ones evenly.
   */
  readonly batch?: number
}

/** Chooses the queue of a task run. @public */
export type QueueOf = (task: {
  readonly name: string
  readonly version: string
  /** Its own, and those of the runs that it is part of. */
  readonly tags: readonly string[]
}) => string

/** Options with defaults filled in. */
export interface Settings {
  readonly queue: string
  /** Chooses it in place of `queue`. */
  readonly queueOf?: QueueOf
  readonly batch: number
}

const names: readonly (keyof NatsTaskRunnerOptions)[] = ['queue', 'batch']

/** @throws UsageError `INVALID_OPTION` */
export function settingsOf(options: NatsTaskRunnerOptions): Settings {
  for (const name of Object.keys(options)) {
    if (!(names as readonly string[]).includes(name))
      throw invalid(name, `one of the options of NatsTaskRunner (${names.join(', ')})`, name)
  }
  const { queue = 'default', batch = 16 } = options
  if (typeof queue !== 'function' && !isQueueName(queue))
    throw invalid('queue', 'the name of a queue, of 1 to 200 characters, or a function that gives one', queue)
  if (!Number.isInteger(batch) || batch < 1 || batch > 64)
    throw invalid('batch', 'an integer of at least 1 and at most 64', batch)
  return typeof queue === 'function' ? { queue: '', queueOf: queue, batch } : { queue, batch }
}

export function isQueueName(queue: unknown): queue is string {
  return typeof queue === 'string' && queue !== '' && queue.length <= 200
}

function invalid(option: string, expected: string, got: unknown): UsageError {
  return new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${String(got)}`, {
    details: { option },
  })
}
