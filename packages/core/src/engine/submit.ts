import { UsageError } from '../base/errors.ts'
import { newTaskRunId } from '../base/ids.ts'
import type { Definition } from '../definitions/definition.ts'
import { nameFor, type RunName } from '../definitions/run-names.ts'
import { requestedId } from '../runs/call-identity.ts'
import type { Target } from '../runs/current-body.ts'
import { runOutside } from '../runs/run-context.ts'
import type { Attempt } from './attempt.ts'
import { prepare, submittedEntry, type Call, type Prepared } from './calls.ts'
import { begin } from './life.ts'
import { diverge } from './divergence.ts'
import { rejoinTask } from './rejoin.ts'
import type { RecordedCall } from './replay.ts'
import type { SendOrder } from './send-order.ts'
import { storedOptions } from './stored-options.ts'
import { findRequested, newRoot, rejoinFlow } from './roots.ts'
import { Run, type RunHost } from './run.ts'

/**
 * Takes a call: creates its run, or finds the one that an earlier execution of the calling body created.
 *
 * @throws {@link UsageError} for misuse, before anything is created.
 */
export function submit(host: RunHost, call: Call): Target {
  const { definition, caller } = call
  if (host.refusal !== undefined) throw host.refusal
  if (host.closed || (host.closing && caller === undefined)) {
    throw new UsageError('ENGINE_CLOSED', `the engine is closed; it can't run ${definition.name}`)
  }
  caller?.checkOpen(definition.settings.cleanup)
  if (definition.settings.on === 'any')
    return host.clusterFor(definition.name).send(orderOf(host, call)).target
  const requested = findRequested(host, call)
  if (requested !== undefined) return requested
  const prepared = prepare(host, call)
  const recorded = caller === undefined ? undefined : findRecorded(caller, definition, prepared)
  if (caller === undefined) return newRoot(host, call, prepared)
  if (definition.kind === 'task') {
    return recorded?.kind === 'task'
      ? rejoinTask(caller, definition, prepared, recorded)
      : newTask(caller, definition, prepared)
  }
  const run =
    recorded?.kind === 'flow'
      ? rejoinFlow(caller, definition, prepared, recorded)
      : newRoot(host, call, prepared)
  const id = requestedId(definition)
  if (id !== undefined) (caller.keyed ??= new Map()).set(id, run)
  return run
}

/** @throws UsageError `INVALID_OPTION`: a subflow runs where its caller does */
export function orderOf(host: RunHost, { definition, args, caller }: Call): SendOrder {
  const { name, version, settings, given } = definition
  if (caller !== undefined) {
    const message = `${name} is called by a run, and runs where that does; leave out \`on: 'any'\``
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'on' } })
  }
  const { id, idempotencyKey, runName, tags } = settings
  const named = runName === undefined ? undefined : nameOrReport(host, runName, args)
  return { name, version, args, id, idempotencyKey, runName: named, tags, options: storedOptions(given) }
}

/** One whose name can't be made keeps its default. */
function nameOrReport(host: RunHost, runName: RunName, args: readonly unknown[]): string | undefined {
  try {
    return runOutside(host, () => nameFor(runName, args))
  } catch (error) {
    host.report(error, undefined)
    return undefined
  }
}

/** @throws RunError `RUN_DIVERGED` where the body takes another path than the journal remembers. */
function findRecorded(
  caller: Attempt,
  definition: Definition,
  { identity }: Prepared,
): RecordedCall | undefined {
  const { replay } = caller
  if (replay === undefined || identity === undefined) return undefined
  const found = replay.take(definition.kind, definition.name, definition.version, identity)
  if (found !== undefined || caller.handover.uncalled === 0) return found
  const expected = caller.handover.stalledAt ?? 'another recorded call'
  const made = `made call ${caller.submitted + 1}, ${definition.kind} ${definition.name}, which its journal does not have`
  diverge(caller, `${made} (other arguments, another name or version); the journal goes on with ${expected}`)
  return undefined
}

function newTask(caller: Attempt, definition: Definition, prepared: Prepared): Run {
  const { host } = caller
  const { ledger } = caller.run
  const run = new Run({
    id:
      prepared.derivedId === undefined
        ? newTaskRunId(ledger.idPrefix, host.random)
        : ledger.idPrefix + prepared.derivedId,
    index: ledger.runs++,
    definition,
    ledger,
    caller,
  })
  ledger.record(submittedEntry(run, prepared), run)
  caller.childStarted(run)
  begin(run, prepared)
  return run
}
