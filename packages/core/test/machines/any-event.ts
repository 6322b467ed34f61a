import type { taskRunMachine } from '@troupe/core'
import fc from 'fast-check'
import type { EventFromLogic } from 'xstate'

export type RunEvent = EventFromLogic<typeof taskRunMachine>

/** Numbers as options allow them, and others: a machine must not rely on what the engine checks. */
export const anyNumber = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY) },
)

/** Every event that there is, with any numbers. */
export const events: { readonly [T in RunEvent['type']]: fc.Arbitrary<RunEvent & { type: T }> } = {
  due: just('due'),
  start: fc.record(
    { type: fc.constant('start' as const), maxRecoveries: anyNumber },
    { requiredKeys: ['type'] },
  ),
  awaitSlot: just('awaitSlot'),
  cacheHit: just('cacheHit'),
  upstreamFailed: just('upstreamFailed'),
  refuse: just('refuse'),
  complete: just('complete'),
  fail: failure('fail'),
  timeOut: failure('timeOut'),
  unobserved: failure('unobserved'),
  crash: failure('crash'),
  hostLost: fc.record({ type: fc.constant('hostLost' as const), fatal: fc.boolean() }),
  pause: just('pause'),
  resume: just('resume'),
  replay: just('replay'),
  suspend: just('suspend'),
  cancel: just('cancel'),
  cancelled: just('cancelled'),
}

function just<T extends string>(type: T): fc.Arbitrary<{ type: T }> {
  return fc.constant({ type })
}

function failure<T extends string>(type: T): fc.Arbitrary<{ type: T; retries: number; delayed: boolean }> {
  return fc.record({ type: fc.constant(type), retries: anyNumber, delayed: fc.boolean() })
}

export const anyEvent: fc.Arbitrary<RunEvent> = fc.oneof(...Object.values<fc.Arbitrary<RunEvent>>(events))
