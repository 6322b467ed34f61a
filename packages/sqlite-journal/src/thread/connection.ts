import { constants, existsSync, statSync } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import type { Driver, Connection, Statement } from './driver.ts'
import { isBusy } from './failures.ts'
import { checkFormat, prepareFolder } from './folder.ts'
import { checkLog } from './wal.ts'
import type { ThreadData } from '../wires.ts'

/** How long a writer waits for writers of other processes, in milliseconds; then the call fails. */
const patienceMs = 10_000

const idle = new Int32Array(new SharedArrayBuffer(4))

/** Keeps this thread waiting: SQLite answers nothing else meanwhile. */
function waitFor(ms: number): void {
  Atomics.wait(idle, 0, 0, ms)
}

/** Repeats what another connection's lock keeps from happening. */
function patiently<T>(act: () => T, ms = patienceMs): T {
  const end = performance.now() + ms
  for (let pause = 0.1; ; pause = Math.min(pause * 1.5, 2)) {
    try {
      return act()
    } catch (error) {
      if (!isBusy(error) || performance.now() > end) throw error
    }
    // Not always the same, lest two writers meet again and again.
    waitFor(pause * (0.5 + Math.random()))
  }
}

/** A file that is read as if it never changed, and when it was written. */
interface AsItIs {
  readonly path: string
  readonly written: number
}

/** Where the folder can't be written, and no writer has the journal open. */
async function unwritable(folder: string, path: string): Promise<AsItIs | undefined> {
  if (existsSync(`${path}-wal`)) return undefined
  try {
    await access(folder, constants.W_OK)
    return undefined
  } catch {
    const { mtimeMs } = await stat(path)
    return { path, written: mtimeMs }
  }
}

/** An open journal: its connection and statements, which are prepared when they are first used. */
export class Session {
  readonly connection: Connection
  readonly folder: string
  readonly readOnly: boolean
  readonly #statements = new Map<string, Statement>()
  readonly #dataVersion: Statement
  readonly #asItIs: AsItIs | undefined
  #seen: unknown
  /** Whether a transaction is open. */
  #within = false

  private constructor(connection: Connection, { folder, readOnly }: ThreadData, asItIs: AsItIs | undefined) {
    this.connection = connection
    this.folder = folder
    this.readOnly = readOnly
    this.#asItIs = asItIs
    this.#dataVersion = connection.prepare('pragma data_version')
  }

  static async open(driver: Driver, data: ThreadData): Promise<Session> {
    const { folder, readOnly, durability } = data
    const path = await prepareFolder(driver, folder, readOnly)
    if (durability === 'power') await checkLog(`${path}-wal`, folder)
    const asItIs = readOnly ? await unwritable(folder, path) : undefined
    // Nobody who may write is there, and SQLite can't make the files that it shares with others.
    const connection = driver.open(asItIs === undefined ? path : `${pathToFileURL(path).href}?immutable=1`, {
      readOnly,
    })
    try {
      patiently(() => checkFormat(connection, folder))
      connection.exec(`pragma synchronous = ${durability === 'power' ? 'full' : 'normal'}`)
      // A copy that `backup` made has another mode.
      if (!readOnly) patiently(() => connection.exec('pragma journal_mode = wal'))
      connection.exec('pragma cache_size = -32768')
      connection.exec('pragma busy_timeout = 0')
      return patiently(() => new Session(connection, data, asItIs))
    } catch (error) {
      connection.close()
      throw error
    }
  }

  sql(text: string): Statement {
    let statement = this.#statements.get(text)
    if (statement === undefined) this.#statements.set(text, (statement = this.connection.prepare(text)))
    return statement
  }

  /** Whether others have written since, and the file must be opened anew to see it. */
  outdated(): boolean {
    if (this.#asItIs === undefined) return false
    const { path, written } = this.#asItIs
    return existsSync(`${path}-wal`) || statSync(path, { throwIfNoEntry: false })?.mtimeMs !== written
  }

  /** Called in a transaction that is the first to see what another connection has committed. */
  othersWrote: () => void = () => undefined

  /** Everything that `act` reads is of one moment. */
  reading<T>(act: () => T): T {
    if (this.#within) return act()
    return patiently(() => {
      this.connection.exec('begin')
      return this.#transaction(act)
    })
  }

  /** All of it is stored, or nothing. `patient`: whether to wait for other writers. */
  writing<T>(act: () => T, { patient = true } = {}): T {
    // Only the beginning is repeated: it is what waits for other writers.
    patiently(() => this.connection.exec('begin immediate'), patient ? patienceMs : 0)
    return this.#transaction(act)
  }

  #refresh(): void {
    const { data_version: now } = this.#dataVersion.get() as { data_version: number }
    if (now === this.#seen) return
    this.#seen = now
    this.othersWrote()
  }

  #transaction<T>(act: () => T): T {
    this.#within = true
    try {
      this.#refresh()
      const result = act()
      this.connection.exec('commit')
      return result
    } catch (error) {
      this.#rollback()
      throw error
    } finally {
      this.#within = false
    }
  }

  #rollback(): void {
    try {
      this.connection.exec('rollback')
    } catch {
      // SQLite has rolled back by itself after some errors, and says so by this one.
    }
  }

  close(): void {
    this.#statements.clear()
    this.connection.close()
  }
}
