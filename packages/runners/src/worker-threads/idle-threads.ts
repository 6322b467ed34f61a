import type { Settings } from './options.ts'
import type { PoolThread } from './pool-thread.ts'

/** Node's longest timer. */
const longestMs = 2 ** 31 - 1

/** Ends threads that have had nothing to do for a while. Its timer does not keep the process alive. */
export class IdleThreads {
  readonly #settings: Settings
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(settings: Settings) {
    this.#settings = settings
  }

  watch(threads: ReadonlySet<PoolThread>): void {
    const idle = idleOf(threads)
    for (const thread of idle) thread.idleSince ??= performance.now()
    if (this.#isStopped || this.#timer !== undefined || idle.length <= this.#settings.keepThreads) return
    const oldest = Math.min(...idle.map((thread) => thread.idleSince ?? 0))
    const wait = Math.max(oldest + this.#settings.idleMs - performance.now(), 1)
    this.#timer = setTimeout(() => this.#end(threads), Math.min(wait, longestMs)).unref()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #end(threads: ReadonlySet<PoolThread>): void {
    this.#timer = undefined
    const due = performance.now() - this.#settings.idleMs
    // Those that were used last are kept.
    const oldestFirst = idleOf(threads).toSorted((a, b) => (a.idleSince ?? due) - (b.idleSince ?? due))
    const surplus = oldestFirst.slice(0, Math.max(oldestFirst.length - this.#settings.keepThreads, 0))
    for (const thread of surplus) if ((thread.idleSince ?? due + 1) <= due) void thread.end()
    this.watch(threads)
  }
}

function idleOf(threads: ReadonlySet<PoolThread>): PoolThread[] {
  return [...threads].filter((thread) => thread.placed.size === 0 && !thread.isEnding)
}
