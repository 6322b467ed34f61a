import type { NodeInfo, RemoteHost } from '@troupe/core'

/** How often the workers are looked at, in milliseconds, while there are assignments, and as long as none is known. */
const staleMs = 5_000
const unknownMs = 250

/** The workers of one queue, as far as this node has looked. */
export class Workers {
  readonly #remote: RemoteHost
  readonly #queue: string
  #serving: readonly NodeInfo[] = []
  #lookedAt = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined

  constructor(remote: RemoteHost, queue: string) {
    this.#remote = remote
    this.#queue = queue
  }

  /** Looks again, if that is long ago, and does not wait for it. */
  lookSoon(): void {
    const afterMs = this.#serving.length === 0 ? unknownMs : staleMs
    if (this.#remote.clock.monotonic() - this.#lookedAt < afterMs) return
    // The next time it is there again.
    this.look().catch(() => undefined)
  }

  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined))
    return this.#looking
  }

  async #look(): Promise<void> {
    this.#lookedAt = this.#remote.clock.monotonic()
    const infos = await this.#remote.nodes.list()
    this.#serving = infos.filter(({ queues }) => queues[this.#queue] !== undefined)
  }

  get hasLooked(): boolean {
    return this.#lookedAt !== Number.NEGATIVE_INFINITY && this.#looking === undefined
  }

  get nodes(): readonly string[] {
    return this.#serving.map(({ node }) => node)
  }

  /** How many task runs a node executes at once. */
  concurrencyOf(node: string): number {
    return this.#serving.find((info) => info.node === node)?.queues[this.#queue] ?? 0
  }

  /** The least of what workers execute at once, 1 where that is not known: a message is not to hold more. */
  get leastConcurrency(): number {
    const each = this.#serving.map(({ queues }) => queues[this.#queue] ?? 1)
    return each.length === 0 ? 1 : Math.min(...each)
  }
}
