import { RunError, UsageError } from '../base/errors.ts'
import { flowRunIdOf, newRootId } from '../base/ids.ts'
import type { Definition } from '../definitions/definition.ts'
import { flowDefinitionOf, type AnyFlow } from '../definitions/flow.ts'
import { findDefinition } from '../definitions/registry.ts'
import type { Entry, SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { foldJournal, type RecordedRun } from '../journal/history.ts'
import { isRunning, isTerminal, stateTypes, type StateName } from '../machines/states.ts'
import { identified } from './call-identities.ts'
import { exchanged } from './exchange.ts'
import { childrenOf, createJournals, readTreeNow, rootEntryOf, type JournalTree } from './journal-tree.ts'
import { readHistory } from './read-journal.ts'
import { renamedTree } from './renamed-tree.ts'
import { recoverRoot } from './roots.ts'
import { asRoot, checkId, ownedBy, type CopyHost } from './run-file.ts'
import type { Target } from '../runs/current-body.ts'
import { inWords } from '../base/words.ts'
import type { SendOrder } from './send-order.ts'
import type { Sent } from './send-run.ts'
import { storedOptions, withStored } from './stored-options.ts'

/** How a flow run is forked. @public */
export interface ForkOptions {
  /**
   * Position in the journal of the run up to which the new run has done the same, from 2: as if its process had died there.
   * By default it keeps what COMPLETED, and does everything else anew, as a retry does.
   */
  readonly from?: number
  /** The flow to go on with, of the same name: one with other options, or of another version. Default the one that is defined. */
  readonly flow?: AnyFlow
  /**
   * `'any'`: the new run goes on at whichever node of the engine's transport serves the flow, whose code need not be in this
   * process. Default `'here'`, at this engine.
   */
  readonly on?: 'here' | 'any'
  /** Id of the new run: up to 64 letters, digits, `-` and `_`; default a random one. */
  readonly id?: string
}

interface ForkHost extends CopyHost {
  /** @throws UsageError `NO_TRANSPORT` */
  clusterFor(what: string): { offer(flowRunId: string): Promise<void>; send(order: SendOrder): Sent }
}

/** Starts a flow run that begins with what another one did. */
export async function forkRun(host: ForkHost, id: string, options: ForkOptions): Promise<Target> {
  host.checkOpen()
  const { from, flow, on = 'here' } = options
  const known = ['from', 'flow', 'on', 'id']
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown !== undefined) throw invalid(unknown, `fork has no option \`${unknown}\``)
  if (options.id !== undefined) checkId(options.id)
  if (on !== 'here' && on !== 'any')
    throw invalid('on', `expected \`on\` to be 'here' or 'any', got ${inWords(on)}`)
  if (on === 'any' && flow !== undefined)
    throw invalid(
      'flow',
      "the node that goes on with the run has its own flow: leave out `flow`, or `on: 'any'`",
    )
  const source = flowRunIdOf(id)
  const all = exchanged(identified(await readTreeNow(host, source)), host.values)
  const entries = all.get(source) ?? []
  // Where it goes on: on another node, which has the flow, or here.
  const place =
    on === 'any' ? host.clusterFor(`the fork of ${id}`) : definitionFor(rootEntryOf(entries), flow)
  const newId = options.id ?? newRootId(host.random)
  const cut = from === undefined ? retried(host, all) : cutAt(all, from)
  const tree = asRoot(renamedTree(cut, newId, all))
  const position = Math.min(from ?? entries.length, entries.length)
  const message = `forked from ${source} at position ${position}`
  const note = { note: 'forked', message } as const
  if ('offer' in place) {
    await createJournals(host, ownedBy({ clock: host.clock, node: '' }, tree, note))
    // It is in the journal: where the offer is lost, the nodes that serve the flow find it there.
    await place.offer(newId).catch((error: unknown) => host.report(error, undefined))
    return (await host.get(newId)) ?? notThere(newId)
  }
  await createJournals(host, ownedBy(host, withOptionsOf(place, tree, flow), note))
  const history = await readHistory(host.journal, newId)
  host.checkOpen()
  // Whoever recovers all unfinished runs may have been faster.
  const live = host.rootOf(newId)
  if (live !== undefined || history === undefined) return live ?? notThere(newId)
  return recoverRoot(host, history, place)
}

function notThere(id: string): never {
  throw new UsageError('ENGINE_CLOSED', `the journal of ${id} is gone`)
}

/** @throws UsageError `UNKNOWN_DEFINITION`, `AMBIGUOUS_NAME`, `INVALID_OPTION` */
function definitionFor(
  { runKind, runId, name, version, options }: SubmittedEntry,
  flow: AnyFlow | undefined,
): Definition {
  if (runKind !== 'flow') throw invalid('id', `${runId} is no flow run; only flow runs can be forked`)
  if (flow === undefined) {
    const found = withStored(findDefinition('flow', name, version), options)
    if (found.version === version || found.settings.onVersionChange !== 'pin') return found
    const why = `is of version ${version} of ${name}, and only ${found.version} is defined in this process`
    throw new UsageError('UNKNOWN_DEFINITION', `${runId} ${why}; give the flow to go on with: \`flow\``, {
      details: { kind: 'flow', name, version },
    })
  }
  const definition = flowDefinitionOf(flow)
  // Whoever gives a flow of another version means it.
  const settings = { ...definition.settings, onVersionChange: 'run' } as const
  if (definition.name === name) return { ...definition, settings }
  throw invalid('flow', `expected \`flow\` to be a flow ${name}, as ${runId} is, got ${definition.name}`)
}

