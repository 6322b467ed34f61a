import type { RemoteHost } from '@troupe/core'
import { flowRunIdOf, type AttemptName, type Verdict } from '@troupe/core/internal'
import { keyOf, type Placed } from './placed.ts'

/** How long after a flow run came here its attempts may still come, in milliseconds. */
const arrivalMs = 10_000

interface VerdictsHost {
  readonly remote: RemoteHost
  readonly placed: ReadonlyMap<string, Placed>
  /** From now on it is that worker's. @returns False where the run has ended meanwhile */
  give(placed: Placed, node: string): boolean
  lost(placed: Placed, why: string): void
}

/** Says whether bodies may begin, to workers that ask. */
export class Verdicts {
  readonly #host: VerdictsHost
  /** When flow runs came here from another owner, by the monotonic clock. */
  readonly #arrivals = new Map<string, number>()

  constructor(host: VerdictsHost) {
    this.#host = host
  }

  /** A flow run has come from another owner. */
  arrived(flowRunId: string): void {
    const now = this.#host.remote.clock.monotonic()
    this.#arrivals.delete(flowRunId)
    this.#arrivals.set(flowRunId, now)
    for (const [oldest, at] of this.#arrivals) {
      if (now - at <= arrivalMs) break
      this.#arrivals.delete(oldest)
    }
  }

  /** May a worker begin it? Resolves when the journal has what the answer says. */
  async mayBegin(
    [runId, attempt]: AttemptName,
    { node, session }: { readonly node: string; readonly session: string },
  ): Promise<Verdict> {
    const host = this.#host
    const placed = host.placed.get(keyOf(runId, attempt))
    // What this pool does not know of its own offers is over.
    if (placed === undefined) return this.#isArriving(runId) ? 'later' : 'drop'
    if (placed.state === 'gathered') return 'later'
    if (placed.state === 'offered') {
      placed.session = session
      if (!host.give(placed, node)) return 'drop'
    }
    // It was told so before, and did not hear it.
    const isIts = placed.state === 'granted' && placed.node === node && placed.session === session
    if (!isIts) return this.#isRestarted(placed, node, session)
    placed.heardAt = host.remote.clock.monotonic()
    await new Promise<void>((resolve) => placed.assignment.whenSafe(resolve))
    return host.placed.get(placed.key) === placed ? 'run' : 'drop'
  }

  /** A worker that does not know that it has it already has lost it. */
  #isRestarted(placed: Placed, node: string, session: string): Verdict {
    if (placed.node === node && placed.session !== undefined && placed.session !== session)
      this.#host.lost(placed, `worker ${node} was started anew`)
    return 'drop'
  }

  #isArriving(runId: string): boolean {
    const at = this.#arrivals.get(flowRunIdOf(runId))
    return at !== undefined && this.#host.remote.clock.monotonic() - at <= arrivalMs
  }
}
