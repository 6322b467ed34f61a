import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import {
  JournalError,
  type Append,
  type AppendRefused,
  type Blobs,
  type Cache,
  type CommitListener,
  type Journal,
  type JournalQuery,
  type JournalSummary,
  type Mailbox,
  type MailMessage,
  type Nodes,
  TroupeError,
} from '@troupe/core'
import { changeOf, flowRunIdOf, isTerminal, packEntries, rootOf, unpackEntries } from '@troupe/core/internal'
import { inline } from './inline.ts'
import { Link } from './link.ts'
import { onThread } from './on-thread.ts'
import { settingsOf, type Settings, type SqliteJournalOptions } from './options.ts'
import { blobsOf, cacheOf, mailboxOf, messageOf, nodesOf } from './stores.ts'
import type {
  AppendAnswer,
  CommitOnWire,
  MailOnWire,
  Read,
  RecordOnWire,
  RootFacts,
  SweepAnswer,
  Write,
} from './wires.ts'

type Entry = Append['entries'][number]
type AppendCall = Extract<Write, { op: 'append' }>

/** What a journal has done since it was made. @public */
export interface SqliteJournalStats {
  /** Transactions; many appends share one. */
  readonly commits: number
  /** Appends that were stored. */
  readonly appends: number
  /** Appends that were refused. */
  readonly refused: number
  /** Entries that were stored. */
  readonly entries: number
  /** Bytes of their records, and of large values beside them. */
  readonly bytes: number
}

/** What a sweep came to. @public */
export interface Swept {
  /** Flow runs that were forgotten, with those below them. */
  readonly runs: number
  /** By how much the file became smaller. */
  readonly freedBytes: number
}

/** A durable journal in a folder. @public */
export interface SqliteJournal extends Journal {
  readonly encodes: true
  readonly blobs: Blobs
  readonly mailbox: Mailbox
  readonly nodes: Nodes
  readonly cache: Cache
  /** What was done since the journal was made. */
  stats(): SqliteJournalStats
  /**
   * Opens the folder, which the first call does, too.
   *
   * @throws JournalError `NOT_A_JOURNAL`, `JOURNAL_DAMAGED`, `UNSUPPORTED_FORMAT`, `JOURNAL_UNAVAILABLE`
   */
  open(): Promise<void>
  /** Forgets what `keep` does not keep, and gives free space back. Happens by itself at the beginning and each minute. */
  sweep(): Promise<Swept>
  /** Sweeps, and makes the file as small as it can be; appends wait meanwhile for moments only. */
  compact(): Promise<Swept>
  /**
   * Writes a copy of the journal as it is at this moment into another folder, which must be empty or missing.
   *
   * @throws JournalError `JOURNAL_UNAVAILABLE`
   */
  backup(folder: string): Promise<void>
}

/** The longest delay that Node's timers take. */
const longestTimerMs = 2 ** 31 - 1

/** How often it sweeps by itself. */
const sweepEveryMs = 60_000

