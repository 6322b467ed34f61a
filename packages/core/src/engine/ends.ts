import { JournalError } from '../base/errors.ts'
import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { stateOf } from '../journal/run-state.ts'
import { isTerminal, type RunState } from '../machines/states.ts'
import type { Journal } from '../ports/journal.ts'
import { untilTerminal } from '../streams/watch.ts'
import { flowRunIdOf } from '../base/ids.ts'
import { readHistory } from './read-journal.ts'
import type { ValueStore } from './value-store.ts'

export interface EndReader {
  readonly journal: Journal
  readonly values: ValueStore
  /** What is called when the engine closes. */
  readonly closers: Set<() => void>
}

/** How a run ended: its state with its value, or with its error. */
export type End =
  | { readonly state: RunState; readonly value: unknown }
  | { readonly state: RunState; readonly error: unknown }

/** The first entry of a run that this engine does not own. @throws JournalError `RUN_NOT_FOUND` */
export async function readSubmitted({ journal }: EndReader, runId: string): Promise<SubmittedEntry> {
  const history = await readHistory(journal, flowRunIdOf(runId))
  const recorded = history?.runs.find(({ submitted }) => submitted.runId === runId)
  if (recorded === undefined) throw notFound(runId)
  return recorded.submitted
}

/** Newest state of a run; undefined where there is no such run. */
export async function readState({ journal }: EndReader, runId: string): Promise<RunState | undefined> {
  const history = await readHistory(journal, flowRunIdOf(runId))
  const last = history?.runs.find(({ submitted }) => submitted.runId === runId)?.last
  return last === undefined ? undefined : stateOf(last)
}

/** Whether a message of an id has reached a flow run. */
export async function hasMessage({ journal }: EndReader, flowRunId: string, id: string): Promise<boolean> {
  const history = await readHistory(journal, flowRunId)
  return history?.messages.some(({ entry }) => entry.id === id) ?? false
}

/**
 * Waits until a run that this engine does not own has ended.
 *
 * @throws JournalError `RUN_NOT_FOUND`; UsageError `ENGINE_CLOSED`
 */
export async function readEndEntry({ journal, closers }: EndReader, runId: string): Promise<TransitionEntry> {
  await untilTerminal(journal, runId, closers)
  const history = await readHistory(journal, flowRunIdOf(runId))
  const last = history?.runs.find(({ submitted }) => submitted.runId === runId)?.last
  if (last?.kind !== 'transition' || !isTerminal(last.to)) throw notFound(runId)
  return last
}

/** @throws JournalError `RUN_NOT_FOUND`; UsageError `ENGINE_CLOSED` */
export async function readEnd(reader: EndReader, runId: string): Promise<End> {
  const entry = await readEndEntry(reader, runId)
  const { outcome } = entry
  const state = stateOf(entry)
  if (outcome !== undefined && 'value' in outcome) return { state, value: reader.values.load(outcome.value) }
  return { state, error: reader.values.loadError(outcome?.failure) }
}

export function notFound(runId: string): JournalError {
  return new JournalError('RUN_NOT_FOUND', `there is no run ${runId}`, { details: { runId } })
}
