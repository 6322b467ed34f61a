import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteJournal, type SqliteJournal, type SqliteJournalOptions } from '@troupe/sqlite-journal'

/** A folder for one test. */
export function folder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'troupe-journal-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A journal for one case of a suite. */
export async function opened(
  options: SqliteJournalOptions = {},
): Promise<{ journal: SqliteJournal; path: string; close: () => Promise<void> }> {
  const { path, remove } = folder()
  const journal = sqliteJournal(path, options)
  return {
    journal,
    path,
    async close() {
      await journal.close()
      remove()
    },
  }
}
