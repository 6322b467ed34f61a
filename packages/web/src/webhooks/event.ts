import type { Transition } from '@troupe/core'

/** What a webhook's body is, as JSON. @public */
export interface WebhookEvent {
  /** Kind of the run and its new state: `flow.Completed`, `task.Failed`. */
  readonly type: string
  /** When it happened, ISO 8601. */
  readonly timestamp: string
  readonly data: Transition
}

export function eventOf(transition: Transition): WebhookEvent {
  const { kind, to, at } = transition
  return { type: `${kind}.${to.name}`, timestamp: new Date(at).toISOString(), data: transition }
}
