import type { History, RecordedRun } from '../journal/history.ts'
import { isRunning, isTerminal } from '../machines/states.ts'
import type { Attempt } from './attempt.ts'
import { recordNote } from './notes.ts'
import { messageOf } from './outcome.ts'
import { endingDefinition, restoredOf, restoreRoot, restoreTask } from './restore.ts'
import { cancelledError } from './run-errors.ts'
import { Run, type RunHost } from './run.ts'

/**
 * Ends a run whose body will not run again, after all that it had submitted. The runs below it need no body and no
 * definition for that.
 */
export function endRemembered(run: Run, recorded: RecordedRun, reason: unknown): void {
  endChildren(run, recorded, reason)
  const error = cancelledError(run, reason)
  const outcome = { failure: run.host.values.saveError(error) }
  run.move({ type: 'cancel' }, error.message, outcome)
  run.move({ type: 'cancelled' }, error.message, outcome)
  stopElsewhere(run, recorded)
}

/** Its body may run on a node that only the engine before this one has talked to. */
function stopElsewhere({ host, id, kind, ledger }: Run, { last, stateName, attempt }: RecordedRun): void {
  const place = last.kind === 'transition' ? last.host : undefined
  const mayRun = isRunning(stateName) || stateName === 'Cancelling'
  if (kind === 'flow' || place === undefined || !mayRun) return
  ledger.whenSafe(() => {
    if (!ledger.lost) host.stopElsewhere(place, [id, attempt])
  })
}

/**
 * Ends a run as failed whose body will not run again, after all that it had submitted. One that was being cancelled is cancelled: that
 * was recorded first.
 */
export function failRemembered(run: Run, recorded: RecordedRun, error: unknown): void {
  if (run.stateName === 'Cancelling') {
    endRemembered(run, recorded, error)
    return
  }
  const message = messageOf(error)
  endChildren(run, recorded, message)
  const outcome = { failure: run.host.values.saveError(error) }
  if (run.stateName === 'Suspended') run.move({ type: 'resume' })
  else if (run.stateName === 'Paused') run.move({ type: 'replay' })
  if (run.stateName !== 'Pending') run.move({ type: 'start' })
  if (run.stateName === 'Pending') run.move({ type: 'refuse' }, message, outcome)
  else run.move({ type: 'fail', retries: 0, delayed: false }, message, outcome)
}

/** Ends all that a run's body had submitted, and what those had. */
export function endChildren(run: Run, recorded: RecordedRun, reason: unknown): void {
  for (const act of recorded.acts) {
    if (act.kind === 'called' && !isTerminal(act.run.stateName)) {
      const definition = endingDefinition(act.run)
      const child = new Run({
        id: act.run.submitted.runId,
        index: act.run.index,
        definition,
        ledger: run.ledger,
        caller: undefined,
        restored: restoredOf(act.run),
      })
      run.host.instruments?.restored(child, act.run, run)
      child.looked = true
      endRemembered(child, act.run, reason)
    } else if (act.kind === 'called flow' && act.child.history !== undefined)
      endHistory(run.host, act.child.history, reason)
  }
}

/** The flow runs below one that have not ended, as their journals tell. */
export function unfinishedBelow({ runs }: History): string[] {
  return runs.flatMap(({ acts }) =>
    acts.flatMap((act) => {
      if (act.kind !== 'called flow' || act.child.history === undefined) return []
      const { flowRunId, root } = act.child.history
      return [...(isTerminal(root.stateName) ? [] : [flowRunId]), ...unfinishedBelow(act.child.history)]
    }),
  )
}

/** Ends the subflows of a flow run. */
export function endSubflows(host: RunHost, { runs }: History, reason: unknown): void {
  for (const { acts } of runs)
    for (const act of acts)
      if (act.kind === 'called flow' && act.child.history !== undefined)
        endHistory(host, act.child.history, reason)
}

/** Ends a flow run that only its journal knows. */
function endHistory(host: RunHost, history: History, reason: unknown): void {
  if (isTerminal(history.root.stateName)) return
  const run = restoreRoot(host, history, endingDefinition(history.root), undefined)
  run.looked = true
  run.ledger.claim()
  endRemembered(run, history.root, reason)
}

/** Cancels what the body had called before its host was lost, and has not called again. @returns Whether there was any. */
export function endUncalled(attempt: Attempt): boolean {
  const uncalled = attempt.replay?.takeUncalled() ?? []
  for (const call of uncalled) {
    const name = call.kind === 'task' ? call.run.submitted.name : call.child.started.name
    recordNote(
      attempt.run,
      'not called again',
      `${call.kind} ${name} was submitted before the host was lost, and not called again`,
    )
    if (call.kind === 'task') {
      const run = restoreTask(call.run, endingDefinition(call.run), attempt)
      endRemembered(run, call.run, 'it was not called again')
    } else if (call.child.history !== undefined && !isTerminal(call.child.history.root.stateName)) {
      const definition = endingDefinition(call.child.history.root)
      const run = restoreRoot(attempt.host, call.child.history, definition, attempt)
      attempt.childStarted(run)
      run.ledger.claim()
      endRemembered(run, call.child.history.root, 'it was not called again')
    }
  }
  return uncalled.length > 0
}
