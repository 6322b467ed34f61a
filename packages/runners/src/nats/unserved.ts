import { RunError, type PoolHost, type RemoteHost } from '@troupe/core'
import type { Settings } from './options.ts'
import type { Placed } from './placed.ts'
import type { Workers } from './workers.ts'

interface UnservedHost {
  readonly pool: PoolHost
  readonly remote: RemoteHost
  readonly settings: Settings
  readonly workers: Workers
  readonly placed: ReadonlyMap<string, Placed>
}

/** Tasks that no worker has: their runs wait, and people should know why. */
export class Unserved {
  readonly #host: UnservedHost
  /** Workers that said so, by the name and the version of the task. */
  readonly #missing = new Map<string, Set<string>>()
  readonly #reported = new Set<string>()

  constructor(host: UnservedHost) {
    this.#host = host
  }

  missing({
    node,
    task,
    version,
  }: {
    readonly node: string
    readonly task: string
    readonly version: string
  }): void {
    const key = wordsFor(task, version)
    let nodes = this.#missing.get(key)
    if (nodes === undefined) this.#missing.set(key, (nodes = new Set()))
    nodes.add(node)
    void this.#look(key)
  }

  async #look(key: string): Promise<void> {
    const { workers, pool, settings } = this.#host
    try {
      await workers.look()
    } catch {
      // It is said again.
      return
    }
    if (!this.#isMissing(key) || this.#reported.has(key)) return
    this.#reported.add(key)
    const message = `no worker of queue ${JSON.stringify(settings.queue)} has ${key}; its runs wait until one has`
    pool.report(new RunError('NO_WORKER', message, { details: { queue: settings.queue } }))
  }

  #isMissing(key: string): boolean {
    const nodes = this.#missing.get(key)
    return nodes !== undefined && this.#host.workers.nodes.every((node) => nodes.has(node))
  }

  /** A worker has begun a run of it. */
  served({ assignment: { task } }: Placed): void {
    if (this.#missing.size === 0) return
    const key = wordsFor(task.origin.name, task.origin.version)
    this.#missing.delete(key)
    this.#reported.delete(key)
  }

  /** What keeps runs from beginning, in words. */
  obstacles(): readonly string[] {
    const { workers, placed, settings } = this.#host
    const queue = JSON.stringify(settings.queue)
    const waiting = new Map<string, number>()
    for (const { state, assignment } of placed.values()) {
      if (state !== 'offered') continue
      const key = wordsFor(assignment.task.origin.name, assignment.task.origin.version)
      waiting.set(key, (waiting.get(key) ?? 0) + 1)
    }
    const total = [...waiting.values()].reduce((sum, count) => sum + count, 0)
    if (total > 0 && workers.hasLooked && workers.nodes.length === 0)
      return [`no worker takes from queue ${queue}; ${total} task runs wait`]
    return [...waiting]
      .filter(([key]) => this.#isMissing(key))
      .map(([key, count]) => `no worker of queue ${queue} has ${key}; ${count} task runs wait`)
  }
}

function wordsFor(task: string, version: string): string {
  return `task ${task} (version ${version})`
}
