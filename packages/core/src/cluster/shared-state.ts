import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { Station } from '../ports/transport.ts'
import { within } from '../runs/deadline.ts'
import { Locks, type LocksHost } from './locks.ts'
import { Peers } from './peers.ts'
import { SharedFlights } from './shared-flights.ts'
import { SharedLimits } from './shared-limits.ts'

/** The engine that is one of them. */
export interface SharedStateHost {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly bulletin: { report(error: unknown, run: undefined): void; warn(message: string): void }
}

/** How long limits may take to be given back when an engine closes. */
const flushMs = 1_000

/** What the engines of a cluster decide together, as one of them sees it. */
export class SharedState {
  readonly limits: SharedLimits
  readonly flights: SharedFlights
  /** For whoever needs to be the only one. */
  readonly locks: Locks
  readonly #flightLocks: Locks
  readonly #peers: Peers
  readonly #clock: Clock

  constructor({ register, nodes }: Pick<Station, 'register' | 'nodes'>, host: SharedStateHost) {
    const { clock, random, node } = host
    this.#clock = clock
    this.#peers = new Peers(nodes, node, random)
    const report = (error: unknown): void => host.bulletin.report(error, undefined)
    const parts: LocksHost = { register, peers: this.#peers, clock, random, report }
    this.limits = new SharedLimits({ ...parts, warn: (message) => host.bulletin.warn(message) })
    this.locks = new Locks('locks.', parts)
    this.#flightLocks = new Locks('flights.', parts)
    this.flights = new SharedFlights(this.#flightLocks, clock)
  }

  /** The others know this engine: from now on it may write. */
  start(): void {
    this.#peers.arrived()
  }

  /** Its runs have given back what they had: that is written, if the transport answers. */
  async close(): Promise<void> {
    if (this.#peers.ready === undefined) await within(this.#clock, flushMs, this.limits.close())
    this.limits.stop()
    this.locks.stop()
    this.#flightLocks.stop()
  }
}
