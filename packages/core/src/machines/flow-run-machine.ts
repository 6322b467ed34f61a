import { setup } from 'xstate'
import {
  actions,
  awaitingRetry,
  awaitingSlot,
  cancelling,
  freshContext,
  guards,
  recovering,
  running,
  scheduled,
  types,
} from './run-machine.ts'

/**
 * The life of a flow run. The only place where a flow run's state is decided; `docs/states.md` shows it as a diagram.
 *
 * @public
 */
export const flowRunMachine = setup({
  types,
  guards,
  actions,
}).createMachine({
  id: 'flow run',
  context: freshContext,
  initial: 'Pending',
  states: {
    Scheduled: { on: scheduled },
    Pending: {
      on: { start: 'Running', awaitSlot: 'AwaitingConcurrencySlot', refuse: 'Failed', cancel: 'Cancelled' },
    },
    AwaitingConcurrencySlot: { on: awaitingSlot },
    Running: { on: { ...running, pause: 'Paused' } },
    Retrying: { on: { ...running, pause: 'Paused' } },
    AwaitingRetry: { on: awaitingRetry },
    Recovering: { on: recovering },
    Paused: {
      on: {
        resume: 'Running',
        suspend: 'Suspended',
        timeOut: 'TimedOut',
        replay: 'Recovering',
        cancel: 'Cancelling',
      },
    },
    Suspended: { on: { resume: 'Recovering', timeOut: 'TimedOut', cancel: 'Cancelled' } },
    Cancelling: { on: cancelling },
    Completed: { type: 'final' },
    Failed: { type: 'final' },
    TimedOut: { type: 'final' },
    UnobservedFailure: { type: 'final' },
    Crashed: { type: 'final' },
    Cancelled: { type: 'final' },
  },
})
