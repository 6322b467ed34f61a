import type { Definition } from '../definitions/definition.ts'
import { compile } from '../definitions/compile.ts'
import type { History, RecordedRun } from '../journal/history.ts'
import { Inbox } from './inbox.ts'
import { Ledger } from './ledger.ts'
import type { Attempt } from './attempt.ts'
import type { Restored } from './restored.ts'
import { Run, type RunHost } from './run.ts'

/** Ends of recorded runs come before all that end in this engine. */
const beforeAll = -(2 ** 50)

/** What a run goes on from. */
export function restoredOf(recorded: RecordedRun): Restored {
  return {
    context: { attempt: recorded.attempt, tries: recorded.tries, recoveries: recorded.recoveries },
    stateName: recorded.stateName,
    seq: recorded.seq,
    entry: recorded.last,
    outcome: recorded.outcome,
    endOrder: beforeAll + recorded.endOrder,
    runName: recorded.runName,
    tags: recorded.submitted.tags,
  }
}

/** The writing end of a journal that exists. The caller claims it before it writes. */
function ledgerOf(host: RunHost, history: History): Ledger<RunHost> {
  const { flowRunId, epoch, position, runs, waits, offers, root } = history
  const ledger = new Ledger(host, flowRunId, {
    from: { epoch, position, runs: runs.length, waits: waits.length, offers },
  })
  ledger.parametersHash = root.submitted.parametersHash
  ledger.startedAt = root.submitted.at
  return ledger
}

/** Stands for the definition of a run that is only to be ended: its body will not run. */
export function endingDefinition({ submitted }: RecordedRun): Definition {
  const { runKind: kind, name, version } = submitted
  const origin = { name, version, place: '', modules: [], insideRun: false }
  return { kind, name, version, fn: () => undefined, settings: compile(kind, {}), origin, given: undefined }
}

/** A task run as its caller's journal tells of it. */
export function restoreTask(recorded: RecordedRun, definition: Definition, caller: Attempt): Run {
  const { host } = caller
  const run = new Run({
    id: recorded.submitted.runId,
    index: recorded.index,
    definition,
    ledger: caller.run.ledger,
    caller,
    restored: restoredOf(recorded),
  })
  host.instruments?.restored(run, recorded)
  caller.childStarted(run)
  if (run.ended) caller.childEnded(run)
  return run
}

/** A root or a subflow as its own journal tells of it; one that has not ended is live here from now on. */
export function restoreRoot(
  host: RunHost,
  history: History,
  definition: Definition,
  caller: Attempt | undefined,
): Run {
  const run = new Run({
    id: history.flowRunId,
    index: 0,
    definition,
    ledger: ledgerOf(host, history),
    caller,
    restored: restoredOf(history.root),
  })
  host.instruments?.restored(run, history.root)
  if (history.messages.length > 0) run.rarely.inbox = new Inbox(run, history.messages)
  if (!run.ended) host.opened(run, history.node)
  return run
}
