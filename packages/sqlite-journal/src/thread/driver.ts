import type { DriverName } from '../wires.ts'

/** What SQLite stores and gives. */
export type SqlValue = number | string | Uint8Array | null

export interface Statement {
  run(...values: SqlValue[]): { readonly changes: number | bigint }
  get(...values: SqlValue[]): unknown
  all(...values: SqlValue[]): unknown[]
}

/** Bytes as a driver gives them: `libsql` gives a buffer for one row and its memory for many. */
export type SqlBytes = Uint8Array | ArrayBuffer

/** Bytes of a row; undefined where a damaged row has something else. */
export function bytesOf(value: SqlBytes | SqlValue): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value
  return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined
}

/** One connection. Both implementations have these methods. */
export interface Connection {
  exec(sql: string): unknown
  prepare(sql: string): Statement
  close(): unknown
}

export interface Driver {
  readonly name: DriverName
  open(path: string, options: { readOnly: boolean }): Connection
}

/** The implementation that is asked for; else Node's own where it has one, else `libsql`. */
export async function loadDriver(wanted: DriverName | undefined): Promise<Driver> {
  if (wanted !== 'libsql') {
    const found = await ofNode()
    if (found !== undefined) return found
    if (wanted !== undefined)
      throw new DriverMissing('this version of Node has no node:sqlite; leave out `driver`')
  }
  try {
    const { default: Database } = await import('libsql')
    return {
      name: 'libsql',
      open: (path, { readOnly }) =>
        new Database(path, { readonly: readOnly } as ConstructorParameters<typeof Database>[1]) as Connection,
    }
  } catch (error) {
    throw new DriverMissing(
      `the package libsql can't be loaded, and this version of Node has no node:sqlite: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

class DriverMissing extends Error {}

interface NodeSqlite {
  readonly DatabaseSync: new (path: string, options: { readOnly: boolean }) => Connection
}

async function ofNode(): Promise<Driver | undefined> {
  // Said once per process by Node where the module is young; nobody who opens a journal asked for it.
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => undefined
  try {
    // In a variable: the compiler has the types of an older Node.
    const name = 'node:sqlite'
    const { DatabaseSync } = (await import(name)) as NodeSqlite
    return { name, open: (path, options) => new DatabaseSync(path, options) }
  } catch {
    // Not there, or only behind a flag.
    return undefined
  } finally {
    process.emitWarning = emitWarning
  }
}
