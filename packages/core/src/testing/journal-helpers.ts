import assert from 'node:assert/strict'
import type { Entry } from '../journal/entries.ts'
import type { Append, AppendRefused, Journal } from '../ports/journal.ts'
import type { Opened } from './conformance.ts'
import { claimed, comparable, rootSubmitted } from './journal-entries.ts'

/** A journal that a suite opens, new and empty. @public */
export interface OpenedJournal extends Opened {
  readonly journal: Journal
  /** What another node has of it; default the same. */
  readonly others?: Journal
}

/** Appends, and answers by a promise also where the adapter throws. */
export async function append(journal: Journal, request: Append): Promise<AppendRefused | undefined> {
  return journal.append(request)
}

/** Creates a journal with its root. @returns Its position. */
export async function create(
  journal: Journal,
  flowRunId: string,
  root?: Parameters<typeof rootSubmitted>[1],
): Promise<number> {
  const entries = [claimed(), rootSubmitted(flowRunId, root)]
  assert.equal(await append(journal, { flowRunId, expected: 0, epoch: 1, entries }), undefined)
  return entries.length
}

export async function assertHolds(
  journal: Journal,
  flowRunId: string,
  entries: readonly Entry[],
): Promise<void> {
  const read = await journal.read(flowRunId, 1, entries.length + 10)
  assert.deepEqual(comparable(read), comparable(entries))
}

export async function namesOf(journal: Journal, query: Parameters<Journal['list']>[0]): Promise<string[]> {
  return (await journal.list(query)).map(({ flowRunId }) => flowRunId)
}

/** Cases of the suite, by what they expect. */
export type JournalCases = Readonly<Record<string, (opened: OpenedJournal) => Promise<void>>>
