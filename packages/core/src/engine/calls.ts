import { UsageError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import { checkFindable } from '../definitions/registry.ts'
import type { Parcel } from '../remote/protocol.ts'
import { isFixed, nameFor } from '../definitions/run-names.ts'
import { storedOptions } from './stored-options.ts'
import type { SubmittedEntry } from '../journal/entries.ts'
import type { Dependency } from './dependencies.ts'
import { findDependencies, replaceFutures } from './dependencies.ts'
import { derivedIdOf } from '../runs/call-identity.ts'
import { runOutside } from '../runs/run-context.ts'
import type { Attempt } from './attempt.ts'
import { encodeArguments, identityOf, wrapArguments } from './identity.ts'
import type { Run, RunHost } from './run.ts'
import type { RecordedRun } from '../journal/history.ts'

/** A call of a task or a flow. */
export interface Call {
  readonly definition: Definition
  readonly args: readonly unknown[]
  /** The body that makes it; undefined outside a run. */
  readonly caller: Attempt | undefined
}

/** A call that was found in order. */
export interface Prepared {
  readonly args: readonly unknown[]
  /** The arguments as the journal holds them, where it encodes: each attempt gets a copy of its own. */
  readonly inputs: Uint8Array | undefined
  /** The arguments as another thread gets them, where the body runs in one and they hold no futures. */
  readonly parcel: Parcel | undefined
  readonly dependencies: readonly Dependency[]
  /** Hash of the arguments or of the key, where the call may have to be found again. */
  readonly identity: string | undefined
  /** What the new run's id is made of, where the call has an identity. */
  readonly derivedId: string | undefined
  /** Place in the order of submission. */
  readonly order: number
}

/** Looks for futures, and encodes what must be encoded. Nothing is created yet. */
export function prepare(host: RunHost, call: Call): Prepared {
  const { definition, args, caller } = call
  const dependencies = dependenciesOf(args, definition.settings.waitFor)
  for (const { run } of dependencies) checkDependency(host, run, call)
  const { encodes } = host.values
  const inputs = encodes ? encodeArguments(args) : undefined
  const parcel = isForeign(host, call) ? parcelOf(args, dependencies, inputs) : undefined
  // Whatever may be replayed or retried must be found again by its arguments.
  const findable =
    caller !== undefined &&
    (encodes ||
      definition.settings.key !== undefined ||
      caller.run.definition.settings.retries > 0 ||
      caller.replay !== undefined)
  const identity = findable ? identityOf(definition, args) : undefined
  return {
    args,
    inputs,
    parcel,
    dependencies,
    identity,
    derivedId:
      identity === undefined || caller === undefined ? undefined : derivedIdOf(caller, definition, identity),
    order: host.next(),
  }
}

/** Whether the body runs in another thread. @throws UsageError `TASK_NOT_FOUND`, `AMBIGUOUS_NAME` where it can't */
function isForeign(host: RunHost, { definition, caller }: Call): boolean {
  if (definition.kind !== 'task') return false
  const pool = caller === undefined ? host.pool(definition.settings.taskRunner) : caller.childPool
  if (pool.encodes !== true) return false
  checkFindable(definition)
  return true
}

/** @throws CodecError `NOT_ENCODABLE`: at once, not only when the body is to begin */
function parcelOf(
  args: readonly unknown[],
  dependencies: readonly Dependency[],
  inputs: Uint8Array | undefined,
): Parcel | undefined {
  const parcel = inputs === undefined ? wrapArguments(args) : { bytes: inputs }
  return dependencies.length === 0 ? parcel : undefined
}

function checkDependency(host: RunHost, run: Run, { definition, caller }: Call): void {
  const details = { runId: run.id }
  if (run.ledger.host !== host) {
    throw new UsageError(
      'FOREIGN_ENGINE',
      `${definition.name} was given a future of another engine (${run.id}); await it first`,
      {
        details,
      },
    )
  }
  if (caller?.run.descendsFrom(run) !== true) return
  const whose =
    caller.run === run ? 'the run that makes the call' : 'an ancestor of the run that makes the call'
  throw new UsageError(
    'DEADLOCK',
    `${definition.name} depends on ${run.runName}, ${whose}: neither could end`,
    { details },
  )
}

/** The runs that a call depends on. */
export function dependenciesOf(args: readonly unknown[], waitFor: unknown): readonly Dependency[] {
  const inArguments = findDependencies(args, 'args')
  if (waitFor === undefined) return inArguments
  return [...inArguments, ...findDependencies(waitFor, 'waitFor')]
}

/** Whether the arguments that name a run are those of its call. */
export function isNamedByCall({ settings }: Definition, dependencies: readonly Dependency[]): boolean {
  return dependencies.length === 0 && settings.parameters === undefined
}

/** Gives a run the name that its options make of its arguments; one whose name can't be made keeps its default. */
export function nameRun(run: Run, args: readonly unknown[], recorded: boolean): void {
  const { runName } = run.definition.settings
  if (runName === undefined || isFixed(runName)) return
  try {
    run.nameIt(
      runOutside(run.host, () => nameFor(runName, args)),
      recorded,
    )
  } catch (error) {
    run.host.report(error, run)
  }
}

/** Arguments as the body gets them, where no futures stand in them. */
function unmarked(args: readonly unknown[]): readonly unknown[] {
  return replaceFutures(args, (run) => run.value) as readonly unknown[]
}

/** The entry that a new run begins with. */
export function submittedEntry(run: Run, { identity, inputs, args, dependencies }: Prepared): SubmittedEntry {
  const { definition, caller, tags } = run
  const trace = run.host.instruments?.submitted(run)
  if (definition.settings.runName !== undefined && isNamedByCall(definition, dependencies))
    nameRun(run, unmarked(args), true)
  const entry = {
    kind: 'submitted',
    at: run.host.clock.now(),
    runKind: definition.kind,
    runId: run.id,
    parent: run.index === 0 ? -1 : (caller?.run.index ?? -1),
    parentAttempt: run.index === 0 ? 0 : (caller?.number ?? 0),
    name: definition.name,
    version: definition.version,
    runName: run.givenName,
    identity,
    inputs: inputs ?? args,
    to: 'Pending',
    tags: tags.length === 0 ? undefined : tags,
  } as const
  if (run.index > 0) return entry
  run.ledger.startedAt = entry.at
  const options = caller === undefined ? storedOptions(definition.given) : undefined
  return {
    ...entry,
    ...(caller === undefined ? undefined : { parentRunId: caller.run.id }),
    ...(options === undefined ? undefined : { options }),
    ...trace,
    ...(run.ledger.parametersHash === undefined ? undefined : { parametersHash: run.ledger.parametersHash }),
  }
}

/** What an earlier execution of a run's body did, and whether the body may have begun. */
export interface Recorded {
  readonly run: RecordedRun
  readonly gated: boolean
}
