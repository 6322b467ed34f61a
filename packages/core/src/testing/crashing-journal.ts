import type { Append, AppendRefused, Journal } from '../ports/journal.ts'

/** Where a simulated process dies. @public */
export interface CrashPoint {
  /** How many entries are stored, over all journals, when it dies. */
  readonly afterEntries: number
}

/** A journal whose process dies at a given entry. @public */
export interface CrashingJournal extends Journal {
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
 * The journal beneath goes on: a new engine over it is the process that is started again.
 *
 * @public
 */
export function crashingJournal(journal: Journal, { afterEntries }: CrashPoint): CrashingJournal {
  let stored = 0
  let crashed = false
  let die: () => void = () => undefined
  const death = new Promise<void>((resolve) => {
    die = resolve
  })
  const never = new Promise<never>(() => undefined)
  const unlessDead = async <T>(answer: T | Promise<T>): Promise<T> => {
    const value = await answer
    return crashed ? never : value
  }

  const append = async (request: Append): Promise<AppendRefused | undefined> => {
    if (crashed) return never
    // A journal begins with its claim and its root, which are never one without the other.
    const atLeast = request.expected === 0 && afterEntries > stored ? 2 : 0
    const room = Math.max(afterEntries - stored, atLeast)
    const entries = request.entries.length <= room ? request.entries : request.entries.slice(0, room)
    const answer = entries.length === 0 ? undefined : await journal.append({ ...request, entries })
    if (answer !== undefined) return answer
    stored += entries.length
    if (stored < afterEntries) return undefined
    crashed = true
    die()
    return never
  }

  return {
    encodes: journal.encodes,
    append,
    read: (flowRunId, from, limit) => (crashed ? never : unlessDead(journal.read(flowRunId, from, limit))),
    summary: (flowRunId) => (crashed ? never : unlessDead(journal.summary(flowRunId))),
    list: (query) => (crashed ? never : unlessDead(journal.list(query))),
    delete: (flowRunId) => (crashed ? never : unlessDead(journal.delete(flowRunId))),
    subscribe: (listener) =>
      journal.subscribe((flowRunId, first, entries) => {
        if (!crashed) listener(flowRunId, first, entries)
      }),
    close: async () => undefined,
    get crashed() {
      return crashed
    },
    get stored() {
      return stored
    },
    death,
  }
}
