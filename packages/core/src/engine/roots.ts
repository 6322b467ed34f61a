import { EMPTY } from 'rxjs'
import { RunError } from '../base/errors.ts'
import { newRootId } from '../base/ids.ts'
import type { Definition } from '../definitions/definition.ts'
import type { ChildEntry } from '../journal/entries.ts'
import type { History, RecordedRun } from '../journal/history.ts'
import type { Target } from '../runs/future.ts'
import type { Attempt } from './attempt.ts'
import { begin, dependenciesOf, submittedEntry, type Prepared } from './calls.ts'
import { endRemembered } from './ending.ts'
import { decodeArguments, hashArguments, idOfKey } from './identity.ts'
import { Ledger } from './ledger.ts'
import { goOn } from './rejoin.ts'
import type { RecordedCall } from './replay.ts'
import { restoreRoot } from './restore.ts'
import { Refused } from './elsewhere.ts'
import { Run, type Body, type RunHost } from './run.ts'

/** Creates a flow run, or a task run outside any flow, with a journal of its own. */
export function newRoot(
  host: RunHost,
  prepared: Prepared,
  recorded: (RecordedCall & { kind: 'flow' }) | undefined,
): Target {
  const { definition, caller } = prepared
  if (recorded !== undefined && caller !== undefined) return rejoinFlow(host, prepared, caller, recorded)
  const { id, idempotencyKey } = definition.settings
  const flowRunId =
    id ??
    (idempotencyKey === undefined
      ? (prepared.derivedId ?? newRootId(host.random))
      : idOfKey(definition.name, idempotencyKey))
  const known = host.rootOf(flowRunId)
  if (known !== undefined) return sameRun(host, known, prepared)
  if (caller !== undefined) return newSubflow(host, prepared, caller, flowRunId)
  return createRoot(host, prepared, flowRunId, new Ledger(host, flowRunId))
}

function createRoot(host: RunHost, prepared: Prepared, flowRunId: string, ledger: Ledger): Run {
  const { definition, caller, args } = prepared
  const { id, idempotencyKey } = definition.settings
  const run = new Run({
    id: flowRunId,
    index: ledger.runs++,
    definition,
    ledger,
    host,
    caller,
  })
  if (id !== undefined || idempotencyKey !== undefined) run.parametersHash = hashArguments(args)
  ledger.claim()
  ledger.record(submittedEntry(host, run, prepared), run)
  host.opened(run)
  caller?.childStarted(run)
  begin(host, run, prepared)
  return run
}

/** The parent's journal says that there is a child before the child's own journal exists. */
function newSubflow(host: RunHost, prepared: Prepared, caller: Attempt, flowRunId: string): Run {
  const ledger = new Ledger(host, flowRunId, { held: true })
  recordChild(host, prepared, caller, flowRunId, 'started', () => ledger.release())
  return createRoot(host, prepared, flowRunId, ledger)
}

function recordChild(
  host: RunHost,
  { definition, identity }: Pick<Prepared, 'definition' | 'identity'>,
  caller: Body,
  flowRunId: string,
  event: ChildEntry['event'],
  committed: () => void,
): void {
  const entry: ChildEntry = {
    kind: 'child',
    at: host.clock.now(),
    flowRunId,
    parent: caller.run.index,
    parentAttempt: caller.number,
    name: definition.name,
    version: definition.version,
    identity,
    event,
  }
  caller.run.ledger.record(entry, { committed })
}

/** The end of a subflow is in its own journal; its caller is handed it when the caller's journal says so, too. */
export function subflowEnded(host: RunHost, run: Run, caller: Body): void {
  recordChild(host, { definition: run.definition, identity: undefined }, caller, run.id, 'ended', () =>
    caller.handOver(run),
  )
}

function rejoinFlow(
  host: RunHost,
  prepared: Prepared,
  caller: Attempt,
  call: RecordedCall & { kind: 'flow' },
): Run {
  const { child, place, adopt } = call
  const { flowRunId } = child.started
  const { history } = child
  if (history === undefined) return createRoot(host, prepared, flowRunId, new Ledger(host, flowRunId))
  const run = restoreRoot(host, history, prepared.definition, caller)
  caller.childStarted(run)
  if (!run.ended) {
    run.ledger.claim()
    goOn(host, run, prepared, history.root)
    return run
  }
  caller.childEnded(run)
  if (place !== undefined) caller.handover.fill(place, run)
  else {
    const event = adopt ? 'adopted' : 'ended'
    recordChild(host, prepared, caller, flowRunId, event, () => caller.handOver(run))
  }
  return run
}

/** Goes on with an unfinished root of a journal that this engine takes over. */
export function recoverRoot(host: RunHost, history: History, definition: Definition): Run {
  const run = restoreRoot(host, history, definition, undefined)
  run.ledger.claim()
  const prepared = preparedAgain(host, history.root, definition)
  if (run.stateName === 'Paused') return run
  goOn(host, run, prepared, history.root)
  return run
}

/** Replays a parked run, from what its journal says now. */
export function replayParked(host: RunHost, run: Run, history: History): void {
  if (!run.move({ type: 'replay' })) return
  begin(host, run, preparedAgain(host, history.root, run.definition), { run: history.root, gated: true })
}

/** Cancels a parked run, and what it had submitted. */
export function cancelParked(host: RunHost, run: Run, history: History, reason: string): void {
  endRemembered(host, run, history.root, reason)
}

function preparedAgain(host: RunHost, { submitted }: RecordedRun, definition: Definition): Prepared {
  const inputs = host.values.encodes ? (submitted.inputs as Uint8Array) : undefined
  const args = inputs === undefined ? (submitted.inputs as readonly unknown[]) : decodeArguments(inputs, [])
  const dependencies = dependenciesOf(args, undefined)
  return {
    definition,
    args,
    caller: undefined,
    dependencies,
    inputs,
    identity: undefined,
    derivedId: undefined,
    order: host.next(),
  }
}

/** Two starters of one id: the second gets the first one's run, if it asked for the same. */
function sameRun(host: RunHost, known: Run, { definition, args }: Prepared): Target {
  if (known.definition.name === definition.name && known.parametersHash === hashArguments(args)) return known
  const error = conflictError(known.id, definition.name)
  return new Refused({ id: known.id, clock: host.clock, error, nothing: () => EMPTY })
}

export function conflictError(id: string, name: string): RunError {
  const message = `${id} was started before with another flow or other parameters than ${name} now`
  return new RunError('IDEMPOTENCY_CONFLICT', message, { details: { flowRunId: id } })
}
