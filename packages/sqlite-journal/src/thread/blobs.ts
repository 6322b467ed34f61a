import type { BlobOnWire } from '../wires.ts'
import { checksumWith } from './checksums.ts'
import type { Session } from './connection.ts'
import { bytesOf, type SqlBytes } from './driver.ts'
import { Refusal } from './failures.ts'

/** SHA-256, as bytes. */
const nameBytes = 32

/** Names of blobs, one after the other. */
export function namesOnDisk(blobs: readonly BlobOnWire[]): Uint8Array {
  return Buffer.from(blobs.map(({ name }) => name).join(''), 'hex')
}

export function blobNames(bytes: Uint8Array): string[] {
  const all = Buffer.from(bytes).toString('hex')
  const names: string[] = []
  for (let at = 0; at < all.length; at += 2 * nameBytes) names.push(all.slice(at, at + 2 * nameBytes))
  return names
}

/** The table of large values, by the hash of their content, and which runs use them. */
export class Blobs {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** A run uses it: it stays as long as the run does. */
  use(run: number, { name, bytes }: BlobOnWire): void {
    this.#put(name, bytes, 0)
    this.#session.sql('insert or ignore into uses(run, blob) values (?, ?)').run(run, name)
  }

  /** It stays until `unpin`. */
  pin(name: string, bytes: Uint8Array): void {
    this.#put(name, bytes, 1)
    this.#session.sql('update blobs set pinned = 1 where name = ? and pinned = 0').run(name)
  }

  unpin(name: string): void {
    this.#session.sql('update blobs set pinned = 0 where name = ?').run(name)
    this.collect(name)
  }

  /** Forgets it where nothing needs it. */
  collect(name: string): void {
    this.#session
      .sql(
        'delete from blobs where name = ? and pinned = 0 and not exists (select 1 from uses where blob = name)',
      )
      .run(name)
  }

  get(name: string): Uint8Array | undefined {
    const row = this.#session.sql('select bytes, crc from blobs where name = ?').get(name) as
      | { readonly bytes: SqlBytes; readonly crc: number }
      | undefined
    if (row === undefined || row === null) return undefined
    const bytes = bytesOf(row.bytes)
    if (bytes !== undefined && checksumWith(bytes, [name]) === row.crc) return bytes
    const { folder } = this.#session
    throw new Refusal(
      'JOURNAL_DAMAGED',
      `the journal in ${folder} is damaged: the large value ${name} is not what was written`,
      {
        folder,
        blob: name,
        reason: 'checksum',
      },
    )
  }

  #put(name: string, bytes: Uint8Array, pinned: number): void {
    this.#session
      .sql('insert or ignore into blobs(name, bytes, pinned, crc) values (?, ?, ?, ?)')
      .run(name, bytes, pinned, checksumWith(bytes, [name]))
  }
}
