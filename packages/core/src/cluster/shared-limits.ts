import { keyOf, wordsOf, type Limit } from '../engine/limit.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { Register } from '../ports/register.ts'
import { isSameLimit } from './limit-document.ts'
import { Pauses } from './pauses.ts'
import type { Peers } from './peers.ts'
import { keyPart } from './register-keys.ts'
import { SharedClaim, type SlotClaimant } from './shared-claim.ts'
import { SharedLimit, type SharedLimitHost } from './shared-limit.ts'

const prefix = 'limits.'

/** What the limits of a cluster are built on. */
export interface SharedLimitsHost {
  readonly register: Register
  readonly peers: Peers
  readonly clock: Clock
  readonly random: Random
  report(error: unknown): void
  /** For the log. */
  warn(message: string): void
}

/** The engine's own limits, which follow those of the cluster. */
export interface LimitsHere {
  /** A limit was set, changed or taken away, on any node. */
  defined(key: string, limit: Limit | undefined): void
  /** There may be room for runs that wait for it. */
  changed(key: string): void
  /** How many runs wait for it here. */
  waiting(key: string): number
}

/** The limits of a cluster, as one engine sees them. */
export class SharedLimits {
  #hasBegun = false
  #opening: Promise<void> | undefined
  readonly #host: SharedLimitsHost
  readonly #pauses: Pauses
  readonly #limits = new Map<string, SharedLimit>()
  readonly #keys = new Map<SharedLimit, string>()
  /** Limits whose entries in the register can't be read. */
  readonly #unreadable = new Set<SharedLimit>()
  #here: LimitsHere | undefined
  /** Limits that the engine was made with, until they are compared with those of the cluster. */
  readonly #given = new Map<string, Limit>()
  readonly #ends: (() => void)[] = []
  readonly #limitHost: SharedLimitHost

  constructor(host: SharedLimitsHost) {
    this.#host = host
    this.#pauses = new Pauses(host.clock, host.random)
    this.#limitHost = {
      ...host,
      report: (error) => host.report(error),
      defined: (limit) => this.#defined(limit),
      changed: (limit) => this.#tell(limit, (here, key) => here.changed(key)),
      waiting: (limit) => this.#here?.waiting(this.#keys.get(limit) ?? '') ?? 0,
      read: (limit, isReadable) =>
        void (isReadable ? this.#unreadable.delete(limit) : this.#unreadable.add(limit)),
    }
  }

  /** @param given - Limits that the engine was made with, by key: they are set for all nodes. */
  open(here: LimitsHere, given: ReadonlyMap<string, Limit>): void {
    this.#here = here
    for (const [key, limit] of given) this.#given.set(key, limit)
    if (given.size > 0) this.begin()
  }

  /** Resolves when the limits of the cluster are known; undefined from then on. Asking for it makes them known. */
  get opening(): Promise<void> | undefined {
    this.begin()
    return this.#opening
  }

  /** Whether each limit of the cluster can be read. */
  get isReadable(): boolean {
    return this.#unreadable.size === 0
  }

  /** Where a limit of one of these keys can't be read: resolves when it can be. */
  readable(keys: readonly string[]): Promise<void> | undefined {
    for (const key of keys) {
      const readable = this.#limits.get(prefix + keyPart(key))?.readable
      if (readable !== undefined) return readable
    }
    return undefined
  }

  /** Begins to follow the limits of the cluster. A node that runs nothing need not, and may not be allowed to. */
  begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    const { register, peers } = this.#host
    this.#ends.push(
      register.subscribe(prefix, (name) => this.#at(name).noticed()),
      peers.lost(() => {
        for (const limit of this.#limits.values()) limit.lookForGone()
      }),
    )
    this.#opening = this.#load()
  }

  /** The limit of a key, such as `tag db`. */
  of(key: string): SharedLimit {
    const limit = this.#at(prefix + keyPart(key))
    this.#keys.set(limit, key)
    return limit
  }

  claim(limits: readonly SharedLimit[], claimant: SlotClaimant): SharedClaim {
    return new SharedClaim(limits, claimant, this.#host)
  }

  /** Sets a limit for all nodes, or takes it away. */
  define(key: string, limit: Limit | undefined): void {
    this.begin()
    this.#given.delete(key)
    this.of(key).define(limit)
  }

  #at(name: string): SharedLimit {
    const limit = this.#limits.get(name) ?? new SharedLimit(name, this.#limitHost)
    this.#limits.set(name, limit)
    return limit
  }

  #tell(limit: SharedLimit, tell: (here: LimitsHere, key: string) => void): void {
    const key = this.#keys.get(limit)
    if (key !== undefined && this.#here !== undefined) tell(this.#here, key)
  }

  #defined(limit: SharedLimit): void {
    if (limit.limit !== undefined) this.#keys.set(limit, keyOf(limit.limit))
    this.#tell(limit, (here, key) => here.defined(key, limit.limit))
  }

  async #load(): Promise<void> {
    await this.#host.peers.ready
    for (;;) {
      try {
        const names = await this.#host.register.keys(prefix)
        await Promise.all(names.map((name) => this.#at(name).load()))
        break
      } catch (error) {
        await this.#pauses.failed(error, (what) => this.#host.report(what))
        if (this.#pauses.isStopped) return
      }
    }
    this.#opening = undefined
    for (const [key, limit] of this.#given) this.#setGiven(key, limit)
    this.#given.clear()
  }

  /** The last one who sets a limit wins; where that changes what another node set, it is said. */
  #setGiven(key: string, limit: Limit): void {
    const shared = this.of(key)
    if (shared.isBeingSet || isSameLimit(shared.limit, limit)) return
    if (shared.limit !== undefined) {
      const { node } = this.#host.peers
      const was = `it was ${wordsOf(shared.limit)}, set by ${shared.by ?? 'an unknown node'}`
      this.#host.warn(`the limit of ${key} is ${wordsOf(limit)} from now on, as ${node} was given it; ${was}`)
    }
    shared.define(limit)
    this.#here?.defined(key, limit)
  }

  /** What was given back is written. Resolves when it is. */
  async close(): Promise<void> {
    await Promise.all([...this.#limits.values()].map((limit) => limit.close()))
  }

  /** Lets go, written or not. */
  stop(): void {
    for (const end of this.#ends) end()
    this.#pauses.stop()
    for (const limit of this.#limits.values()) limit.stop()
  }
}
