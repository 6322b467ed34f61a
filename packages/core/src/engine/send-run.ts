import { defer, from, mergeMap } from 'rxjs'
import { UsageError } from '../base/errors.ts'
import { newRootId } from '../base/ids.ts'
import type { ClaimedEntry, Entry, SubmittedEntry } from '../journal/entries.ts'
import type { Clock } from '../ports/clock.ts'
import type { SentScope, TraceCarrier } from '../ports/instrumentation.ts'
import type { Append, Journal } from '../ports/journal.ts'
import type { Random } from '../ports/random.ts'
import type { Station } from '../ports/transport.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { findDependencies } from './dependencies.ts'
import { Elsewhere, type ElsewhereHost } from './elsewhere.ts'
import { readSubmitted, type EndReader } from './ends.ts'
import { idOfKey } from '../runs/call-identity.ts'
import { encodeArguments, hashArguments } from './identity.ts'
import { conflictError } from './roots.ts'
import { isPassing } from './patient-journal.ts'
import type { SendOrder } from './send-order.ts'
import { offerRun, servedName } from './serve-flows.ts'

export interface SendHost {
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly elsewhere: ElsewhereHost
  readonly ends: EndReader
  readonly closed: boolean
  readonly instruments:
    | { sent(flow: { readonly id: string; readonly name: string }): SentScope | undefined }
    | undefined
  append(append: Append): ReturnType<Journal['append']>
  report(error: unknown, run: undefined): void
}

/** A flow run that was sent to whoever serves it. */
export interface Sent {
  readonly target: Elsewhere
  /** Resolves when it can't be lost any more: it is new, or was there; rejects with why it was not created. */
  readonly created: Promise<'new' | 'there'>
}

/**
 * Writes the journal of a flow run that nobody has, and offers the run to the nodes. What is returned follows it from its
 * journal; where the run can't be created, awaiting it rejects.
 *
 * @throws UsageError `INVALID_OPTION`: an empty key, a future in the arguments; CodecError `NOT_ENCODABLE`
 */
export function sendRun(host: SendHost, station: Station, order: SendOrder): Sent {
  const { name, args, idempotencyKey } = order
  if (findDependencies(args, 'args').length > 0) {
    throw new UsageError(
      'INVALID_OPTION',
      `${name} was given a future, and is to run on another node; await it first`,
    )
  }
  const asked = order.id ?? (idempotencyKey === undefined ? undefined : idOfKey(name, idempotencyKey))
  const flowRunId = asked ?? newRootId(host.random)
  const inputs = encodeArguments(args)
  const parametersHash = asked === undefined ? undefined : hashArguments(args)
  const at = host.clock.now()
  const scope = host.instruments?.sent({ id: flowRunId, name })
  const created = create(host, station, { ...order, flowRunId, inputs, parametersHash, trace: scope?.trace })
  if (scope !== undefined)
    created.then(
      (how) => scope.ended(undefined, how === 'new'),
      (error: unknown) => scope.ended(error, false),
    )
  // Whoever awaits the run hears of it.
  created.catch(() => undefined)
  const state = { type: 'PENDING', name: 'Pending', at } as const
  const names = { kind: 'flow', name, runName: order.runName ?? name } as const
  return { target: new Elsewhere(after(created, host.elsewhere), flowRunId, state, names), created }
}

interface Creation extends SendOrder {
  readonly flowRunId: string
  readonly inputs: Uint8Array
  readonly parametersHash: string | undefined
  readonly trace: TraceCarrier | undefined
}

async function create(host: SendHost, station: Station, creation: Creation): Promise<'new' | 'there'> {
  const { flowRunId, name, parametersHash } = creation
  const version = creation.version ?? (await newestServed(station, name))
  const entries = entriesOf(creation, version, host.clock.now())
  const answer = await appended(host, { flowRunId, expected: 0, epoch: 1, entries })
  if (answer !== undefined) {
    // Another starter was there before: its run is this one, if it asked for the same.
    const there = await readSubmitted(host.ends, flowRunId)
    if (there.name !== name || there.parametersHash !== parametersHash) throw conflictError(flowRunId, name)
  }
  // It is in the journal: where the offer is lost, the nodes that serve the flow find it there.
  await offer(host, station, flowRunId).catch((error: unknown) => host.report(error, undefined))
  return answer === undefined ? 'new' : 'there'
}

async function offer({ journal }: SendHost, { queue }: Station, flowRunId: string): Promise<void> {
  const summary = await journal.summary(flowRunId)
  if (summary?.node === '' && !summary.ended) await offerRun(queue, summary)
}

/** The same entries again until there is an answer: where they were stored before, the journal knows them. */
async function appended(host: SendHost, append: Append): Promise<Awaited<ReturnType<Journal['append']>>> {
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
    try {
      return await host.append(append)
    } catch (error) {
      if (host.closed || !isPassing(error)) throw error
      host.report(error, undefined)
      await deadlineAfter(host.clock, pauseMs).done
    }
  }
}

function entriesOf(creation: Creation, version: string, at: number): readonly Entry[] {
  const { flowRunId: runId, name, runName, inputs, tags, parametersHash, options, trace } = creation
  const claimed: ClaimedEntry = { kind: 'claimed', at, epoch: 1, node: '' }
  const submitted: SubmittedEntry = {
    kind: 'submitted',
    at,
    runKind: 'flow',
    runId,
    parent: -1,
    parentAttempt: 0,
    name,
    version,
    runName,
    identity: undefined,
    inputs,
    to: 'Pending',
    tags: tags === undefined || tags.length === 0 ? undefined : tags,
    ...(parametersHash === undefined ? undefined : { parametersHash }),
    ...(options === undefined ? undefined : { options }),
    ...trace,
  }
  return [claimed, submitted]
}

/** The greatest version of a flow that a node serves; the default one where none does. */
async function newestServed({ nodes }: Station, name: string): Promise<string> {
  const prefix = servedName({ name, version: '' })
  const versions = (await nodes.list()).flatMap(({ flows }) =>
    flows.filter((flow) => flow.startsWith(prefix)).map((flow) => flow.slice(prefix.length)),
  )
  return versions.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) ?? '1'
}

/** What a run tells that is only about to be there. */
function after(created: Promise<unknown>, host: ElsewhereHost): ElsewhereHost {
  return {
    clock: host.clock,
    mail: host.mail,
    stateOf: (runId) => created.then(() => host.stateOf(runId)),
    hasMessage: (flowRunId, id) => created.then(() => host.hasMessage(flowRunId, id)),
    untilEnd: (runId) => created.then(() => host.untilEnd(runId)),
    watch: (runId) => defer(() => from(created).pipe(mergeMap(() => host.watch(runId)))),
    watchStates: (runId) => defer(() => from(created).pipe(mergeMap(() => host.watchStates(runId)))),
  }
}
