import { JournalError } from '../base/errors.ts'
import type { Cache } from '../ports/cache.ts'
import type { Append, AppendRefused, Journal } from '../ports/journal.ts'
import type { Mailbox } from '../ports/mailbox.ts'

/** Where a simulated process dies: after entries, or before an append. @public */
export interface CrashPoint {
  /** How many entries are stored, over all journals, when it dies; default any number. */
  readonly afterEntries?: number
  /** Number of the append, over all journals and from 1, of which nothing is stored, for it dies before; default none. */
  readonly beforeAppend?: number
}

/** A journal whose process dies at a given entry. @public */
export interface CrashingJournal extends Journal {
  /** The journal that outlives the process. */
  readonly beneath: Journal
  /** Whether the process is dead. */
  readonly crashed: boolean
  /** Entries stored through this process. */
  readonly stored: number
  /** Appends through this process of which something was stored. */
  readonly appends: number
  /** Resolves when it dies. */
  readonly death: Promise<void>
}

/**
 * Stores what a process appends until it dies. With `afterEntries`: of the append in which the last entry falls, the
 * entries up to it are stored, as by a store that was cut off in the middle. With `beforeAppend`: all that was appended
 * before is stored and answered, and nothing of that append. Then nothing is answered any more, and nothing read.
 *
 * The journal beneath goes on, also when this one is closed: a new engine over it is the process that is started again.
 *
 * @public
 */
export function crashingJournal(journal: Journal, point: CrashPoint): CrashingJournal {
  const { afterEntries = Number.POSITIVE_INFINITY, beforeAppend = Number.POSITIVE_INFINITY } = point
  let stored = 0
  let appends = 0
  let crashed = false
  let closed = false
  let die: () => void = () => undefined
  const death = new Promise<void>((resolve) => {
    die = resolve
  })
  const never = new Promise<never>(() => undefined)
  const unsubscribes = new Set<() => void>()
  const forgetListeners = (): void => {
    for (const unsubscribe of unsubscribes) unsubscribe()
    unsubscribes.clear()
  }
  const check = (): void => {
    if (closed) throw new JournalError('ENGINE_CLOSED', 'the journal was closed')
  }
  const unlessDead = async <T>(ask: () => T | Promise<T>): Promise<T> => {
    check()
    if (crashed) return never
    const answer = await ask()
    return crashed ? never : answer
  }
  const { mailbox, cache } = journal
  const dies = (): Promise<never> => {
    crashed = true
    forgetListeners()
    die()
    return never
  }

  const append = async (request: Append): Promise<AppendRefused | undefined> => {
    check()
    if (crashed) return never
    if (appends + 1 >= beforeAppend) return dies()
    // A journal begins with its claim and its root, which are never one without the other.
    const atLeast = request.expected === 0 && afterEntries > stored ? 2 : 0
    const room = Math.max(afterEntries - stored, atLeast)
    const fits = request.entries.length <= room
    // The very array where all of it fits: a journal knows a repeated append by that.
    const entries = fits ? request.entries : request.entries.slice(0, room)
    // Counted before the answer: several journals are written at once.
    stored += entries.length
    if (entries.length === 0) return never
    appends++
    const answer = await journal.append(fits ? request : { ...request, entries })
    if (crashed) return never
    if (answer !== undefined) {
      stored -= entries.length
      appends--
      return answer
    }
    return stored < afterEntries ? undefined : dies()
  }

  return {
    beneath: journal,
    encodes: journal.encodes,
    ...(mailbox === undefined ? undefined : { mailbox: mortalMailbox(mailbox, unlessDead, unsubscribes) }),
    ...(cache === undefined ? undefined : { cache: mortalCache(cache, unlessDead) }),
    append,
    read: (flowRunId, from, limit) => unlessDead(() => journal.read(flowRunId, from, limit)),
    summary: (flowRunId) => unlessDead(() => journal.summary(flowRunId)),
    list: (query) => unlessDead(() => journal.list(query)),
    delete: (flowRunId) => unlessDead(() => journal.delete(flowRunId)),
    subscribe(listener) {
      const unsubscribe = crashed ? () => undefined : journal.subscribe(listener)
      unsubscribes.add(unsubscribe)
      return () => {
        unsubscribes.delete(unsubscribe)
        unsubscribe()
      }
    },
    async close() {
      closed = true
      forgetListeners()
    },
    get crashed() {
      return crashed
    },
    get stored() {
      return stored
    },
    get appends() {
      return appends
    },
    death,
  }
}

/** Asks, unless the process is dead before or when the answer comes: then nothing comes. */
type UnlessDead = <T>(ask: () => T | Promise<T>) => Promise<T>

/** `nodes` is left out: the dead process and the one after it are one to it. */
function mortalMailbox(mailbox: Mailbox, unlessDead: UnlessDead, ends: Set<() => void>): Mailbox {
  return {
    send: (message) => unlessDead(() => mailbox.send(message)),
    pending: (flowRunId) => unlessDead(() => mailbox.pending(flowRunId)),
    confirm: (flowRunId, id) => unlessDead(() => mailbox.confirm(flowRunId, id)),
    clear: (flowRunId) => unlessDead(() => mailbox.clear(flowRunId)),
    subscribe(listener) {
      const end = mailbox.subscribe(listener)
      ends.add(end)
      return () => {
        ends.delete(end)
        end()
      }
    },
  }
}

function mortalCache(cache: Cache, unlessDead: UnlessDead): Cache {
  return {
    get: (key) => unlessDead(() => cache.get(key)),
    put: (key, entry) => unlessDead(() => cache.put(key, entry)),
    delete: (key) => unlessDead(() => cache.delete(key)),
  }
}
