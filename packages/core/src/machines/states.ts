import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'

/**
 * The states of runs: which names there are, the type of each, and which may follow which. The two machines are held to
 * this table by a test; nothing else in the engine repeats it.
 */

/** What kind of state a run is in; the last four are terminal. @public */
export type StateType =
  | 'SCHEDULED'
  | 'PENDING'
  | 'RUNNING'
  | 'PAUSED'
  | 'CANCELLING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CRASHED'
  | 'CANCELLED'

/** The type of each state name, in the order in which journals number them (append only: the index is on disk). */
export const stateTypes = {
  Scheduled: 'SCHEDULED',
  Pending: 'PENDING',
  AwaitingConcurrencySlot: 'PENDING',
  Running: 'RUNNING',
  Retrying: 'RUNNING',
  AwaitingRetry: 'SCHEDULED',
  Recovering: 'PENDING',
  Paused: 'PAUSED',
  Suspended: 'PAUSED',
  Cancelling: 'CANCELLING',
  Completed: 'COMPLETED',
  Cached: 'COMPLETED',
  Failed: 'FAILED',
  TimedOut: 'FAILED',
  UnobservedFailure: 'FAILED',
  UpstreamFailed: 'FAILED',
  Crashed: 'CRASHED',
  Cancelled: 'CANCELLED',
} as const satisfies Record<string, StateType>

/** The name of a state. @public */
export type StateName = keyof typeof stateTypes

/** A state as seen from outside. @public */
export interface RunState {
  readonly type: StateType
  readonly name: StateName
  /** When the run entered it, in milliseconds since 1970. */
  readonly at: number
  /** Why, in words, where there is something to say. */
  readonly message?: string
}

export const stateNames = Object.keys(stateTypes) as StateName[]

const terminalTypes: ReadonlySet<StateType> = new Set(['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'])

/** Whether a run in this state will never leave it. */
export function isTerminal(name: StateName): boolean {
  return terminalTypes.has(stateTypes[name])
}

/** Whether the body of a run in this state may be executing. */
export function isRunning(name: StateName): boolean {
  return stateTypes[name] === 'RUNNING'
}

/** The names that names and types of states stand for. @throws UsageError `INVALID_OPTION` */
export function namesOfStates(
  asked: readonly (StateName | StateType)[],
  option: string,
): readonly StateName[] {
  const wanted = new Set<string>(asked)
  for (const name of wanted) {
    if (stateNames.some((state) => state === name || stateTypes[state] === name)) continue
    const known = `names or types of states (${stateNames.join(', ')})`
    throw new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${known}, got ${inWords(name)}`, {
      details: { option },
    })
  }
  return stateNames.filter((state) => wanted.has(state) || wanted.has(stateTypes[state]))
}