/** The journal keeps the options of the flow that was given, for whoever recovers the run. */
function withOptionsOf({ given }: Definition, tree: JournalTree, flow: AnyFlow | undefined): JournalTree {
  if (flow === undefined) return tree
  const [root = ''] = tree.keys()
  const stored = storedOptions(given)
  const entries = (tree.get(root) ?? []).map((entry): Entry => {
    if (entry.kind !== 'submitted' || entry.parent !== -1) return entry
    const { options: _, ...plain } = entry
    return stored === undefined ? plain : { ...plain, options: stored }
  })
  return new Map(tree).set(root, entries)
}

/** The journals that a run begins with which does again what did not complete. */
function retried(host: CopyHost, all: JournalTree): JournalTree {
  const [source = ''] = all.keys()
  const entries = all.get(source) ?? []
  const lastRunning = entries.findLastIndex(
    (entry) => entry.kind === 'transition' && entry.run === 0 && isRunning(entry.to),
  )
  const copied = entries.filter((entry, at) => at <= lastRunning || !isOfRoot(entry))
  const { runs, root } = foldJournal(source, copied)
  const at = host.clock.now()
  // What still runs in the original does not go on here.
  for (const run of runs.slice(1).toReversed()) copied.push(...ended(host, run, source))
  // One whose body never began begins with it.
  if (lastRunning !== -1) copied.push(again(root, entries.filter(isOfRoot), at))
  const over = endedIn(copied)
  const isKept = (child: string): boolean => {
    const journal = all.get(child) ?? []
    return over.has(child) && stateTypes[foldJournal(child, journal).root.stateName] === 'COMPLETED'
  }
  return withSubflows(all, copied, isKept)
}

function isOfRoot(entry: Entry): entry is TransitionEntry {
  return entry.kind === 'transition' && entry.run === 0
}

/** The body of the root is to run once more: as if its attempt had failed. */
function again(root: RecordedRun, transitions: readonly TransitionEntry[], at: number): TransitionEntry {
  const named = transitions.findLast(({ runName }) => runName !== undefined)
  return {
    kind: 'transition',
    at,
    run: 0,
    to: 'AwaitingRetry',
    seq: root.seq + 1,
    attempt: root.attempt,
    message: 'forked',
    outcome: undefined,
    until: at,
    ...(named?.runName === undefined ? undefined : { runName: named.runName }),
  }
}

/** How a run that is live in the original ends in the fork. */
function ended(host: CopyHost, run: RecordedRun, source: string): TransitionEntry[] {
  const { stateName, submitted, index, attempt } = run
  if (isTerminal(stateName)) return []
  const message = `the fork of ${source} does not go on with it`
  const error = new RunError('RUN_CANCELLED', message, { details: { runId: submitted.runId } })
  const states: StateName[] =
    isRunning(stateName) || stateName === 'Recovering' ? ['Cancelling', 'Cancelled'] : ['Cancelled']
  return states.map((to, step) => ({
    kind: 'transition',
    at: host.clock.now(),
    run: index,
    to,
    seq: run.seq + 1 + step,
    attempt,
    message,
    outcome: to === 'Cancelled' ? { failure: host.values.saveError(error) } : undefined,
  }))
}

/** The journals that a run begins with which goes on from a position, as if its process had died there. */
function cutAt(all: JournalTree, from: number): JournalTree {
  const [source = ''] = all.keys()
  const entries = all.get(source) ?? []
  if (!Number.isInteger(from) || from < 2 || from > entries.length) {
    throw invalid(
      'from',
      `expected \`from\` to be a position from 2 to ${entries.length}, got ${String(from)}`,
    )
  }
  const copied = entries.slice(0, from)
  if (isTerminal(foldJournal(source, copied).root.stateName)) {
    throw invalid(
      'from',
      `${source} had ended at position ${from}; say an earlier one, or leave \`from\` out`,
    )
  }
  const over = endedIn(copied)
  return withSubflows(all, copied, (child) => over.has(child))
}

/** The subflows whose ends a journal tells of. */
function endedIn(entries: readonly Entry[]): ReadonlySet<string> {
  return new Set(
    entries.flatMap((entry) => (entry.kind === 'child' && entry.event === 'ended' ? [entry.flowRunId] : [])),
  )
}

/** The journal of the root, with those of the subflows that it is to find again, and all below them. */
function withSubflows(
  all: JournalTree,
  root: readonly Entry[],
  isKept: (child: string) => boolean,
): JournalTree {
  const [source = ''] = all.keys()
  const tree = new Map([[source, root]])
  const take = (entries: readonly Entry[], isWanted: (child: string) => boolean): void => {
    for (const child of childrenOf(entries)) {
      const journal = all.get(child)
      if (journal === undefined || tree.has(child) || !isWanted(child)) continue
      tree.set(child, journal)
      take(journal, () => true)
    }
  }
  take(root, isKept)
  return tree
}

function invalid(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
