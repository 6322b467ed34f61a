import type { Session } from './connection.ts'
import { isOfPages } from './failures.ts'

/** Runs up to which the list of runs is checked at each opening: it takes about 4 ms a thousand. */
const mostRuns = 25_000

/**
 * Whether the table of runs and its indexes agree. Each row has a checksum, but a row that an index does not name would not
 * be found, and nobody would see that it is missing. Indexes are made anew from the rows where that helps.
 */
export function checkRuns(session: Session): boolean {
  try {
    const { runs } = session
      .sql('select count(*) as runs from (select 1 from runs limit ?)')
      .get(mostRuns + 1) as {
      runs: number
    }
    if (runs > mostRuns || session.reading(() => agree(session))) return true
    if (session.readOnly) return false
    session.writing(() => session.connection.exec('reindex runs'))
    return agree(session)
  } catch (error) {
    if (isOfPages(error)) return false
    throw error
  }
}

function agree(session: Session): boolean {
  const [first] = session.sql(`pragma integrity_check('runs')`).all() as { integrity_check: string }[]
  return first?.integrity_check === 'ok'
}
