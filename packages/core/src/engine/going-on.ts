import { flowRunIdOf } from '../base/ids.ts'
import type { RecordedRun } from '../journal/history.ts'
import type { Attempt } from './attempt.ts'
import { hashArguments } from './identity.ts'
import { offerId } from './remote-host.ts'
import type { Run } from './run.ts'

/** An attempt takes along what another engine had done with it: the offer that it was part of, the node where its body runs. */
export function takeAlong(attempt: Attempt, { offer, last, startedAt, submitted }: RecordedRun): void {
  const { number, run } = attempt
  if (offer !== undefined && number === 1) attempt.offer = offerId(flowRunIdOf(submitted.runId), offer)
  if (run.stateName === 'Running' && last.kind === 'transition' && last.host !== undefined)
    attempt.isRunningOn(last.host, startedAt)
}

/**
 * Whether the body begins only when the journal says that it does. So does one that may have run before, for its losses
 * to be counted.
 */
export function mustNotRunTwice({ definition }: Run): boolean {
  return definition.settings.onHostLost === 'crash'
}

/** The identity of a recorded call whose writer did not need one: its inputs lie in memory, by reference. */
export function identityOfRecorded(recorded: RecordedRun): string {
  return hashArguments(recorded.submitted.inputs as readonly unknown[])
}
