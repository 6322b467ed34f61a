import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Append, AppendRefused, Journal } from '@troupe/core'
import { sqliteJournal, type SqliteJournal, type SqliteJournalOptions } from '@troupe/sqlite-journal'

export type Entry = Append['entries'][number]

/** A folder for one test. */
export function folder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'troupe-journal-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A journal for one test. */
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

const at = Date.UTC(2001, 0, 1)

export function claimed(epoch = 1, node = 'node-a'): Entry {
  return { kind: 'claimed', at, epoch, node }
}

export function note(message: string): Entry {
  return { kind: 'note', at, run: 0, note: 'leftover', message }
}

export interface Root {
  readonly name?: string
  readonly parentRunId?: string
  readonly tags?: readonly string[]
  readonly at?: number
  readonly inputs?: Uint8Array
}

export function root(
  flowRunId: string,
  { name = 'delays', parentRunId, tags, ...options }: Root = {},
): Entry {
  return {
    kind: 'submitted',
    at: options.at ?? at,
    runKind: 'flow',
    runId: flowRunId,
    parent: -1,
    parentAttempt: 0,
    name,
    version: '1',
    runName: undefined,
    identity: undefined,
    inputs: options.inputs ?? Uint8Array.of(1, 2, 3),
    to: 'Pending',
    tags,
    ...(parentRunId === undefined ? undefined : { parentRunId }),
  }
}

export function moved(
  to: Extract<Entry, { kind: 'transition' }>['to'],
  { at: when = at, value }: { at?: number; value?: Uint8Array } = {},
): Entry {
  const outcome = value === undefined ? undefined : { value }
  return { kind: 'transition', at: when, run: 0, to, seq: 2, attempt: 1, message: undefined, outcome }
}

/** A journal with its root. */
export async function create(journal: Journal, flowRunId: string, options?: Root): Promise<void> {
  const entries = [claimed(), root(flowRunId, options)]
  const answer = await journal.append({ flowRunId, expected: 0, epoch: 1, entries })
  if (answer !== undefined) throw new TypeError(`${flowRunId} exists`)
}

/** Appends as the owner of epoch 1. */
export async function append(
  journal: Journal,
  flowRunId: string,
  expected: number,
  entries: readonly Entry[],
): Promise<AppendRefused | undefined> {
  return journal.append({ flowRunId, expected, epoch: 1, entries })
}

/** All entries of a run, read in pages. */
export async function all(journal: Journal, flowRunId: string, page = 5_000): Promise<Entry[]> {
  const entries: Entry[] = []
  for (;;) {
    const read = await journal.read(flowRunId, entries.length + 1, page)
    entries.push(...read)
    if (read.length < page) return entries
  }
}

/** What notes say. */
export function wordsOf(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => (entry.kind === 'note' ? [entry.message] : []))
}

/** Entries with plain bytes, to be compared. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) => (one === undefined ? [] : [[key, plain(one)]])),
  )
}

/** Another process, with a program that says and hears lines. */
export class Program {
  readonly child: ChildProcess
  readonly ended: Promise<number | NodeJS.Signals>
  readonly #lines: string[] = []
  readonly #waiting: ((line: string | undefined) => void)[] = []
  #said = ''
  #over = false

  /**
   * @param source - A module that has `journal`, made for the folder given, `hear()` for the next line of its input, and
   * `say(line)`.
   * @param preload - A file that each of its threads loads first.
   */
  constructor(
    source: string,
    folderPath: string,
    { preload, ...options }: SqliteJournalOptions & { preload?: string } = {},
  ) {
    const program = `
      import { createInterface } from 'node:readline'
      import { sqliteJournal } from '@troupe/sqlite-journal'
      const journal = sqliteJournal(${JSON.stringify(folderPath)}, ${JSON.stringify(options)})
      const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
      const hear = async () => (await input.next()).value
      const say = (line) => new Promise((resolve) => process.stdout.write(line + '\\n', resolve))
      const at = ${at}
      const note = (message) => ({ kind: 'note', at, run: 0, note: 'leftover', message })
      const append = (flowRunId, expected, entries, epoch = 1) => journal.append({ flowRunId, expected, epoch, entries })
      ${source}
      process.stdin.destroy()
    `
    this.child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['pipe', 'pipe', 'pipe'],
      env: preload === undefined ? process.env : { ...process.env, NODE_OPTIONS: `--require ${preload}` },
    })
    this.child.stderr?.on('data', (text: Buffer) => (this.#said += text.toString()))
    const lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream })
    lines.on('line', (line) => {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#lines.push(line)
      else waiting(line)
    })
    this.ended = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        this.#over = true
        for (const waiting of this.#waiting.splice(0)) waiting(undefined)
        resolve(code ?? signal ?? 1)
      })
    })
  }

  /** The next line that it says. */
  async hears(): Promise<string> {
    const line =
      this.#lines.shift() ??
      (this.#over
        ? undefined
        : await new Promise<string | undefined>((resolve) => this.#waiting.push(resolve)))
    if (line === undefined) throw new TypeError(`the program has ended: ${this.#said}`)
    return line
  }

  /** Lines that it has said and nobody has heard. */
  rest(): string[] {
    return this.#lines.splice(0)
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

/** Copies files by another process: to open and close a database file here would drop this process's locks on it. */
export function copy(from: string, to: string): void {
  execFileSync('cp', [from, to])
}

/** Changes the database of a journal that is open: by another process, as `copy` does. */
export function change(path: string, sql: string): void {
  const program = `new (require('libsql'))(process.argv[1]).exec(process.argv[2])`
  execFileSync(process.execPath, ['--eval', program, join(path, 'journal.db'), sql], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
}

interface RawStatement {
  run(...values: unknown[]): unknown
  get(...values: unknown[]): Record<string, unknown> | undefined
  all(...values: unknown[]): Record<string, unknown>[]
}

interface Raw {
  exec(sql: string): unknown
  prepare(sql: string): RawStatement
  close(): unknown
}

/** The database of a journal that is closed, past the journal. */
export function raw<T>(path: string, use: (database: Raw) => T): T {
  const Database = createRequire(import.meta.url)('libsql') as new (path: string) => Raw
  const database = new Database(join(path, 'journal.db'))
  try {
    return use(database)
  } finally {
    database.close()
  }
}
