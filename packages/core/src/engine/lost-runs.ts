import { RunError } from '../base/errors.ts'
import { isTerminal } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { History } from '../journal/history.ts'
import { endSubflows, failRemembered, unfinishedBelow } from './ending.ts'
import { readEndEntry, readSubmitted, type EndReader } from './ends.ts'
import type { Presence } from './presence.ts'
import { readHistory } from './read-journal.ts'
import { restoreRoot } from './restore.ts'
import type { ResultCache } from './result-cache.ts'
import { conflictError, takeOver } from './roots.ts'
import type { Run } from './run.ts'

/** How often it is tried to end what is below a run that fails. */
const mostTries = 5

interface Host {
  readonly clock: Clock
  readonly closed: boolean
  readonly ends: EndReader
  readonly results: ResultCache
  readonly liveRuns: Iterable<Run>
  readonly watching: { givenUp(flowRunId: string): void }
  /** It is not live here any more. */
  forget(run: Run): void
}

/** Runs that this engine lost to another one, or may have: it lets go of them, and follows them to where they go on. */
export class LostRuns {
  readonly #host: Host
  readonly #presence: Presence
  /** Flow runs that it let go of, until it is clear whose they are. */
  readonly #following = new Set<string>()
  /** Flow runs whose journals are to be told that they have failed. */
  readonly #failing = new Set<string>()

  constructor(host: Host, presence: Presence) {
    this.#host = host
    this.#presence = presence
  }

  /** Whether it is to become clear whose a flow run is, or that is about to be told that it has failed. */
  follows(flowRunId: string): boolean {
    return this.#following.has(flowRunId) || this.#failing.has(flowRunId)
  }

  /** Others count this node as gone: what runs here may go on elsewhere by now. */
  cutOff(): void {
    for (const run of this.#host.liveRuns) {
      // One that the journal does not have yet is nobody else's.
      if (run.caller !== undefined || run.ledger.position === 0) continue
      run.ledger.abandon()
      this.#lost(run)
    }
  }

  /** Its journal takes nothing more. @param tooLarge - Given where it can't take what the run has to say. */
  refused(root: Run, tooLarge: unknown): void {
    if (tooLarge === undefined) this.#lost(root)
    else this.#tooLarge(root, tooLarge)
  }

  /** Another writer was there before, or may have been: lets go of the run. */
  #lost(root: Run): void {
    const { id: flowRunId, runName } = root
    const message = `${runName} (${flowRunId}) goes on on another node`
    this.#leave(root, new RunError('OWNERSHIP_LOST', message, { details: { flowRunId } }))
    if (!this.#failing.has(flowRunId)) void this.#follow(root)
  }

  /**
   * The journal can't take what the run has to say, and never will: the run fails. Where it has a journal, that tells so in place of
   * what was too large.
   */
  #tooLarge(root: Run, error: unknown): void {
    this.#leave(root, error)
    // Not even that it has failed.
    if (this.#failing.delete(root.id)) return
    if (root.ledger.position === 0) this.#refuse(root, error)
    else void this.#fail(root, error)
  }

  async #fail(root: Run, error: unknown): Promise<void> {
    const { ends } = this.#host
    const { host, id } = root
    this.#failing.add(id)
    try {
      const history = await this.#endBelow(root, error)
      if (!isTerminal(history.root.stateName)) {
        const run = restoreRoot(host, history, root.definition, undefined)
        // Whoever holds the other one hears of it.
        run.looked = true
        run.ledger.claim()
        failRemembered(run, history.root, error)
        await new Promise<void>((resolve) => run.ledger.whenSafe(resolve))
        if (!this.#failing.has(id)) throw error
      }
      root.endedElsewhere(await readEndEntry(ends, id))
    } catch (failure) {
      host.report(failure, root)
      this.#refuse(root, error)
    } finally {
      this.#failing.delete(id)
    }
  }

  /** Ends the subflows of a run that left. Resolves with what its journal says when they have ended. */
  async #endBelow(root: Run, error: unknown): Promise<History> {
    const { host, id } = root
    for (let tries = 0; ; tries++) {
      const history = await readHistory(this.#host.ends.journal, id)
      if (history === undefined) throw error
      const below = unfinishedBelow(history)
      // Where another node goes on with them, the run is that one's, too.
      if (below.length === 0 || tries === mostTries) return history
      for (const flowRunId of below) this.#failing.add(flowRunId)
      endSubflows(host, history, error)
      // Where the last append of one was still on its way, what was read is not all of it.
      for (const flowRunId of below) {
        const run = host.rootOf(flowRunId)
        if (run !== undefined) await new Promise<void>((resolve) => run.ledger.whenSafe(resolve))
        if (!this.#failing.delete(flowRunId)) throw error
      }
    }
  }

  #refuse(root: Run, error: unknown): void {
    root.refuse(error)
    if (root.ledger.position === 0) this.#host.watching.givenUp(root.id)
  }

  /** Neither it nor what is below it is here any more. */
  #leave(root: Run, error: unknown): void {
    const host = this.#host
    root.letGo(error)
    host.results.lost(root.ledger)
    host.forget(root)
    // Its subflows go where it goes.
    for (const run of host.liveRuns) {
      if (run === root || !run.descendsFrom(root)) continue
      run.ledger.abandon()
      host.results.lost(run.ledger)
      run.abandon(error)
      host.forget(run)
    }
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
      else this.#refuse(root, conflictError(root.id, root.definition.name))
    } catch (error) {
      this.#refuse(root, error)
    } finally {
      this.#following.delete(root.id)
    }
  }
}
