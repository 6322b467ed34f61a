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
 * The life of a task run. The only place where a task run's state is decided; `docs/states.md` shows it as a diagram.
 *
 * @public
 */
export const taskRunMachine = setup({
  types,
  guards,
  actions,
}).createMachine({
  id: 'task run',
  context: freshContext,
  initial: 'Pending',
  states: {
    Scheduled: { on: scheduled },
    Pending: {
      on: {
        start: 'Running',
        awaitSlot: 'AwaitingConcurrencySlot',
        cacheHit: 'Cached',
        upstreamFailed: 'UpstreamFailed',
        refuse: 'Failed',
        cancel: 'Cancelled',
      },
    },
    AwaitingConcurrencySlot: { on: { ...awaitingSlot, cacheHit: 'Cached' } },
    Running: { on: running },
    Retrying: { on: running },
    AwaitingRetry: { on: awaitingRetry },
    Recovering: { on: recovering },
    Cancelling: { on: cancelling },
    Completed: { type: 'final' },
    Cached: { type: 'final' },
    Failed: { type: 'final' },
    TimedOut: { type: 'final' },
    UnobservedFailure: { type: 'final' },
    UpstreamFailed: { type: 'final' },
    Crashed: { type: 'final' },
    Cancelled: { type: 'final' },
  },
})
