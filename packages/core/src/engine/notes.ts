import type { NoteEntry } from '../journal/entries.ts'
import type { Run } from './run.ts'

/** Something that a reader of the journal should know of a run. */
export function recordNote(run: Run, note: NoteEntry['note'], message: string): void {
  const { host, ledger, index } = run
  ledger.record({ kind: 'note', at: host.clock.now(), run: index, note, message }, undefined)
  // What a replay did not find again should not be known to its journal alone.
  if (note === 'diverged' || note === 'not called again') host.log('warn', run, { note }, message)
}
