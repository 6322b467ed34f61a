import { JournalError } from '../base/errors.ts'
import type { Append, AppendRefused, Journal } from '../ports/journal.ts'

/** Where a simulated process dies. @public */
export interface CrashPoint {
  /** How many entries are stored, over all journals, when it dies. */
  readonly afterEntries: number
}

/** A journal whose process dies at a given entry. @public */
export interface CrashingJournal extends Journal {
  /** The journal that outlives the process. */
  readonly beneath: Journal
  /** Whether the process is dead. */
  readonly crashed: boolean
  /** Entries stored through this process. */
  readonly stored: number
  /** Resolves when it dies. */
  readonly death: Promise<void>
}

/**
 * Stores what a process appends until it dies: of the append in which the last entry falls, the entries up to it are
 * stored, as by a store that was cut off in the middle; nothing is answered any more, and nothing read.
 *
 * The journal beneath goes on, also when this one is closed: a new engine over it is the process that is started again.
 *
 * @public
 */
export function crashingJournal(journal: Journal, { afterEntries }: CrashPoint): CrashingJournal {
  let stored = 0
  let crashed = false
  let closed = false
  let die: () => void = () => undefined
  const death = new Promise<void>((resolve) => {
    die = resolve
  })
  const never = new Promise<never>(() => undefined)
  const unsubscribes = new Set<() => void>()
  const check = (): void => {
    if (closed) throw new JournalError('ENGINE_CLOSED', 'the journal was closed')
  }
  const unlessDead = async <T>(ask: () => T | Promise<T>): Promise<T> => {
    check()
    if (crashed) return never
    const answer = await ask()
    return crashed ? never : answer
  }

  const append = async (request: Append): Promise<AppendRefused | undefined> => {
    check()
    if (crashed) return never
    // A journal begins with its claim and its root, which are never one without the other.
    const atLeast = request.expected === 0 && afterEntries > stored ? 2 : 0
    const room = Math.max(afterEntries - stored, atLeast)
    const fits = request.entries.length <= room
    // The very array where all of it fits: a journal knows a repeated append by that.
    const entries = fits ? request.entries : request.entries.slice(0, room)
    // Counted before the answer: several journals are written at once.
    stored += entries.length
    if (entries.length === 0) return undefined
    const answer = await journal.append(fits ? request : { ...request, entries })
    if (crashed) return never
    if (answer !== undefined) {
      stored -= entries.length
      return answer
    }
    if (stored < afterEntries) return undefined
    crashed = true
    die()
    return never
  }

  return {
    beneath: journal,
    encodes: journal.encodes,
    ...(journal.mailbox === undefined ? undefined : { mailbox: journal.mailbox }),
    append,
    read: (flowRunId, from, limit) => unlessDead(() => journal.read(flowRunId, from, limit)),
    summary: (flowRunId) => unlessDead(() => journal.summary(flowRunId)),
    list: (query) => unlessDead(() => journal.list(query)),
    delete: (flowRunId) => unlessDead(() => journal.delete(flowRunId)),
    subscribe(listener) {
      const unsubscribe = journal.subscribe((flowRunId, first, entries) => {
        if (!crashed) listener(flowRunId, first, entries)
      })
      unsubscribes.add(unsubscribe)
      return () => {
        unsubscribes.delete(unsubscribe)
        unsubscribe()
      }
    },
    async close() {
      closed = true
      for (const unsubscribe of unsubscribes) unsubscribe()
      unsubscribes.clear()
    },
    get crashed() {
      return crashed
    },
    get stored() {
      return stored
    },
    death,
  }
}
