import { JournalError, TroupeError, type JournalSummary } from '@troupe/core'
import { flowRunIdOf } from '@troupe/core/internal'
import type { BlobStore } from '../blobs/blob-store.ts'
import { cacheScope, type NatsCache } from '../cache/cache.ts'
import { codeOf, codes, troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { Lease } from '../register/lease.ts'
import type { NatsRegister } from '../register/register.ts'
import type { NatsJournal } from './nats-journal.ts'

/** How often it sweeps. */
const everyMs = 60_000
/** A sweep that takes longer says that it goes on: others take this node to be gone where nothing is heard of it. */
const renewMs = 30_000
/** So many flow runs are forgotten at a time: each takes several ways over the server, one after the other. */
const together = 16
/** What is left of something that was forgotten is kept for so long, so that those who know it learn of that. */
const marksMs = 60 * 60_000
/** A large value that belongs to nothing is kept for so long: its record may be on its way. */
const orphanMs = 60 * 60_000

export interface SweeperParts {
  readonly link: Link
  readonly journal: NatsJournal
  readonly blobs: BlobStore
  readonly register: NatsRegister
  readonly cache: NatsCache
}

/** What a sweep came to. */
export interface Swept {
  /** Flow runs that were forgotten. */
  readonly runs: number
  /** Large values that belonged to nothing. */
  readonly blobs: number
}

/** Forgets what nobody needs any more; one of the nodes does it for all. Each step may be repeated, and left half done. */
export class Sweeper {
  readonly #parts: SweeperParts
  readonly #lease: Lease
  /** Large values that belong to nothing, by when this node saw it first: monotonic time. */
  readonly #orphans = new Map<string, number>()
  /** When the lease was taken or renewed: monotonic time. */
  #renewedAt = Number.NEGATIVE_INFINITY
  #undo: (() => void) | undefined
  #ended = false

  constructor(parts: SweeperParts) {
    this.#parts = parts
    const { node, clock } = parts.link.host
    this.#lease = new Lease({ register: parts.register, key: 'lock.sweep', node, clock })
  }

  /** Sweeps from now on; calling it again does nothing. */
  start(): void {
    if (this.#undo !== undefined || this.#ended) return
    const { clock, random } = this.#parts.link.host
    const next = (): void => {
      // Not all nodes of a cluster that was started at once.
      const wait = everyMs * (0.75 + random.number() / 2)
      this.#undo = clock.at(clock.now() + wait, () => {
        this.#turn().then(
          (goesOn) => {
            if (goesOn && !this.#ended) next()
          },
          (error: unknown) => this.#parts.link.host.report(error),
        )
      })
    }
    next()
  }

  async end(): Promise<void> {
    this.#ended = true
    this.#undo?.()
    try {
      await this.#lease.release()
    } catch (error) {
      // It runs out by itself.
      if (!TroupeError.is(error)) throw error
    }
  }

  /** @returns Undefined where another node does it. */
  async sweep(): Promise<Swept | undefined> {
    const { cache, link } = this.#parts
    this.#renewedAt = link.host.clock.monotonic()
    const now = await this.#lease.take()
    if (now === undefined) return undefined
    // Needs no room, and makes some: each run that is forgotten needs some first.
    await this.forgetMarks(now)
    const runs = await this.#forgetOutdated()
    const cached = await cache.expire(link.host.clock.now())
    return { runs, blobs: await this.#forgetOrphans(cached) }
  }

  /** @returns How many */
  async #forgetOutdated(): Promise<number> {
    const { journal } = this.#parts
    await journal.summaries.update()
    const outdated = this.#outdated()
    const failures: TroupeError[] = []
    let runs = 0
    for (let at = 0; at < outdated.length && !this.#ended; at += together) {
      if (at > 0 && !(await this.#goesOn())) break
      const some = outdated.slice(at, at + together)
      for (const done of await Promise.allSettled(some.map((root) => journal.forgetEnded(root)))) {
        if (done.status === 'rejected') failures.push(ofOneRun(done.reason))
        else if (done.value) runs++
      }
    }
    this.#tellOf(failures)
    return runs
  }

  /** @returns Whether it is for this node still */
  async #goesOn(): Promise<boolean> {
    const now = this.#parts.link.host.clock.monotonic()
    if (now - this.#renewedAt < renewMs) return true
    this.#renewedAt = now
    return (await this.#lease.take()) !== undefined
  }

  /** Of runs that could not be forgotten: the next sweep tries again. */
  #tellOf([first, ...others]: readonly TroupeError[]): void {
    if (first === undefined) return
    const { code, details, message } = first
    const text = `${others.length + 1} ended flow runs could not be forgotten; of the first of them: ${message}`
    this.#parts.link.host.report(new JournalError(code, text, { cause: first, details }))
  }

  /** @returns Whether there is to be another one. */
  async #turn(): Promise<boolean> {
    try {
      await this.sweep()
    } catch (error) {
      if (this.#ended) return false
      // Who may not do it leaves it to others.
      if (TroupeError.is(error) && error.details['reason'] === 'permissions') return false
      this.#parts.link.host.report(error)
    }
    return true
  }

  /** Roots of families that have ended as a whole and are beyond what is kept; the oldest first. */
  #outdated(): readonly JournalSummary[] {
    const { link, journal } = this.#parts
    const { keep } = link.settings
    if (keep === undefined) return []
    const ended = endedFamilies(journal.summaries.inOrder()).sort((a, b) => a.changedAt - b.changedAt)
    const { ageMs = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY } = keep
    const oldest = link.host.clock.now() - ageMs
    return ended.filter(({ changedAt }, index) => changedAt < oldest || ended.length - index > count)
  }

  /**
   * Clears what is left of journals and keys that were forgotten long ago.
   *
   * @param now - By the clock of the server.
   */
  async forgetMarks(now: number): Promise<void> {
    const { journal, register, link } = this.#parts
    const connected = await link.bulk()
    await journal.summaries.update()
    for (const { flowRunId, seq, time } of journal.summaries.forgotten()) {
      if (now - time < marksMs) continue
      const what = `can't clear the journal of ${flowRunId}`
      try {
        const filter = journal.stream.subjectOf(flowRunId)
        // Up to the mark itself: a journal that was made anew stays.
        await connected.patiently(what, () =>
          connected.jsm.streams.purge(journal.stream.name, { filter, seq: seq + 1 }),
        )
        journal.summaries.cleared(flowRunId)
      } catch (error) {
        if (codeOf(error) !== codes.streamNotFound) throw troubleWith(what, connected.where, error)
      }
    }
    await register.forgetMarks(now - marksMs)
  }

  /** Those of no flow run that there is, and of no cached result. */
  async #forgetOrphans(cached: ReadonlySet<string>): Promise<number> {
    const { blobs, journal, link } = this.#parts
    const now = link.host.clock.monotonic()
    const orphans = new Map<string, readonly [scope: string, name: string]>()
    for (const [scope, name] of await blobs.list()) {
      const isUsed = scope === cacheScope ? cached.has(name) : journal.summaries.get(scope) !== undefined
      if (!isUsed) orphans.set(`${scope}/${name}`, [scope, name])
    }
    for (const key of this.#orphans.keys()) if (!orphans.has(key)) this.#orphans.delete(key)
    let forgotten = 0
    for (const [key, [scope, name]] of orphans) {
      const since = this.#orphans.get(key) ?? now
      this.#orphans.set(key, since)
      if (now - since < orphanMs || this.#ended) continue
      await blobs.delete(scope, name)
      this.#orphans.delete(key)
      forgotten++
    }
    return forgotten
  }
}

/** What says nothing of what comes of other flow runs. @throws `error` where it does */
function ofOneRun(error: unknown): TroupeError {
  if (TroupeError.is(error)) {
    const { reason } = error.details
    if (reason === 'full' || (error.code === 'JOURNAL_DAMAGED' && reason !== 'backwards')) return error
  }
  throw error
}

/** Roots that have ended, with all that is below them. */
function endedFamilies(all: readonly JournalSummary[]): JournalSummary[] {
  const byId = new Map(all.map((summary) => [summary.flowRunId, summary]))
  const roots = new Map<string, JournalSummary>()
  const rootOf = (summary: JournalSummary): JournalSummary => {
    const known = roots.get(summary.flowRunId)
    if (known !== undefined) return known
    const { parentRunId } = summary
    const parent = parentRunId === undefined ? undefined : byId.get(flowRunIdOf(parentRunId))
    const root = parent === undefined ? summary : rootOf(parent)
    roots.set(summary.flowRunId, root)
    return root
  }
  const unfinished = new Set<JournalSummary>()
  for (const summary of all) if (!summary.ended) unfinished.add(rootOf(summary))
  return all.filter((summary) => rootOf(summary) === summary && !unfinished.has(summary))
}
