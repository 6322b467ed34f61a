import { InternalError } from '../base/errors.ts'
import { isTerminal } from '../machines/states.ts'
import type { JournalQuery, JournalSummary } from '../ports/journal.ts'
import type { Entry } from './entries.ts'

/** Everything of a summary that the entries tell; where a journal stands among others is its adapter's to know. */
export type EntrySummary = Omit<JournalSummary, 'order'>

/** What entries change in a summary. */
export type SummaryChange = Partial<
  Pick<EntrySummary, 'state' | 'changedAt' | 'node' | 'epoch' | 'runName' | 'ended'>
>

/** What the submission of the root says in a summary. */
export type SummaryRoot = Pick<
  EntrySummary,
  'name' | 'version' | 'kind' | 'runName' | 'state' | 'tags' | 'startedAt' | 'changedAt' | 'parentRunId'
>

/**
 * Adds entries to the summary of a journal.
 *
 * @param before - What the entries before them gave; undefined for the first ones, which hold the root.
 */
export function summarise(
  flowRunId: string,
  before: EntrySummary | undefined,
  entries: readonly Entry[],
): EntrySummary {
  const root = before ?? beginning(flowRunId, entries)
  return { ...root, ...changeOf(entries), position: root.position + entries.length }
}

/** What entries say of the root after its submission; only what they change. */
export function changeOf(entries: readonly Entry[]): SummaryChange {
  const change: { -readonly [K in keyof SummaryChange]: SummaryChange[K] } = {}
  for (const entry of entries) {
    if (entry.kind === 'claimed') {
      change.node = entry.node
      change.epoch = entry.epoch
    } else if (entry.kind === 'transition' && entry.run === 0) {
      change.state = entry.to
      change.changedAt = entry.at
      change.ended = isTerminal(entry.to)
      if (entry.runName !== undefined) change.runName = entry.runName
    }
  }
  return change
}

/** The root of a journal; undefined where the entries do not have its submission. */
export function rootOf(entries: readonly Entry[]): SummaryRoot | undefined {
  const submitted = entries.find((entry) => entry.kind === 'submitted' && entry.parent === -1)
  if (submitted?.kind !== 'submitted') return undefined
  const { name, version, runKind: kind, runName, at, to: state, parentRunId, tags = [] } = submitted
  return { name, version, kind, runName, state, tags, startedAt: at, changedAt: at, parentRunId }
}

function beginning(flowRunId: string, entries: readonly Entry[]): EntrySummary {
  const root = rootOf(entries)
  if (root === undefined) throw new InternalError(`the journal of ${flowRunId} has no root`)
  return { flowRunId, ...root, position: 0, ended: false, node: '', epoch: 0 }
}

/** Whether a query asks for a journal, but for its place in the order. */
export function isAskedFor(summary: JournalSummary, query: JournalQuery): boolean {
  const { ended, states, name, tag, node, parent, since, before } = query
  return (
    (ended === undefined || ended === summary.ended) &&
    (states === undefined || states.includes(summary.state)) &&
    (name === undefined || name === summary.name) &&
    (tag === undefined || summary.tags.includes(tag)) &&
    (node === undefined || node === summary.node) &&
    (parent === undefined || (parent ?? undefined) === summary.parentRunId) &&
    (since === undefined || summary.startedAt >= since) &&
    (before === undefined || summary.startedAt < before)
  )
}
