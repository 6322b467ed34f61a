import type { KeepOnWire, KeepRule, SweepAnswer } from '../wires.ts'
import type { SqlValue } from './driver.ts'
import { tombstone } from './entries.ts'
import type { Tables } from './tables.ts'

/** What one transaction does at most, so that appends do not wait for long. */
const batch = { roots: 20, records: 500, uses: 200, cache: 500, pages: 256 }
/** Free pages that are left for what comes, unless the file is to be made as small as it can be. */
const sparePages = 256

/** A run with all that are below it. By names: a run may be stored before the one that started it. */
const below = `with recursive family(id, name) as (
  select id, flow_run_id from runs where id = ?
  union select runs.id, runs.flow_run_id from runs, family where runs.parent_flow = family.name)`
/** Ended runs that are below none. */
const roots = `ended = 1 and (parent_flow is null
  or not exists (select 1 from runs as above where above.flow_run_id = runs.parent_flow))`

interface Asked {
  readonly keep: KeepOnWire | undefined
  readonly now: number
  readonly monotonic: number
  readonly compact: boolean
}

/**
 * Forgets a flow run and what is below it: at once for those who read, in small pieces on the disk. In a transaction.
 *
 * @returns The ids of these flow runs
 */
export function forgetFamily(tables: Tables, id: number): string[] {
  const { session, runs } = tables
  const family = session.sql(`${below} select id, name from family`).all(id) as {
    readonly id: number
    readonly name: string
  }[]
  for (const run of family) {
    session.sql('insert or ignore into doomed(run) values (?)').run(run.id)
    session.sql('delete from runs where id = ?').run(run.id)
    session.sql('delete from messages where flow_run_id = ?').run(run.name)
    runs.drop(run.name)
  }
  return family.map(({ name }) => name)
}

/** Sweeps in small transactions, with a pause after each in which others get on. Gives the ids of flow runs that it has forgotten. */
export function* sweep(
  tables: Tables,
  asked: Asked,
): Generator<readonly string[] | undefined, SweepAnswer, undefined> {
  const { session } = tables
  const before = pages(tables)
  let runs = 0
  for (const { states, rule } of asked.keep?.rules ?? []) {
    for (const forgotten of byRule(tables, states, { rule, now: asked.now })) {
      runs += forgotten.length
      yield forgotten
    }
  }
  while (session.writing(() => clearDoomed(tables))) yield
  while (session.writing(() => tables.cache.expire(asked.now, batch.cache))) yield
  session.writing(() => tables.nodes.forgetGone(asked.monotonic))
  yield
  const spare = asked.compact ? 0 : sparePages
  for (let left = freePages(tables); left > spare;) {
    session.connection.exec(`pragma incremental_vacuum(${Math.min(batch.pages, left - spare)})`)
    const now = freePages(tables)
    if (now >= left) break
    left = now
    yield
  }
  if (asked.compact) session.connection.exec('pragma wal_checkpoint(truncate)')
  return { runs, freedBytes: Math.max(0, before - pages(tables)) * pageSize(tables) }
}

function* byRule(
  tables: Tables,
  states: readonly string[],
  { rule, now }: { rule: KeepRule; now: number },
): Generator<readonly string[], void, undefined> {
  const { session } = tables
  const inStates = `state in (${states.map(() => '?').join(', ')})`
  const limits: { readonly where: string; readonly values: SqlValue[] }[] = []
  if (rule.ageMs !== undefined) limits.push({ where: 'changed_at < ?', values: [now - rule.ageMs] })
  if (rule.count !== undefined) {
    const oldest = session
      .sql(
        `select changed_at, id from runs where ${roots} and ${inStates} order by changed_at desc, id desc limit 1 offset ?`,
      )
      .get(...states, rule.count) as { changed_at: number; id: number } | undefined
    if (oldest !== undefined && oldest !== null)
      limits.push({ where: '(changed_at, id) <= (?, ?)', values: [oldest.changed_at, oldest.id] })
  }
  for (const { where, values } of limits) {
    let [time, id] = [Number.NEGATIVE_INFINITY, 0]
    for (;;) {
      const found = session
        .sql(
          `select changed_at, id from runs where ${roots} and ${inStates} and ${where} and (changed_at, id) > (?, ?)
           order by changed_at, id limit ?`,
        )
        .all(...states, ...values, time, id, batch.roots) as { changed_at: number; id: number }[]
      const last = found.at(-1)
      if (last === undefined) break
      ;[time, id] = [last.changed_at, last.id]
      yield session.writing(() =>
        found.flatMap((root) => (isEnded(tables, root.id) ? forgetFamily(tables, root.id) : [])),
      )
    }
  }
}

/** Whether the run is there, and everything of its family has ended. */
function isEnded({ session }: Tables, id: number): boolean {
  const { ended, unfinished } = session
    .sql(
      `${below} select count(*) as ended, sum(ended = 0) as unfinished from family join runs on runs.id = family.id`,
    )
    .get(id) as { ended: number; unfinished: number | null }
  return ended > 0 && unfinished === 0
}

/** Deletes some of what forgotten runs have left. @returns Whether there is more. */
function clearDoomed({ session, entries, blobs }: Tables): boolean {
  const doomed = session.sql('select run from doomed limit 1').get() as { run: number } | undefined | null
  if (doomed === undefined || doomed === null) return false
  const { run } = doomed
  // The newest commit keeps its number.
  const newest = entries.newest()
  const kept = session
    .sql(
      `update entries set run = ${tombstone}, pos = seq, count = 0, body = x'', blobs = null where seq = ? and run = ?`,
    )
    .run(newest, run)
  if (Number(kept.changes) > 0)
    session.sql(`delete from entries where run = ${tombstone} and seq < ?`).run(newest)
  const { changes } = session
    .sql('delete from entries where seq in (select seq from entries where run = ? limit ?)')
    .run(run, batch.records)
  if (Number(changes) === batch.records) return true
  const uses = session.sql('select blob from uses where run = ? limit ?').all(run, batch.uses) as {
    blob: string
  }[]
  for (const { blob } of uses) {
    session.sql('delete from uses where run = ? and blob = ?').run(run, blob)
    blobs.collect(blob)
  }
  if (uses.length === batch.uses) return true
  session.sql('delete from tags where run = ?').run(run)
  session.sql('delete from doomed where run = ?').run(run)
  return true
}

function number(tables: Tables, pragma: string): number {
  const row = tables.session.sql(`pragma ${pragma}`).get() as Record<string, number>
  return row[pragma] ?? 0
}

const pages = (tables: Tables): number => number(tables, 'page_count')
const freePages = (tables: Tables): number => number(tables, 'freelist_count')
const pageSize = (tables: Tables): number => number(tables, 'page_size')
