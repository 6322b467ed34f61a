import { EMPTY } from 'rxjs'
import { RunError, UsageError } from '../base/errors.ts'
import { newRootId } from '../base/ids.ts'
import type { Definition } from '../definitions/definition.ts'
import type { ChildEntry } from '../journal/entries.ts'
import type { History, RecordedRun } from '../journal/history.ts'
import { isTerminal } from '../machines/states.ts'
import { requestedId } from '../runs/call-identity.ts'
import type { Target } from '../runs/current-body.ts'
import type { Attempt } from './attempt.ts'
import { dependenciesOf, submittedEntry, type Call, type Prepared } from './calls.ts'
import { begin } from './life.ts'
import { endRemembered } from './ending.ts'
import { decodeArguments, hashArguments } from './identity.ts'
import { Ledger } from './ledger.ts'
import { readHistory } from './read-journal.ts'
import { goOn } from './rejoin.ts'
import type { RecordedCall } from './replay.ts'
import { restoreRoot } from './restore.ts'
import { never, park, parkRestored, unpark } from './wakes.ts'
import { Refused } from './elsewhere.ts'
import { Run, type Body, type RunHost } from './run.ts'

/** The run that a call asks for by its id, where the calling body or this engine has it. */
export function findRequested(host: RunHost, call: Call): Target | undefined {
  const id = requestedId(call.definition)
  if (id === undefined) return undefined
  const known =
    call.caller?.keyed?.get(id) ?? (call.caller?.replay === undefined ? host.rootOf(id) : undefined)
  return known === undefined ? undefined : sameRun(known, call)
}

/** Creates a flow run, or a task run outside any flow, with a journal of its own. */
export function newRoot(host: RunHost, { definition, caller }: Call, prepared: Prepared): Run {
  const flowRunId = requestedId(definition) ?? prepared.derivedId ?? newRootId(host.random)
  if (caller !== undefined) return newSubflow(caller, definition, prepared, flowRunId)
  return createRoot(new Ledger(host, flowRunId), { host, definition, caller }, prepared)
}

interface Origin {
  readonly host: RunHost
  readonly definition: Definition
  readonly caller: Attempt | undefined
}

function createRoot(ledger: Ledger<RunHost>, { host, definition, caller }: Origin, prepared: Prepared): Run {
  const { id, idempotencyKey } = definition.settings
  const run = new Run({ id: ledger.flowRunId, index: ledger.runs++, definition, ledger, caller })
  if (id !== undefined || idempotencyKey !== undefined)
    run.ledger.parametersHash = hashArguments(prepared.args)
  ledger.claim()
  ledger.record(submittedEntry(run, prepared), run)
  host.opened(run)
  caller?.childStarted(run)
  begin(run, prepared)
  return run
}

/** The parent's journal says that there is a child before the child's own journal exists. */
function newSubflow(caller: Attempt, definition: Definition, prepared: Prepared, flowRunId: string): Run {
  const { host } = caller
  const ledger = new Ledger(host, flowRunId, { held: true })
  recordChild(caller, { definition, flowRunId, identity: prepared.identity, event: 'started' }, () =>
    ledger.release(),
  )
  return createRoot(ledger, { host, definition, caller }, prepared)
}

interface ChildRecord extends Pick<ChildEntry, 'flowRunId' | 'identity' | 'event'> {
  readonly definition: Definition
}

function recordChild(caller: Body, { definition, ...record }: ChildRecord, committed: () => void): void {
  const entry: ChildEntry = {
    kind: 'child',
    at: caller.run.host.clock.now(),
    parent: caller.run.index,
    parentAttempt: caller.number,
    name: definition.name,
    version: definition.version,
    ...record,
  }
  caller.run.ledger.record(entry, { committed })
}

/** The end of a subflow is in its own journal; its caller is handed it when the caller's journal says so, too. */
export function subflowEnded(run: Run, caller: Body): void {
  const record = {
    definition: run.definition,
    flowRunId: run.id,
    identity: undefined,
    event: 'ended',
  } as const
  recordChild(caller, record, () => caller.handOver(run))
}

/** Finds again the subflow that an earlier execution of the calling body started. */
export function rejoinFlow(
  caller: Attempt,
  definition: Definition,
  prepared: Prepared,
  call: RecordedCall & { kind: 'flow' },
): Run {
  const { child, place, adopt } = call
  const { flowRunId } = child.started
  const { history } = child
  const { host } = caller
  if (history === undefined)
    return createRoot(new Ledger(host, flowRunId), { host, definition, caller }, prepared)
  const run = restoreRoot(host, history, definition, caller)
  caller.childStarted(run)
  if (!run.ended) {
    run.ledger.claim()
    if (prepared.dependencies.length > 0) run.rarely.call = prepared
    if (isPaused(run)) parkRestored(run, history)
    else goOn(run, prepared, history.root)
    return run
  }
  caller.childEnded(run)
  if (place !== undefined) caller.handover.fill(place, run)
  else {
    const event = adopt ? 'adopted' : 'ended'
    recordChild(caller, { definition, flowRunId, identity: prepared.identity, event }, () =>
      caller.handOver(run),
    )
  }
  return run
}

