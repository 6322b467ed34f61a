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

/** Everything that can happen to a run. An event that its state does not accept changes nothing. */
export type RunEvent =
  | { type: 'due' }
  | { type: 'start' }
  | { type: 'awaitSlot' }
  | { type: 'cacheHit' }
  | { type: 'upstreamFailed' }
  | { type: 'refuse' }
  | { type: 'complete' }
  | { type: 'fail' | 'timeOut' | 'unobserved' | 'crash'; retryable: boolean; delayed: boolean }
  | { type: 'hostLost' }
  | { type: 'pause' }
  | { type: 'resume' }
  | { type: 'replay' }
  | { type: 'suspend' }
  | { type: 'cancel' }
  | { type: 'cancelled' }

/** What a run has used up, and what it may use. */
export interface RunContextData {
  /** Starts of the body so far, from 1; 1 also before the first. */
  attempt: number
  /** Retries used. */
  tries: number
  retries: number
  /** How often the host of a running body was lost. */
  recoveries: number
  maxRecoveries: number
  /** `onHostLost: 'crash'`: a lost host ends the run. */
  crashWhenLost: boolean
}

/** What an actor of a run is created with. */
export type RunInput = Pick<RunContextData, 'retries' | 'maxRecoveries' | 'crashWhenLost'>

export const types = {
  context: {} as RunContextData,
  events: {} as RunEvent,
  input: {} as RunInput,
}

export const freshContext = ({ input }: { input: RunInput }): RunContextData => ({
  attempt: 1,
  tries: 0,
  retries: input.retries,
  recoveries: 0,
  maxRecoveries: input.maxRecoveries,
  crashWhenLost: input.crashWhenLost,
})

interface Args {
  context: RunContextData
  event: RunEvent
}

const mayRetry = ({ context, event }: Args): boolean =>
  'retryable' in event && event.retryable && context.tries < context.retries

export const guards = {
  mayRetryLater: (args: Args): boolean => mayRetry(args) && 'delayed' in args.event && args.event.delayed,
  mayRetryNow: mayRetry,
  isRetry: ({ context }: Args): boolean => context.tries > 0,
  isPoisoned: ({ context }: Args): boolean => context.recoveries > context.maxRecoveries,
  crashesWhenLost: ({ context }: Args): boolean => context.crashWhenLost,
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
