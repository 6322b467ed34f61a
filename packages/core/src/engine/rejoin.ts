import { RunError } from '../base/errors.ts'
import type { RecordedRun } from '../journal/history.ts'
import type { Attempt } from './attempt.ts'
import { begin, type Prepared } from './calls.ts'
import { endRemembered } from './ending.ts'
import type { RecordedCall } from './replay.ts'
import { restoreTask } from './restore.ts'
import type { Run, RunHost } from './run.ts'

/** Finds again the task run that an earlier execution of the calling body submitted. */
export function rejoinTask(
  host: RunHost,
  prepared: Prepared,
  caller: Attempt,
  call: RecordedCall & { kind: 'task' },
): Run {
  const { run: recorded, place, adopt } = call
  const { definition } = prepared
  const run = restoreTask(host, recorded, definition, caller)
  if (!run.ended) {
    goOn(host, run, prepared, recorded)
    return run
  }
  if (place !== undefined) caller.handover.fill(place, run)
  else if (adopt) {
    // Completed by an earlier try: it is handed over from here on, and the journal says where.
    const entry = { kind: 'adopted', at: host.clock.now(), run: run.index, attempt: caller.number } as const
    caller.run.ledger.record(entry, { committed: () => caller.handOver(run) })
  }
  return run
}

/** Goes on with a run whose body was running, or about to, when its host was lost. */
export function goOn(host: RunHost, run: Run, prepared: Prepared, recorded: RecordedRun): void {
  if (run.stateName === 'Cancelling') {
    endRemembered(host, run, recorded, 'its caller was cancelled')
    return
  }
  const lost = run.stateName === 'Running' || run.stateName === 'Retrying' || run.stateName === 'Paused'
  if (lost) {
    const message = `the host of ${run.runName} (${run.id}) was lost`
    const error = new RunError('RUN_CRASHED', message, { details: { runId: run.id } })
    run.move({ type: 'hostLost' }, 'its host was lost', { failure: run.host.values.saveError(error) })
    if (run.ended) return
  }
  begin(host, run, prepared, { run: recorded, gated: lost || run.stateName === 'Recovering' })
}