/** A run whose body began with another version waits for a person to say that it may go on with this one. */
function parkForVersion(run: Run, version: string): void {
  const { definition } = run
  run.move({ type: 'hostLost', fatal: false }, 'its host was lost')
  run.move({ type: 'start' })
  run.rarely.pausedFor = undefined
  run.move(
    { type: 'pause' },
    `its body began with version ${version} of ${definition.name}, and this is ${definition.version}`,
  )
  park(run, never)
}

/** Goes on with an unfinished root of a journal that this engine takes over. */
export function recoverRoot(
  host: RunHost,
  history: History,
  definition: Definition,
  prepared?: Prepared,
): Run {
  const wasEncoded = history.root.submitted.inputs instanceof Uint8Array
  if (wasEncoded !== host.values.encodes) {
    throw new UsageError(
      'INVALID_OPTION',
      `${history.root.submitted.name} (${history.flowRunId}) was recorded with \`strictValues: ${wasEncoded}\`, ` +
        'and can be recovered only by an engine with the same',
    )
  }
  // Where its arguments can't be read it stays as it is: one that is claimed and does not go on is lost.
  const again = prepared ?? preparedAgain(host, history.root)
  const run = restoreRoot(host, history, definition, undefined)
  run.ledger.claim()
  const { version } = history.root.submitted
  const { onVersionChange, onHostLost } = definition.settings
  const isOther = version !== definition.version && onVersionChange === 'park'
  // One that must not run twice has crashed, whatever its version.
  const hasBegun = run.stateName !== 'Pending' && run.stateName !== 'Cancelling' && onHostLost !== 'crash'
  // A paused run waits for what it is paused for, which replays it.
  if (isPaused(run)) parkRestored(run, history, isOther)
  else if (isOther && hasBegun) parkForVersion(run, version)
  else goOn(run, again, history.root, true)
  return run
}

/**
 * Goes on with a run whose journal refused this engine, where that is no other engine's matter. A subflow belongs where its
 * caller is, whichever engine created or claimed it. A root that nobody has claimed since is this engine's: an append that the
 * owner before had still on its way was in the way of the claim, or this engine counted as gone for a while, and nobody else
 * serves the flow. The run that the caller holds follows it.
 */
export async function takeOver(run: Run): Promise<void> {
  const { caller, host } = run
  if (caller?.run.ledger.lost === true) return
  const history = await readHistory(host.ends.journal, run.id)
  if (history === undefined || isTerminal(history.root.stateName) || host.closed) return
  const isOwn =
    caller === undefined
      ? isNobodys(run, history)
      : history.root.submitted.parentRunId === caller.run.id && !caller.over
  if (isOwn) recoverRoot(host, history, run.definition, run.rare?.call as Prepared | undefined).looked = true
}

/** Whether no engine has claimed a root since this one did, or wanted to. */
function isNobodys({ id, ledger, host }: Run, { epoch, node }: History): boolean {
  // It may be back here already.
  if (host.rootOf(id) !== undefined) return false
  if (epoch < ledger.epoch) return true
  // This engine had it, and gave it up for whoever serves its flow.
  return ledger.position > 0 && (node === '' || (epoch === ledger.epoch && node === host.node))
}

/** Replays a parked run, from what its journal says now. */
export function replayParked(run: Run, history: History): void {
  if (!run.move({ type: run.stateName === 'Suspended' ? 'resume' : 'replay' })) return
  unpark(run)
  const prepared = (run.rare?.call as Prepared | undefined) ?? preparedAgain(run.host, history.root)
  begin(run, prepared, { run: history.root, gated: true })
}

/** Cancels a parked run, and what it had submitted. */
export function cancelParked(run: Run, history: History, reason: unknown): void {
  endRemembered(run, history.root, reason)
  unpark(run)
}

function isPaused({ stateName }: Run): boolean {
  return stateName === 'Paused' || stateName === 'Suspended'
}

/** The call of a root as its journal tells of it. */
function preparedAgain(host: RunHost, { submitted }: RecordedRun): Prepared {
  const inputs = host.values.encodes ? (submitted.inputs as Uint8Array) : undefined
  const args = inputs === undefined ? (submitted.inputs as readonly unknown[]) : decodeArguments(inputs, [])
  const dependencies = dependenciesOf(args, undefined)
  return {
    args,
    inputs,
    dependencies,
    identity: undefined,
    parcel: undefined,
    derivedId: undefined,
    order: host.next(),
  }
}

/** Two starters of one id: the second gets the first one's run, if it asked for the same. */
function sameRun(known: Run, { definition, args }: Call): Target {
  if (known.definition.name === definition.name && known.ledger.parametersHash === hashArguments(args))
    return known
  const error = conflictError(known.id, definition.name)
  return new Refused({
    id: known.id,
    kind: definition.kind,
    name: definition.name,
    clock: known.host.clock,
    error,
    nothing: () => EMPTY,
  })
}

export function conflictError(id: string, name: string): RunError {
  const message = `${id} was started before with another flow or other parameters than ${name} now`
  return new RunError('IDEMPOTENCY_CONFLICT', message, { details: { flowRunId: id } })
}
