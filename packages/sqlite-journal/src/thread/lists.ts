import type { JournalQuery } from '@troupe/core'
import type { SummaryOnWire } from '../wires.ts'
import type { Session } from './connection.ts'
import type { SqlValue } from './driver.ts'
import { checked, summaryOf } from './runs.ts'

/** Summaries that a query asks for, in the order of creation. */
export function list(session: Session, query: JournalQuery): SummaryOnWire[] {
  const { where, values } = conditions(query)
  const order = query.newestFirst === true ? 'desc' : 'asc'
  const rows = session
    .sql(`select * from runs where ${where.join(' and ')} order by id ${order} limit ?`)
    .all(...values, Math.max(0, Math.min(query.limit, Number.MAX_SAFE_INTEGER)))
  const summaries: SummaryOnWire[] = []
  for (const row of rows) {
    const run = checked(row, session.folder)
    if (run !== undefined) summaries.push(summaryOf(run, session.folder))
  }
  return summaries
}

function conditions(query: JournalQuery): { where: string[]; values: SqlValue[] } {
  const where: string[] = ['name is not null']
  const values: SqlValue[] = []
  const add = (condition: string, ...given: readonly SqlValue[]): void => {
    where.push(condition)
    values.push(...given)
  }
  const { ended, states, name, tag, node, parent, since, before, after, newestFirst } = query
  if (ended !== undefined) add(`ended = ${ended ? 1 : 0}`)
  if (states !== undefined) add(`state in (${states.map(() => '?').join(', ')})`, ...states)
  if (name !== undefined) add('name = ?', name)
  if (tag !== undefined) add('id in (select run from tags where tag = ?)', tag)
  if (node !== undefined) add('node = ?', node)
  if (parent === null) add('parent is null')
  else if (parent !== undefined) add('parent = ?', parent)
  if (since !== undefined) add('started_at >= ?', since)
  if (before !== undefined) add('started_at < ?', before)
  if (after !== undefined && Number.isFinite(after)) add(newestFirst === true ? 'id < ?' : 'id > ?', after)
  return { where, values }
}
