/**
 * What the two machines share: the events that move a run, the numbers that decide where it goes, and the states that
 * flow runs and task runs have in common.
 *
 * A machine holds no value, starts nothing and waits for nothing: no `invoke`, no `after`, no entry action. XState would
 * neither resume a delay nor re-run an action after a restore, so deadlines and bodies belong to the engine; a machine
 * decides only which state comes next.
 *
 * @see https://github.com/statelyai/xstate/issues/5331
 */

import { assign } from 'xstate'

/**
 * Everything that can happen to a run. An event that its state does not accept changes nothing. What the run's options
 * allow comes with the event that asks for it, so that all fresh runs share one initial snapshot.
 */
export type RunEvent =
  | { type: 'due' }
  | { type: 'start'; maxRecoveries?: number }
  | { type: 'awaitSlot' }
  | { type: 'cacheHit' }
  | { type: 'upstreamFailed' }
  | { type: 'refuse' }
  | { type: 'complete' }
  | {
      type: 'fail' | 'timeOut' | 'unobserved' | 'crash'
      /** How often the run may be tried again in all; 0 where this failure is not to be retried. */
      retries: number
      /** Whether a retry is to wait. */
      delayed: boolean
    }
  | { type: 'hostLost'; fatal: boolean }
  | { type: 'pause' }
  | { type: 'resume' }
  | { type: 'replay' }
  | { type: 'suspend' }
  | { type: 'cancel' }
  | { type: 'cancelled' }

/** What a run has used up. */
export interface RunContextData {
  /** Starts of the body so far, from 1; 1 also before the first. */
  attempt: number
  /** Retries used. */
  tries: number
  /** How often the host of a running body was lost. */
  recoveries: number
}

export const types = {
  context: {} as RunContextData,
  events: {} as RunEvent,
}

export const freshContext: RunContextData = { attempt: 1, tries: 0, recoveries: 0 }

interface Args {
  context: RunContextData
  event: RunEvent
}

const mayRetry = ({ context, event }: Args): boolean => 'retries' in event && context.tries < event.retries

/** Guards that ask what the run has used up and nothing of the event. */
const guardsOfContext = {
  isRetry: ({ context }: Args): boolean => context.tries > 0,
}

/** Names of the guards that two actors with the same context answer alike, whatever the event. */
export const askContextAlone: ReadonlySet<string> = new Set(Object.keys(guardsOfContext))

export const guards = {
  ...guardsOfContext,
  mayRetryLater: (args: Args): boolean => mayRetry(args) && 'delayed' in args.event && args.event.delayed,
  mayRetryNow: mayRetry,
  isPoisoned: ({ context, event }: Args): boolean =>
    event.type === 'start' && event.maxRecoveries !== undefined && context.recoveries > event.maxRecoveries,
  crashesWhenLost: ({ event }: Args): boolean => event.type === 'hostLost' && event.fatal,
}

const count = assign<RunContextData, RunEvent, undefined, RunEvent, never>

export const actions = {
  countRetry: count({ tries: ({ context }) => context.tries + 1 }),
  nextAttempt: count({ attempt: ({ context }) => context.attempt + 1 }),
  countRecovery: count({ recoveries: ({ context }) => context.recoveries + 1 }),
}

/** Where a failed attempt goes: to a later retry, to one at once, or to its end. */
const retryOr = <End extends string>(end: End) =>
  [
    { guard: 'mayRetryLater', target: 'AwaitingRetry', actions: 'countRetry' },
    { guard: 'mayRetryNow', target: 'Retrying', actions: ['countRetry', 'nextAttempt'] },
    { target: end },
  ] as const

/** The edges out of Running and Retrying, but for pausing. */
export const running = {
  complete: 'Completed',
  fail: retryOr('Failed'),
  timeOut: retryOr('TimedOut'),
  unobserved: retryOr('UnobservedFailure'),
  crash: retryOr('Crashed'),
  hostLost: [
    { guard: 'crashesWhenLost', target: 'Crashed' },
    { target: 'Recovering', actions: 'countRecovery' },
  ],
  cancel: 'Cancelling',
} as const

export const scheduled = { due: 'Pending', cancel: 'Cancelled' } as const

export const awaitingSlot = {
  start: [{ guard: 'isRetry', target: 'Retrying', actions: 'nextAttempt' }, { target: 'Running' }],
  timeOut: 'TimedOut',
  cancel: 'Cancelled',
} as const

export const awaitingRetry = {
  start: { target: 'Retrying', actions: 'nextAttempt' },
  awaitSlot: 'AwaitingConcurrencySlot',
  cancel: 'Cancelled',
} as const

export const recovering = {
  start: [
    { guard: 'isPoisoned', target: 'Crashed' },
    { guard: 'isRetry', target: 'Retrying', actions: 'nextAttempt' },
    { target: 'Running', actions: 'nextAttempt' },
  ],
  cancel: 'Cancelling',
} as const

export const cancelling = { cancelled: 'Cancelled' } as const
