import { RunError } from '../base/errors.ts'
import type { Clock } from '../ports/clock.ts'
import { readEndEntry, readSubmitted, type EndReader } from './ends.ts'
import type { Ledger } from './ledger.ts'
import type { Presence } from './presence.ts'
import type { ResultCache } from './result-cache.ts'
import { conflictError, takeOver } from './roots.ts'
import type { Run } from './run.ts'

interface Host {
  readonly clock: Clock
  readonly closed: boolean
  readonly ends: EndReader
  readonly results: ResultCache
  readonly liveRuns: Iterable<Run>
  /** It is not live here any more. */
  forget(run: Run): void
}

/** Runs that this engine lost to another one, or may have: it lets go of them, and follows them to where they go on. */
export class LostRuns {
  readonly #host: Host
  readonly #presence: Presence
  /** Flow runs that it let go of, until it is clear whose they are. */
  readonly #following = new Set<string>()

  constructor(host: Host, presence: Presence) {
    this.#host = host
    this.#presence = presence
  }

  /** Whether it is to become clear whose a flow run is. */
  follows(flowRunId: string): boolean {
    return this.#following.has(flowRunId)
  }

  /** Others count this node as gone: what runs here may go on elsewhere by now. */
  cutOff(): void {
    for (const run of this.#host.liveRuns) {
      // One that the journal does not have yet is nobody else's.
      if (run.caller !== undefined || run.ledger.position === 0) continue
      run.ledger.abandon()
      this.lost(run, run.ledger)
    }
  }

  /** Another writer was there before, or may have been: lets go of the run. */
  lost(root: Run, { flowRunId }: Ledger): void {
    const host = this.#host
    const message = `${root.runName} (${root.id}) goes on on another node`
    const error = new RunError('OWNERSHIP_LOST', message, { details: { flowRunId } })
    root.letGo(error)
    host.results.lost(root.ledger)
    host.forget(root)
    // The other node has its subflows, too.
    for (const run of host.liveRuns) {
      if (run === root || !run.descendsFrom(root)) continue
      run.ledger.abandon()
      host.results.lost(run.ledger)
      run.abandon(error)
      host.forget(run)
    }
    void this.#follow(root)
  }

  async #follow(root: Run): Promise<void> {
    const { ends } = this.#host
    this.#following.add(root.id)
    try {
      // Where this node counts as gone, those who are there go first.
      await this.#presence.again(this.#host)
      await takeOver(root)
      this.#following.delete(root.id)
      const { name, parametersHash } = await readSubmitted(ends, root.id)
      const same = name === root.definition.name && parametersHash === root.ledger.parametersHash
      if (same) root.endedElsewhere(await readEndEntry(ends, root.id))
      else root.refuse(conflictError(root.id, root.definition.name))
    } catch (error) {
      root.refuse(error)
    } finally {
      this.#following.delete(root.id)
    }
  }
}
