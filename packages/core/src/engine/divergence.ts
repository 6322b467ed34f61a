import { RunError, TroupeError } from '../base/errors.ts'
import { recordNote } from './notes.ts'
import type { Handover } from './handover.ts'
import type { Replay } from './replay.ts'
import type { Run } from './run.ts'
import { never, park } from './wakes.ts'

/** An attempt whose body is replayed. */
export interface Replayed {
  readonly run: Run
  readonly replay: Replay | undefined
  readonly handover: Handover
}

/**
 * The body takes another path than its journal remembers. By its policy, or where the body has another version than the
 * journal, it goes on anew with a note; else the flow run is parked, and nothing is executed.
 *
 * @throws {@link RunError} `RUN_DIVERGED` where it is parked
 */
export function diverge(attempt: Replayed, how: string): void {
  const { run, replay, handover } = attempt
  const root = rootOf(run)
  const { kind, settings } = root.definition
  recordNote(run, 'diverged', `the body of ${run.runName} ${how}`)
  if (settings.onDivergence === 'run' || replay?.version !== run.definition.version) {
    replay?.forgetDraws()
    handover.skipUncalled()
    return
  }
  const message = `diverged: the body of ${run.runName} ${how}`
  const error = new RunError('RUN_DIVERGED', `${kind} run ${root.runName} (${root.id}) ${message}`, {
    details: { runId: root.id },
  })
  root.letGo(error)
  if (kind === 'flow') {
    // One whose body had not begun is Recovering, and takes no pause.
    if (root.stateName === 'Recovering') root.move({ type: 'start' })
    root.rarely.pausedFor = undefined
    root.move({ type: 'pause' }, message)
    park(root, never)
  } else {
    const outcome = { failure: root.host.values.saveError(error) }
    root.move({ type: 'fail', retries: 0, delayed: false }, message, outcome)
  }
  throw error
}

/** The body has come to rest, and has not made the call whose end comes next. */
export function stalled(attempt: Replayed, expected: string): void {
  isParked(attempt, `waits, and has not made the call that led to ${expected}`)
}

/** Whether the body ended before it made all calls whose ends its journal has, and its run was parked for it. */
export function endedShort(attempt: Replayed): boolean {
  if (attempt.replay === undefined) return false
  const { uncalled } = attempt.handover
  if (uncalled === 0) return false
  return isParked(attempt, `ended, and has not made ${uncalled} of the calls whose ends are in the journal`)
}

function isParked(attempt: Replayed, how: string): boolean {
  try {
    diverge(attempt, how)
    return false
  } catch (error) {
    // The state of the flow run says so; no caller is there to be told.
    if (TroupeError.is(error, 'RUN_DIVERGED')) return true
    throw error
  }
}

/** The root of the journal that the run is in. */
function rootOf(run: Run): Run {
  let root = run
  while (root.caller !== undefined && root.caller.run.ledger === run.ledger) root = root.caller.run
  return root
}