/**
 * A durable journal in a folder of its own, shared by any number of processes of one machine.
 *
 * Nothing is opened before the first call; what is wrong with the folder, that call rejects with.
 *
 * @param folder - Made where it is missing.
 * @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function sqliteJournal(folder: string, options: SqliteJournalOptions = {}): SqliteJournal {
  return new FolderJournal(settingsOf(folder, options))
}

class FolderJournal implements SqliteJournal {
  readonly encodes = true
  readonly blobs: Blobs
  readonly mailbox: Mailbox
  readonly nodes: Nodes
  readonly cache: Cache
  readonly #settings: Settings
  readonly #link: Link
  readonly #listeners = new Set<CommitListener>()
  readonly #mailListeners = new Set<(message: MailMessage) => void>()
  /** Names of appends, by their entries: a repeated one has the same. */
  readonly #tokens = new WeakMap<readonly Entry[], string>()
  readonly #self = randomUUID()
  #appended = 0
  readonly #stats = { commits: 0, appends: 0, refused: 0, entries: 0, bytes: 0 }
  #sweeps: NodeJS.Timeout | undefined
  /** Timers that keep the process alive. */
  readonly #holds = new Set<NodeJS.Timeout>()
  #closing: Promise<void> | undefined

  constructor(settings: Settings) {
    this.#settings = settings
    const { folder, durability, readOnly, driver, pollMs, thread } = settings
    this.#link = new Link(
      { folder, durability, readOnly, driver, pollMs },
      {
        commits: (commits) => this.#othersCommitted(commits),
        forgotten: (flowRunIds) => this.#forgotten(flowRunIds),
        mail: (mail) => this.#mailCame(mail),
        committed: () => void this.#stats.commits++,
      },
      thread ? onThread : inline,
    )
    const asking = { settings, ask: <T>(ask: Write | Read) => this.#ask<T>(ask) }
    this.blobs = blobsOf(asking)
    this.nodes = nodesOf(asking)
    this.cache = cacheOf(asking)
    this.mailbox = mailboxOf(asking, {
      add: (listener) => this.#listen(this.#mailListeners, (message) => listener(message)),
    })
  }

  append(append: Append): Promise<AppendRefused | undefined> {
    const { flowRunId, expected, epoch, entries } = append
    const { codecs, largeValue } = this.#settings
    const { bytes, blobs } = packEntries(entries, { codecs, largeValue })
    const ask: AppendCall = {
      op: 'append',
      flowRunId,
      expected,
      epoch,
      bytes,
      blobs,
      count: entries.length,
      token: this.#tokenOf(entries),
      root: rootFactsOf(entries),
      change: changeOf(entries),
    }
    return this.#ask<AppendAnswer>(ask, (answer) => {
      if ('refused' in answer) this.#stats.refused++
      else if (answer.stored === 'now') this.#stored(append, ask)
    }).then((answer) => ('refused' in answer ? { refused: true, position: answer.refused } : undefined))
  }

  async read(flowRunId: string, from: number, limit: number): Promise<readonly Entry[]> {
    const records = await this.#ask<readonly RecordOnWire[]>({ op: 'read', flowRunId, from, limit })
    const entries: Entry[] = []
    const end = from + limit
    for (const record of records) {
      const unpacked = this.#unpack(flowRunId, record)
      const skipped = Math.max(0, from - record.position)
      const taken = Math.min(unpacked.length, end - record.position)
      for (let i = skipped; i < taken; i++) entries.push(unpacked[i] as Entry)
    }
    return entries
  }

  summary(flowRunId: string): Promise<JournalSummary | undefined> {
    return this.#ask({ op: 'summary', flowRunId })
  }

  list(query: JournalQuery): Promise<readonly JournalSummary[]> {
    return this.#ask({ op: 'list', query: queryOf(query) })
  }

  async delete(flowRunId: string): Promise<void> {
    await this.#ask<readonly string[]>({ op: 'delete', flowRunId }, (family) => this.#forgotten(family))
  }

  subscribe(listener: CommitListener): () => void {
    // A function of its own for each call: the same listener may subscribe twice.
    const end = this.#listen(this.#listeners, (...commit) => listener(...commit))
    const release = this.hold()
    return () => {
      release()
      end()
    }
  }

  hold(): () => void {
    if (this.#closing !== undefined) return () => undefined
    const timer = setInterval(() => undefined, longestTimerMs)
    this.#holds.add(timer)
    return () => {
      this.#holds.delete(timer)
      clearInterval(timer)
    }
  }

  stats(): SqliteJournalStats {
    return { ...this.#stats }
  }

  open(): Promise<void> {
    return this.#ask({ op: 'open' })
  }

  sweep(): Promise<Swept> {
    return this.#sweep(false)
  }

  compact(): Promise<Swept> {
    return this.#sweep(true)
  }

  backup(folder: string): Promise<void> {
    return this.#ask({ op: 'backup', folder: resolve(folder) })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweeps)
    this.#link.follow({ commits: false, mail: false })
    for (const timer of this.#holds) clearInterval(timer)
    this.#holds.clear()
    this.#listeners.clear()
    this.#mailListeners.clear()
    if (!this.#link.started) return
    try {
      await this.#link.ask({ op: 'close' })
    } finally {
      await this.#link.end()
    }
  }

  #ask<T>(ask: Write | Read, answered?: (answer: T) => void): Promise<T> {
    if (this.#closing !== undefined) {
      const { folder } = this.#settings
      return Promise.reject(
        new JournalError('ENGINE_CLOSED', `the journal in ${folder} was closed`, { details: { folder } }),
      )
    }
    this.#sweeps ??= this.#startSweeping()
    return this.#link.ask<T>(ask, answered === undefined ? {} : { answered })
  }

  #startSweeping(): NodeJS.Timeout | undefined {
    if (this.#settings.readOnly) return undefined
    let isSweeping = false
    const sweep = (): void => {
      if (this.#closing !== undefined || isSweeping) return
      isSweeping = true
      // What is wrong with the journal, the calls that need it say; the next sweep tries again.
      const swept = (): void => void (isSweeping = false)
      this.#link.ask(this.#sweepCall(false), { background: true }).then(swept, swept)
    }
    setImmediate(sweep).unref()
    return setInterval(sweep, sweepEveryMs).unref()
  }

  #sweepCall(compact: boolean): Read {
    const { keep, clock } = this.#settings
    return { op: 'sweep', keep, now: clock.now(), monotonic: clock.monotonic(), compact }
  }

  #sweep(compact: boolean): Promise<SweepAnswer> {
    return this.#ask(this.#sweepCall(compact))
  }

  #tokenOf(entries: readonly Entry[]): string {
    let token = this.#tokens.get(entries)
    if (token === undefined) this.#tokens.set(entries, (token = `${this.#self}.${++this.#appended}`))
    return token
  }

  #stored({ flowRunId, expected, entries }: Append, { bytes, blobs }: AppendCall): void {
    this.#stats.appends++
    this.#stats.entries += entries.length
    this.#stats.bytes += bytes.byteLength
    for (const blob of blobs) this.#stats.bytes += blob.bytes.byteLength
    this.#tell(flowRunId, expected + 1, entries)
  }

  #tell(...commit: Parameters<CommitListener>): void {
    for (const listener of this.#listeners) undisturbed(() => listener(...commit))
  }

  #forgotten(flowRunIds: readonly string[]): void {
    for (const flowRunId of flowRunIds) this.#tell(flowRunId, 0, [])
  }

  #othersCommitted(commits: readonly CommitOnWire[]): void {
    if (this.#listeners.size === 0) return
    for (const commit of commits) {
      undisturbed(() => {
        const entries = this.#readable(commit)
        if (entries !== undefined) this.#tell(commit.flowRunId, commit.position, entries)
      })
    }
  }

  /** Undefined where it is damaged, which is told to those who read the run. */
  #readable(commit: CommitOnWire): readonly Entry[] | undefined {
    try {
      return this.#unpack(commit.flowRunId, commit)
    } catch (error) {
      if (TroupeError.is(error)) return undefined
      throw error
    }
  }

  #mailCame(mail: readonly MailOnWire[]): void {
    for (const one of mail) {
      undisturbed(() => {
        const message = messageOf(one, this.#settings)
        for (const listener of this.#mailListeners) undisturbed(() => listener(message))
      })
    }
  }

  #unpack(flowRunId: string, { position, count, bytes, blobs = [] }: RecordOnWire): Entry[] {
    const { codecs, folder } = this.#settings
    const damaged = (cause: unknown): never => {
      throw new JournalError(
        'JOURNAL_DAMAGED',
        `the journal in ${folder} is damaged: entry ${position} of flow run ${flowRunId} can't be read`,
        { cause, details: { folder, flowRunId, position, reason: 'record' } },
      )
    }
    let entries: Entry[]
    try {
      const blob = (name: string): Uint8Array | undefined => blobs.find((one) => one.name === name)?.bytes
      entries = unpackEntries(bytes, { codecs, blob })
    } catch (error) {
      if (TroupeError.is(error, 'MALFORMED_PAYLOAD')) return damaged(error)
      throw error
    }
    return entries.length === count ? entries : damaged(undefined)
  }

  #listen<L>(listeners: Set<L>, listener: L): () => void {
    if (this.#closing !== undefined) return () => undefined
    listeners.add(listener)
    this.#follow()
    return () => {
      if (listeners.delete(listener) && this.#closing === undefined) this.#follow()
    }
  }

  #follow(): void {
    this.#link.follow({ commits: this.#listeners.size > 0, mail: this.#mailListeners.size > 0 })
  }
}

/** A listener that throws disturbs neither the others nor the journal; the process hears of it. */
function undisturbed(call: () => void): void {
  try {
    call()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

function rootFactsOf(entries: readonly Entry[]): RootFacts | undefined {
  const root = rootOf(entries)
  if (root === undefined) return undefined
  const { parentRunId } = root
  return { ...root, parentFlowRunId: parentRunId === undefined ? undefined : flowRunIdOf(parentRunId) }
}

/** All states that are asked for are of ended runs, or none is: an index finds these. */
function queryOf(query: JournalQuery): JournalQuery {
  const { ended, states } = query
  // It may be read later: the caller's list is the caller's.
  const own = { ...query, ...(states !== undefined && { states: [...states] }) }
  if (ended !== undefined || states === undefined || states.length === 0) return own
  if (states.every((state) => isTerminal(state))) return { ...own, ended: true }
  return states.some((state) => isTerminal(state)) ? own : { ...own, ended: false }
}
