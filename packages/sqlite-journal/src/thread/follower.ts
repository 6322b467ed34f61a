import { watch, type FSWatcher } from 'node:fs'
import type { ThreadEvent, Told } from '../wires.ts'
import type { Session } from './connection.ts'
import type { Entries } from './entries.ts'
import { fileName } from './folder.ts'
import type { Mail } from './mail.ts'

/**
 * After the event of a write to the file its commit is not visible yet: not before the disk has it, which may take long. So it is
 * looked again after these times, in milliseconds, each counted from the look before.
 */
const looksMs = [1, 2, 4, 8, 16, 32, 64, 128]
/** Commits per query. */
const page = 500

export interface Followed {
  readonly session: Session
  readonly entries: Entries
  readonly mail: Mail
}

/**
 * Tells listeners of what other processes commit, each commit once and in order. Does nothing where nobody listens.
 *
 * Keeps no process alive. A file event wakes it; where events are not told, as on some shared folders, it looks every now and then.
 */
export class Follower {
  readonly #of: Followed
  readonly #pollMs: number
  /** Calls back when there may be something new, outside of any transaction. */
  readonly #look: () => void
  #commits: number | undefined
  #mail: number | undefined
  #watcher: FSWatcher | undefined
  #poll: NodeJS.Timeout | undefined
  #next: NodeJS.Timeout | undefined
  /** Looks since the last event. */
  #looks = 0
  /** Whether there may be something that was not told. */
  #dirty = true

  constructor(
    of: Followed,
    { pollMs, told, look }: { pollMs: number; told: Told | undefined; look: () => void },
  ) {
    this.#of = of
    this.#pollMs = pollMs
    this.#look = look
    this.#commits = told?.commits
    this.#mail = told?.mail
    this.#watch()
  }

  get told(): Told {
    return { commits: this.#commits, mail: this.#mail }
  }

  /** From now on, commits and messages are told, or they are not. */
  follow(commits: boolean, mail: boolean): void {
    this.#commits = commits ? (this.#commits ?? this.#of.entries.newest()) : undefined
    this.#mail = mail ? (this.#mail ?? this.#of.mail.newest()) : undefined
    this.#watch()
  }

  /** In a transaction: what others have committed since the last look. */
  news(events: ThreadEvent[]): void {
    if (!this.#dirty) return
    this.#dirty = false
    while (this.#commits !== undefined) {
      const { commits, seq, more } = this.#of.entries.after(this.#commits, page)
      if (commits.length > 0) events.push({ kind: 'commits', commits })
      this.#commits = seq
      if (!more) break
    }
    this.mailNews(events)
  }

  /** In a transaction: messages since the last look, this process's, too. */
  mailNews(events: ThreadEvent[]): void {
    if (this.#mail === undefined) return
    const { mail, seq } = this.#of.mail.after(this.#mail)
    if (mail.length > 0) events.push({ kind: 'mail', mail })
    this.#mail = seq
  }

  /** Own commits up to a number are told by those who made them. */
  pass(newest: number): void {
    if (this.#commits !== undefined) this.#commits = newest
  }

  /** A transaction was rolled back: what it told is told again. */
  restore({ commits, mail }: Told): void {
    this.#commits = commits
    this.#mail = mail
    this.#dirty = true
  }

  /** Another process has written. */
  othersWrote(): void {
    this.#dirty = true
  }

  close(): void {
    this.#commits = undefined
    this.#mail = undefined
    this.#watch()
  }

  #watch(): void {
    if (this.#commits === undefined && this.#mail === undefined) {
      this.#watcher?.close()
      this.#watcher = undefined
      clearInterval(this.#poll)
      this.#poll = undefined
      clearTimeout(this.#next)
      this.#next = undefined
      return
    }
    this.#poll ??= setInterval(this.#look, this.#pollMs).unref()
    if (this.#watcher !== undefined) return
    try {
      const { folder } = this.#of.session
      this.#watcher = watch(folder, (_, name) => {
        if (name === null || name === `${fileName}-wal`) this.#soon()
      })
      this.#watcher.on('error', () => this.#watcher?.close())
      this.#watcher.unref()
    } catch {
      // No more watches, or a file system without: the poll goes on.
    }
  }

  #soon(): void {
    this.#looks = 0
    if (this.#next === undefined) this.#lookLater()
  }

  #lookLater(): void {
    this.#next = setTimeout(() => {
      this.#next = undefined
      this.#looks++
      this.#look()
      if (this.#looks < looksMs.length && this.#poll !== undefined) this.#lookLater()
    }, looksMs[this.#looks]).unref()
  }
}
