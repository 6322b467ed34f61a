import { TroupeError, type Clock, type Register, type Registered } from '@troupe/core'

/** Without a renewal for so long the one who holds it is taken to be gone. */
const goneAfterMs = 180_000

/**
 * Work that one of the nodes does, and another one where that one is gone. Two at once do no harm, and do not last: the clocks of two
 * machines are not compared, only how long this node has seen no renewal.
 */
export class Lease {
  readonly #register: Register
  readonly #key: string
  readonly #node: string
  readonly #clock: Clock
  #seen: { readonly revision: number; readonly since: number } | undefined
  #held = 0

  constructor(parts: {
    readonly register: Register
    readonly key: string
    readonly node: string
    readonly clock: Clock
  }) {
    this.#register = parts.register
    this.#key = parts.key
    this.#node = parts.node
    this.#clock = parts.clock
  }

  /**
   * Takes or renews it.
   *
   * @returns The time of the store's clock, or one before, where this node has it; else undefined
   */
  async take(): Promise<number | undefined> {
    const found = await this.#register.get(this.#key)
    if (found !== undefined && found.revision !== this.#held && !this.#isStale(found)) return undefined
    let revision: number | undefined
    try {
      revision = await this.#register.put(
        this.#key,
        new TextEncoder().encode(this.#node),
        found?.revision ?? 0,
      )
    } catch (error) {
      // Nothing is stored any more, and the work may be what makes room.
      if (TroupeError.is(error) && error.details['reason'] === 'full') return found?.writtenAt ?? 0
      throw error
    }
    this.#held = revision ?? 0
    if (revision === undefined) return undefined
    return (await this.#register.get(this.#key))?.writtenAt
  }

  /** Lets another one have it at once. */
  async release(): Promise<void> {
    if (this.#held === 0) return
    await this.#register.delete(this.#key, this.#held)
    this.#held = 0
  }

  #isStale({ revision }: Registered): boolean {
    const now = this.#clock.monotonic()
    if (this.#seen?.revision !== revision) this.#seen = { revision, since: now }
    return now - this.#seen.since >= goneAfterMs
  }
}
