import type { NoteEntry } from '../journal/entries.ts'
import type { Run } from './run.ts'

/** Something that a reader of the journal should know of a run. */
export function recordNote(
  { host, ledger, index: run }: Run,
  note: NoteEntry['note'],
  message: string,
): void {
  ledger.record({ kind: 'note', at: host.clock.now(), run, note, message }, undefined)
}
