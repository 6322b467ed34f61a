import type { RemoteHost } from '@troupe/core'
import type { Settings } from './options.ts'
import { readAgain, type Placed } from './placed.ts'
import type { Workers } from './workers.ts'

/** How often it is looked for what was lost on its way, in milliseconds: the second look at the latest finds it. */
const sweepMs = 7_500
/** How much of a queue is looked at. */
const mostIds = 10_000

interface SweepHost {
  readonly remote: RemoteHost
  readonly settings: Settings
  readonly workers: Workers
  readonly placed: ReadonlyMap<string, Placed>
  readonly pool: { report(error: unknown): void }
  offerAgain(placed: Placed): void
  check(placed: readonly Placed[]): void
  announce(placed: readonly Placed[]): void
}

/**
 * Looks now and then for attempts of which nothing was heard: what was offered and is nowhere is offered again; what has begun
 * is asked for; and of what waits under another owner's name the workers are told whose it is.
 */
export class Sweep {
  readonly #host: SweepHost
  #stop: (() => void) | undefined

  constructor(host: SweepHost) {
    this.#host = host
  }

  start(): void {
    if (this.#stop !== undefined) return
    const { clock } = this.#host.remote
    this.#stop = clock.at(clock.now() + sweepMs, () => {
      this.#stop = undefined
      void this.#sweep()
    })
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  async #sweep(): Promise<void> {
    try {
      await this.#host.workers.look()
      await this.#offerMissing()
    } catch (error) {
      this.#host.pool.report(error)
    }
    const old = this.#old
    this.#host.check(old(({ state }) => state === 'begun' || state === 'granted'))
    const foreign = old(({ state, sent }) => state === 'offered' && sent.at(-1)?.isForeign === true)
    if (foreign.length > 0) this.#host.announce(foreign)
    if (this.#host.placed.size > 0) this.start()
  }

  /** Those of which nothing was heard since the last time. */
  readonly #old = (wanted: (placed: Placed) => boolean): Placed[] => {
    const due = this.#host.remote.clock.monotonic() - sweepMs
    return [...this.#host.placed.values()].filter((placed) => placed.heardAt <= due && wanted(placed))
  }

  async #offerMissing(): Promise<void> {
    const { remote, settings } = this.#host
    const due = remote.clock.monotonic() - sweepMs
    const isDue = ({ state, sent }: Placed): boolean =>
      state === 'offered' && sent.length > 0 && sent.every(({ at }) => at <= due)
    if (![...this.#host.placed.values()].some(isDue)) return
    const { ids, count } = await remote.queue.pending({ of: 'task', name: settings.queue }, mostIds)
    // One that is not among the first may be among the others.
    if (count > ids.length) return
    const there = new Set(ids)
    const missing = [...this.#host.placed.values()].filter(
      (placed) => isDue(placed) && !placed.sent.some(({ id }) => there.has(id)),
    )
    // It is in no queue any more where its worker has reported it.
    await readAgain(remote, missing)
    for (const placed of missing) this.#host.offerAgain(placed)
  }
}
