import type { AppendAnswer, BlobOnWire, CommitOnWire, RecordOnWire, Write } from '../wires.ts'
import { blobNames, Blobs, namesOnDisk } from './blobs.ts'
import { checksumWith } from './checksums.ts'
import type { Session } from './connection.ts'
import { bytesOf, type SqlBytes } from './driver.ts'
import { Refusal } from './failures.ts'
import { applyChange, type RunRow, type Runs } from './runs.ts'

/** A row of `entries`. */
interface RecordRow {
  readonly seq: number
  readonly run: number
  readonly pos: number
  readonly count: number
  readonly body: SqlBytes
  readonly blobs: SqlBytes | null
  readonly crc: number
}

/** Rows per query, at first and at most. */
const firstRows = 32
const mostRows = 1024

/** A row that keeps the place of the newest commit, whose own row was deleted: numbers of commits never go back. */
export const tombstone = 0

/** The table of records. */
export class Entries {
  readonly #session: Session
  readonly #runs: Runs
  readonly #blobs: Blobs

  constructor(session: Session, runs: Runs, blobs: Blobs) {
    this.#session = session
    this.#runs = runs
    this.#blobs = blobs
  }

  /** In a transaction. */
  append(append: Extract<Write, { op: 'append' }>): AppendAnswer {
    const { flowRunId, expected, epoch, token, count, bytes, blobs, root, change } = append
    const found = this.#runs.find(flowRunId)
    if (found?.last === token) return { stored: 'before' }
    const position = found?.position ?? 0
    if (position !== expected || (found !== undefined && epoch < found.epoch)) return { refused: position }
    const run = found ?? this.#runs.create(flowRunId, token)
    const changed = applyChange(run, root, change)
    if (change.ended !== undefined) run.ended = change.ended ? 1 : 0
    run.position = position + count
    run.epoch = epoch
    run.last = token
    this.#runs.store(run, changed)
    for (const blob of blobs) this.#blobs.use(run.id, blob)
    const names = blobs.length === 0 ? undefined : namesOnDisk(blobs)
    const crc = checksumOfRecord(bytes, names, [run.id, position + 1, count])
    this.#session
      .sql('insert into entries(run, pos, count, body, blobs, crc) values (?, ?, ?, ?, ?, ?)')
      .run(run.id, position + 1, count, bytes, names ?? null, crc)
    return { stored: 'now' }
  }

  /** Number of the newest commit. */
  newest(): number {
    const { seq } = this.#session.sql('select max(seq) as seq from entries').get() as { seq: number | null }
    return seq ?? 0
  }

  /** Records with the entries from a position on, up to a number of entries; checked. */
  read(flowRunId: string, from: number, limit: number): readonly RecordOnWire[] {
    return this.#session.reading(() => {
      const run = this.#runs.find(flowRunId)
      if (run === undefined || from > run.position || limit < 1) return []
      return this.#records(run, Math.max(from, 1), limit)
    })
  }

  #records(run: RunRow, from: number, limit: number): RecordOnWire[] {
    const records: RecordOnWire[] = []
    const last = Math.min(run.position, from + limit - 1)
    const first = this.#session
      .sql('select max(pos) as pos from entries where run = ? and pos <= ?')
      .get(run.id, from) as { pos: number | null }
    let next = first.pos ?? this.#damaged(run, from, 'it is missing')
    for (let rows = firstRows; next <= last; rows = Math.min(rows * 2, mostRows)) {
      const found = this.#session
        .sql('select * from entries where run = ? and pos >= ? order by pos limit ?')
        .all(run.id, next, Math.min(rows, last - next + 1)) as RecordRow[]
      if (found.length === 0) this.#damaged(run, next, 'it is missing')
      for (const row of found) {
        if (row.pos !== next) this.#damaged(run, next, 'it is missing')
        records.push(this.#wire(row) ?? this.#damaged(run, next, 'it is not what was written'))
        next = row.pos + row.count
        if (next > last) break
      }
    }
    const end = records.at(-1)
    if (end !== undefined && end.position + end.count - 1 > run.position)
      this.#damaged(run, run.position + 1, 'the run is shorter by its own count')
    return records
  }

  /** @returns Undefined where the row is not what was written. */
  #wire({ run, pos: position, count, body, blobs, crc }: RecordRow): RecordOnWire | undefined {
    const bytes = bytesOf(body)
    const names = blobs === null ? undefined : bytesOf(blobs)
    if (bytes === undefined || checksumOfRecord(bytes, names, [run, position, count]) !== crc)
      return undefined
    return { position, count, bytes, blobs: names === undefined ? undefined : this.#blobsOf(names) }
  }

  /** Those that are missing or damaged are left out: whoever unpacks the record says which. */
  #blobsOf(names: Uint8Array): BlobOnWire[] {
    return blobNames(names).flatMap((name) => {
      const bytes = this.#blobs.get(name)
      return bytes === undefined ? [] : [{ name, bytes }]
    })
  }

  /** Commits after a number, in order, of runs that are still there. Damaged ones are left to those who read the run. */
  after(
    seq: number,
    limit: number,
  ): { readonly commits: CommitOnWire[]; readonly seq: number; readonly more: boolean } {
    const rows = this.#session
      .sql(
        `select entries.*, runs.flow_run_id from entries left join runs on runs.id = entries.run
         where seq > ? order by seq limit ?`,
      )
      .all(seq, limit) as (RecordRow & { readonly flow_run_id: string | null })[]
    const commits: CommitOnWire[] = []
    for (const row of rows) {
      if (row.flow_run_id === null) continue
      try {
        const record = this.#wire(row)
        if (record !== undefined) commits.push({ flowRunId: row.flow_run_id, ...record })
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
    }
    return { commits, seq: rows.at(-1)?.seq ?? seq, more: rows.length === limit }
  }

  #damaged(run: RunRow, position: number, why: string): never {
    const { folder } = this.#session
    throw new Refusal(
      'JOURNAL_DAMAGED',
      `the journal in ${folder} is damaged: entry ${position} of flow run ${run.flow_run_id}: ${why}`,
      { folder, flowRunId: run.flow_run_id, position, reason: 'entry' },
    )
  }
}

function checksumOfRecord(
  body: Uint8Array,
  blobs: Uint8Array | undefined,
  place: readonly [run: number, pos: number, count: number],
): number {
  const names = blobs === undefined ? null : Buffer.from(blobs).toString('latin1')
  return checksumWith(body, [...place, names])
}
