import { TroupeError } from '../base/errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { TransportHost } from '../ports/transport.ts'

/** How long what was told is not told again, in milliseconds. */
const silenceMs = 60_000
/** How many different ones are remembered. */
const mostKnown = 100

/** What a transport reports, the same once a minute: where servers are down, all that is tried meanwhile fails alike. */
class Complaints {
  readonly #clock: Clock
  readonly #told = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether it is to be told. */
  isNew(error: unknown): boolean {
    const words = TroupeError.is(error) ? `${error.code} ${error.message}` : String(error)
    const now = this.#clock.monotonic()
    const last = this.#told.get(words)
    if (last !== undefined && now - last < silenceMs) return false
    this.#told.delete(words)
    this.#told.set(words, now)
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= mostKnown) break
      this.#told.delete(oldest)
    }
    return true
  }
}

interface Host extends Omit<TransportHost, 'report' | 'cutOff'> {
  readonly closing: boolean
  /** Whether the others know of the node. */
  readonly isThere: boolean
  report(error: unknown, run: undefined, what: string): void
}

/** The engine as its transport sees it. */
export function transportHost(host: Host, cutOff: (error: unknown) => void): TransportHost {
  const { node, clock, random } = host
  const complaints = new Complaints(clock)
  return {
    node,
    clock,
    random,
    report(error) {
      // What keeps it from being there at all is told by that.
      if (host.isThere && !host.closing && complaints.isNew(error))
        host.report(error, undefined, 'trouble with the transport')
    },
    cutOff,
  }
}
