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

/** Bytes of a row, never as a `Buffer`, whose `slice` is no copy; undefined where a damaged row has something else. */
export function bytesOf(value: SqlBytes | SqlValue): Uint8Array | undefined {
  if (value instanceof Uint8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
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
    const found = ofNode()
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

/** Without an `import`, which bundlers would take for one of theirs. */
function ofNode(): Driver | undefined {
  // Said once per process by Node where the module is young; nobody who opens a journal asked for it.
  const emitWarning = Reflect.get(process, 'emitWarning') as typeof process.emitWarning
  process.emitWarning = () => undefined
  try {
    const found = process.getBuiltinModule('node:sqlite') as NodeSqlite | undefined
    if (found === undefined) return undefined
    const { DatabaseSync } = found
    return { name: 'node:sqlite', open: (path, options) => new DatabaseSync(path, options) }
  } finally {
    process.emitWarning = emitWarning
  }
}
