import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { join } from 'node:path'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import { throughput, type Subject } from '../lib/throughput.ts'

/** What is used of either driver. */
interface Connection {
  exec(sql: string): unknown
  prepare(sql: string): {
    run(...values: (number | Uint8Array)[]): unknown
    get(): unknown
  }
  close(): unknown
}

type Open = new (file: string) => Connection

/** The driver that the journal takes: Node's own where there is one, else the journal's libsql. */
async function loadDriver(): Promise<Open> {
  const own = createRequire(import.meta.url)
  if (isBuiltin('node:sqlite')) {
    return (own('node:sqlite') as { DatabaseSync: Open }).DatabaseSync
  }
  return createRequire(import.meta.resolve('@troupe/sqlite-journal'))('libsql') as Open
}

/** About what a task run takes in the journal. */
const rowBytes = 200

/** A database that rows are appended to, in commits of so many. */
export interface Appended {
  insert(rows: number, rowsPerCommit: number): void
  /** Fails unless it holds all of them. */
  close(): void
}

/** @param synchronous - `full`: each commit is safe against power loss; `normal`: against the end of the process */
export async function openDatabase(synchronous: 'full' | 'normal'): Promise<Appended> {
  const Database = await loadDriver()
  const database = new Database(join(temporaryFolder(), 'bare.db'))
  database.exec(`pragma journal_mode = wal; pragma synchronous = ${synchronous}`)
  database.exec('create table entry (run integer, position integer, body blob)')
  database.exec('create unique index entry_position on entry (run, position)')
  const insert = database.prepare('insert into entry values (1, ?, ?)')
  const body = new Uint8Array(rowBytes)
  let position = 0
  return {
    insert(rows, rowsPerCommit) {
      for (let done = 0; done < rows; done += rowsPerCommit) {
        if (rowsPerCommit > 1) database.exec('begin immediate')
        for (let i = 0; i < rowsPerCommit; i++) insert.run(++position, body)
        if (rowsPerCommit > 1) database.exec('commit')
      }
    },
    close() {
      const { rows } = database.prepare('select count(*) as rows from entry').get() as { rows: number }
      expectEqual('rows', rows, position)
      database.close()
    },
  }
}

/** Rows into one append-ordered table, each group of them in a commit that is safe against power loss. */
function bare(rowsPerCommit: number): Measure {
  return async (params) => {
    const database = await openDatabase('full')
    const work = (n: number): void => database.insert(n, rowsPerCommit)
    const readings = await throughput(() => ({ work }), params)
    database.close()
    return readings
  }
}

/** What the disk itself can do: a file that grows by a row, synced after each. */
function appendedFile(): Subject & { readonly close: () => Promise<void> } {
  const file = openSync(join(temporaryFolder(), 'log'), 'a')
  const row = new Uint8Array(rowBytes)
  return {
    work: (n) => {
      for (let i = 0; i < n; i++) {
        writeSync(file, row)
        fdatasyncSync(file)
      }
    },
    close: async () => closeSync(file),
  }
}

/** The ceiling of a journal in SQLite: commits with nothing around them. */
export const measures: Readonly<Record<string, Measure>> = {
  file: (params) => throughput(appendedFile, params),
  'rows-1': bare(1),
  'rows-100': bare(100),
  'rows-1000': bare(1_000),
}
