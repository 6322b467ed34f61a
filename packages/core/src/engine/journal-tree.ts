import { isDeepStrictEqual } from 'node:util'
import { InternalError, JournalError } from '../base/errors.ts'
import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import type { Journal } from '../ports/journal.ts'
import type { LedgerHost } from './ledger.ts'
import { readJournal } from './read-journal.ts'

/** The journal of a run with those of all its subflows, by their ids: a caller's stands before those that it called. */
export type JournalTree = ReadonlyMap<string, readonly Entry[]>

/**
 * Reads the journals of a run and of its subflows.
 *
 * @throws JournalError `RUN_NOT_FOUND`
 */
export async function readTree(journal: Journal, flowRunId: string): Promise<JournalTree> {
  const entries = await readJournal(journal, flowRunId)
  if (entries.length === 0) throw notFound(flowRunId)
  const tree = new Map([[flowRunId, entries]])
  await readBelow(journal, entries, tree)
  return tree
}

/** The same, with all that has been recorded here so far. */
export async function readTreeNow(host: Recorder, flowRunId: string): Promise<JournalTree> {
  const ledger = host.rootOf(flowRunId)?.ledger
  if (ledger !== undefined) await new Promise<void>((go) => ledger.whenSafe(go))
  return readTree(host.journal, flowRunId)
}

interface Recorder {
  readonly journal: Journal
  rootOf(flowRunId: string): { readonly ledger: { whenSafe(go: () => void): void } } | undefined
}

async function readBelow(
  journal: Journal,
  entries: readonly Entry[],
  tree: Map<string, readonly Entry[]>,
): Promise<void> {
  for (const id of childrenOf(entries)) {
    if (tree.has(id)) continue
    const below = await readJournal(journal, id)
    // Its caller's journal tells of it before it has one of its own.
    if (below.length === 0) continue
    tree.set(id, below)
    await readBelow(journal, below, tree)
  }
}

/** The subflows that a journal tells of. */
export function childrenOf(entries: readonly Entry[]): readonly string[] {
  return entries.flatMap((entry) =>
    entry.kind === 'child' && entry.event === 'started' ? [entry.flowRunId] : [],
  )
}

/** The entry that the root of a journal was submitted with. */
export function rootEntryOf(entries: readonly Entry[]): SubmittedEntry {
  const root = entries.find((entry) => entry.kind === 'submitted')
  if (root?.kind === 'submitted') return root
  throw new InternalError('a journal has no root')
}

/** The epoch of the claim that a journal ends with. */
export function epochOf(entries: readonly Entry[]): number {
  const claim = entries.findLast((entry) => entry.kind === 'claimed')
  return claim?.kind === 'claimed' ? claim.epoch : 0
}

/**
 * Creates journals: the subflows' first, and that of the run itself last, without which nobody finds the others. What was left
 * of an earlier try that was cut off is taken as it is.
 *
 * @throws JournalError `RUN_EXISTS`
 */
export async function createJournals(
  host: Pick<LedgerHost, 'journal' | 'append'>,
  tree: JournalTree,
): Promise<void> {
  const { journal } = host
  const ids = [...tree.keys()]
  const [root = ''] = ids
  if ((await journal.summary(root)) !== undefined) throw exists(root)
  const created: string[] = []
  for (const id of ids.toReversed()) {
    const entries = tree.get(id) ?? []
    const before = id === root ? [] : await readJournal(journal, id)
    const rest = entries.slice(before.length)
    const isPart = isDeepStrictEqual(before, entries.slice(0, before.length))
    if (isPart && rest.length === 0) continue
    const append = { flowRunId: id, expected: before.length, epoch: epochOf(entries), entries: rest }
    if (isPart && (await host.append(append)) === undefined) created.push(id)
    else {
      await forget(journal, created, root)
      throw exists(id)
    }
  }
}

/** Takes away subflows' journals, but those of a run that another one has created meanwhile. */
async function forget(journal: Journal, created: readonly string[], root: string): Promise<void> {
  const isThere = (await journal.summary(root)) !== undefined
  const kept: JournalTree = isThere ? await readTree(journal, root) : new Map()
  for (const id of created) if (!kept.has(id)) await journal.delete(id)
}

function notFound(runId: string): JournalError {
  return new JournalError('RUN_NOT_FOUND', `there is no run ${runId}`, { details: { runId } })
}

function exists(runId: string): JournalError {
  const message = `there is a run ${runId} already; give another id`
  return new JournalError('RUN_EXISTS', message, { details: { runId } })
}
