import { RunError, TroupeError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import type { RecordedRun } from '../journal/history.ts'
import { isRunning } from '../machines/states.ts'
import type { Attempt } from './attempt.ts'
import type { Prepared } from './calls.ts'
import { endChildren, endRemembered } from './ending.ts'
import type { RecordedCall } from './replay.ts'
import { restoreTask } from './restore.ts'
import { begin } from './life.ts'
import type { Run } from './run.ts'

/** Finds again the task run that an earlier execution of the calling body submitted. */
export function rejoinTask(
  caller: Attempt,
  definition: Definition,
  prepared: Prepared,
  call: RecordedCall & { kind: 'task' },
): Run {
  const { run: recorded, place, adopt } = call
  const run = restoreTask(recorded, definition, caller)
  if (!run.ended) goOn(run, prepared, recorded)
  else if (place !== undefined) caller.handover.fill(place, run)
  else if (adopt) {
    // Completed by an earlier try: it is handed over from here on, and the journal says where.
    const at = run.host.clock.now()
    const entry = { kind: 'adopted', at, run: run.index, attempt: caller.number } as const
    run.ledger.record(entry, { committed: () => caller.handOver(run) })
  }
  return run
}

/**
 * Goes on with a run whose body was running, or about to, when its host was lost.
 *
 * @param mayHaveRun - Whether the body may have begun though the journal does not say so: then it does before it begins here. One
 *   that brings down its process at once would bring down one after the other, and none would be counted.
 */
export function goOn(run: Run, prepared: Prepared, recorded: RecordedRun, mayHaveRun = false): void {
  if (run.stateName === 'Cancelling') {
    endRemembered(run, recorded, reasonOf(run, recorded))
    return
  }
  const lost = isRunning(run.stateName)
  if (lost && goesOnElsewhere(run, recorded)) {
    begin(run, prepared, { run: recorded, gated: false })
    return
  }
  if (lost) {
    // Where this loss is the end of the run, what its body had submitted ends before it.
    const { onHostLost, maxRecoveries } = run.definition.settings
    const fatal = onHostLost === 'crash'
    if (fatal || run.context.recoveries >= maxRecoveries)
      endChildren(run, recorded, 'the host of its caller was lost for good')
    const message = `the host of ${run.runName} (${run.id}) was lost`
    const error = new RunError('RUN_CRASHED', message, { details: { runId: run.id } })
    run.move({ type: 'hostLost', fatal }, 'its host was lost', { failure: run.host.values.saveError(error) })
    if (run.ended) return
  }
  begin(run, prepared, { run: recorded, gated: lost || mayHaveRun || run.stateName === 'Recovering' })
}

/** Whether its body runs, or waits to be begun, on another node, which outlived the engine that had handed it out. */
function goesOnElsewhere(run: Run, { last, acts }: RecordedRun): boolean {
  // What a body has called, only the engine that it called knows.
  if (run.kind === 'flow' || acts.length > 0) return false
  const pool = run.caller?.childPool ?? run.host.pool(run.definition.settings.taskRunner)
  const isKnown = run.stateName === 'Retrying' || (last.kind === 'transition' && last.host !== undefined)
  return pool.outlives === true && isKnown
}

/** Why a run was being cancelled when its host was lost. */
function reasonOf({ host }: Run, { last }: RecordedRun): unknown {
  const outcome = last.kind === 'transition' ? last.outcome : undefined
  if (outcome === undefined || 'value' in outcome) return undefined
  const error = host.values.loadError(outcome.failure)
  return TroupeError.is(error) ? error.details['reason'] : error
}
