import type { Write } from '../wires.ts'
import { checksumWith } from './checksums.ts'
import type { Session } from './connection.ts'
import { bytesOf, type SqlBytes } from './driver.ts'

export interface CachedOnWire {
  readonly bytes: Uint8Array
  readonly runId: string
  readonly expires: number | undefined
}

interface CacheRow {
  readonly value: SqlBytes
  readonly run_id: string
  readonly expires: number | null
  readonly crc: number
}

/** The table of cached results. A damaged one counts as lost: it is computed again. */
export class CacheTable {
  readonly #session: Session
  /** Newest entry at the last sweep. Only these go: nobody loses what was just put. */
  #swept: number

  constructor(session: Session) {
    this.#session = session
    this.#swept = this.#newest()
  }

  get(key: string): CachedOnWire | undefined {
    const row = this.#session.sql('select * from cache where key = ?').get(key) as CacheRow | undefined
    if (row === undefined || row === null) return undefined
    const { value, run_id: runId, expires, crc } = row
    const bytes = bytesOf(value)
    if (bytes === undefined || checksumWith(bytes, [key, runId, expires]) !== crc) return undefined
    return { bytes, runId, expires: expires ?? undefined }
  }

  put({ key, bytes, runId, ...entry }: Extract<Write, { op: 'putCache' }>): void {
    const expires = entry.expires ?? null
    this.#session
      .sql('insert or replace into cache(key, value, run_id, expires, crc) values (?, ?, ?, ?, ?)')
      .run(key, bytes, runId, expires, checksumWith(bytes, [key, runId, expires]))
  }

  delete(key: string): void {
    this.#session.sql('delete from cache where key = ?').run(key)
  }

  /** In a transaction: forgets some of those whose time has passed. @returns Whether there are more. */
  expire(now: number, limit: number): boolean {
    const { changes } = this.#session
      .sql(
        `delete from cache where rowid in
         (select rowid from cache where expires is not null and expires < ? and rowid <= ? limit ?)`,
      )
      .run(now, this.#swept, limit)
    if (Number(changes) === limit) return true
    this.#swept = this.#newest()
    return false
  }

  #newest(): number {
    const { newest } = this.#session.sql('select max(rowid) as newest from cache').get() as {
      newest: number | null
    }
    return newest ?? 0
  }
}
