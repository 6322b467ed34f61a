import { InternalError } from '../base/errors.ts'
import { isTerminal } from '../machines/states.ts'
import type { JournalQuery, JournalSummary } from '../ports/journal.ts'
import type { Entry } from './entries.ts'

/** Everything of a summary that the entries tell; where a journal stands among others is its adapter's to know. */
export type EntrySummary = Omit<JournalSummary, 'order'>

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
  let { state, changedAt, node, epoch, runName } = root
  for (const entry of entries) {
    if (entry.kind === 'claimed') {
      node = entry.node
      epoch = entry.epoch
    } else if (entry.kind === 'transition' && entry.run === 0) {
      state = entry.to
      changedAt = entry.at
      runName = entry.runName ?? runName
    }
  }
  const position = (before?.position ?? 0) + entries.length
  return { ...root, state, changedAt, node, epoch, runName, position, ended: isTerminal(state) }
}

function beginning(flowRunId: string, entries: readonly Entry[]): EntrySummary {
  const submitted = entries.find((entry) => entry.kind === 'submitted')
  if (submitted?.kind !== 'submitted') throw new InternalError(`the journal of ${flowRunId} has no root`)
  const { name, version, runKind: kind, runName, at, to: state, parentRunId, tags = [] } = submitted
  const times = { startedAt: at, changedAt: at }
  const owner = { position: 0, ended: false, node: '', epoch: 0 }
  return { flowRunId, name, version, kind, runName, state, tags, ...times, ...owner, parentRunId }
}

/** Whether a query asks for a journal, but for its place in the order. */
export function isAskedFor(summary: JournalSummary, query: JournalQuery): boolean {
  const { ended, states, name, tag, parent, since, before } = query
  return (
    (ended === undefined || ended === summary.ended) &&
    (states === undefined || states.includes(summary.state)) &&
    (name === undefined || name === summary.name) &&
    (tag === undefined || summary.tags.includes(tag)) &&
    (parent === undefined || (parent ?? undefined) === summary.parentRunId) &&
    (since === undefined || summary.startedAt >= since) &&
    (before === undefined || summary.startedAt < before)
  )
}
