import type { StandardSchemaV1 } from '@standard-schema/spec'
import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import type { TaskRunner } from '../ports/task-runner.ts'
import type { OnBodyError, Settings } from './definition.ts'

/** What `createEngine` gives, as far as a definition needs to know. @public */
export interface EngineReference {
  readonly node: string
  health(): object
}

/** Options of flows and tasks alike. @public */
export interface RunOptions {
  /** Name in journals, transitions and logs; default the function's. */
  readonly name?: string
  /** Version of the body, as part of the identity of its calls; default `'1'`. */
  readonly version?: string
  /** Name of each run for people; default the name, with a number for task runs. */
  readonly runName?: string
  /** How often a run that FAILED is tried again; default 0. */
  readonly retries?: number
  /** How long a body may go on after its run was cancelled; default `'10s'`. */
  readonly grace?: Duration
  /** What happens to the other runs that the body submitted when it throws: they finish (`'wait'`, the default), or are cancelled. */
  readonly onBodyError?: OnBodyError
  /** What happens when the host of a running body was lost: it runs again (`'recover'`, the default), or the run is CRASHED. */
  readonly onHostLost?: 'recover' | 'crash'
  /** How often a lost body runs again; default 3. */
  readonly maxRecoveries?: number
  /** A schema of the list of arguments, of any Standard Schema library; what it gives is what the body gets. */
  readonly parameters?: StandardSchemaV1
  readonly tags?: readonly string[]
}

/** Options of a task. @public */
export interface TaskOptions extends RunOptions {}

/** Options of a flow. @public */
export interface FlowOptions extends RunOptions {
  /** Where the task runs of the flow execute; default that of the calling flow, else a concurrent one. */
  readonly taskRunner?: TaskRunner
  /**
   * What happens when a body that is replayed takes another path than its journal: the run is parked (`'park'`, the
   * default), or goes on with new runs (`'run'`). A body of another version always goes on.
   */
  readonly onDivergence?: 'park' | 'run'
}

/** Options of one call of a task. @public */
export interface TaskCallOptions extends TaskOptions {
  /** Futures to wait for besides those in the arguments; lists of them, too. */
  readonly waitFor?: unknown
  /** Identity of the call in place of its arguments, where identical calls are not interchangeable. */
  readonly key?: string
  /** Taken also while the run that calls is being cancelled, within its grace. */
  readonly cleanup?: boolean
}

/** Options of one call of a flow. @public */
export interface FlowCallOptions extends FlowOptions {
  /** Id of the flow run; a second start with it gives the same run. Letters, digits, `-` and `_`, up to 64. */
  readonly id?: string
  /** Makes the id, together with the flow's name: starters with the same key get the same run. */
  readonly idempotencyKey?: string
  /** The engine to run on; default that of the current run, else the one that is open. */
  readonly engine?: EngineReference
  /** Futures to wait for besides those in the arguments. */
  readonly waitFor?: unknown
  /** Identity of the call in place of its arguments. */
  readonly key?: string
  /** Taken also while the run that calls is being cancelled, within its grace. */
  readonly cleanup?: boolean
}

const common = [
  'name',
  'version',
  'runName',
  'retries',
  'grace',
  'onBodyError',
  'onHostLost',
  'maxRecoveries',
  'parameters',
  'tags',
  'waitFor',
  'key',
  'cleanup',
]
const known = {
  task: common,
  flow: [...common, 'taskRunner', 'onDivergence', 'id', 'idempotencyKey', 'engine'],
}

/** All options, of definitions and of calls. */
export type AllOptions = TaskCallOptions & FlowCallOptions

const defaults: Settings = {
  retries: 0,
  graceMs: 10_000,
  onBodyError: 'wait',
  onHostLost: 'recover',
  maxRecoveries: 3,
  onDivergence: 'park',
  parameters: undefined,
  taskRunner: undefined,
  tags: undefined,
  runName: undefined,
  waitFor: undefined,
  key: undefined,
  cleanup: false,
  id: undefined,
  idempotencyKey: undefined,
  engine: undefined,
}

/**
 * Checks options, fills in defaults and parses units.
 *
 * @param base - Settings that options not given are taken from.
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`
 */
export function compile(kind: 'flow' | 'task', options: AllOptions, base: Settings = defaults): Settings {
  for (const name of Object.keys(options)) {
    if (!known[kind].includes(name))
      invalid(name, `one of the options of a ${kind} (${known[kind].join(', ')})`, name)
  }
  count(options, 'retries')
  count(options, 'maxRecoveries')
  oneOf(options, 'onBodyError', ['wait', 'cancel'])
  oneOf(options, 'onHostLost', ['recover', 'crash'])
  oneOf(options, 'onDivergence', ['park', 'run'])
  text(options, 'runName')
  text(options, 'key')
  text(options, 'idempotencyKey')
  const { id, parameters, taskRunner, tags } = options
  if (id !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    invalid('id', 'up to 64 letters, digits, - and _', id)
  }
  if (parameters !== undefined && typeof parameters['~standard']?.validate !== 'function') {
    invalid('parameters', 'a schema of a Standard Schema library', parameters)
  }
  if (taskRunner !== undefined && typeof taskRunner.createPool !== 'function') {
    invalid('taskRunner', 'a task runner, such as `new ConcurrentTaskRunner()`', taskRunner)
  }
  if (tags !== undefined && !(Array.isArray(tags) && tags.every((tag) => typeof tag === 'string'))) {
    invalid('tags', 'a list of strings', tags)
  }
  const settings: Record<string, unknown> = { ...base }
  for (const name of Object.keys(defaults)) {
    const given = (options as Record<string, unknown>)[name]
    if (given !== undefined) settings[name] = given
  }
  if (options.grace !== undefined) settings['graceMs'] = toMilliseconds(options.grace, 'grace')
  return settings as unknown as Settings
}

function count(options: AllOptions, name: 'retries' | 'maxRecoveries'): void {
  const value = options[name]
  if (value !== undefined && (!Number.isInteger(value) || value < 0))
    invalid(name, 'an integer of at least 0', value)
}

function oneOf(
  options: AllOptions,
  name: 'onBodyError' | 'onHostLost' | 'onDivergence',
  values: readonly string[],
): void {
  const value = options[name]
  if (value !== undefined && !values.includes(value))
    invalid(name, values.map((v) => `'${v}'`).join(' or '), value)
}

function text(options: AllOptions, name: 'runName' | 'key' | 'idempotencyKey'): void {
  const value: unknown = options[name]
  if (value !== undefined && (typeof value !== 'string' || value === ''))
    invalid(name, 'a string that is not empty', value)
}

function invalid(option: string, expected: string, got: unknown): never {
  const shown = typeof got === 'string' ? `'${got}'` : String(got)
  throw new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${shown}`, {
    details: { option },
  })
}
