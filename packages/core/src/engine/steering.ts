import type { History } from '../journal/history.ts'
import { cancelRun } from './cancel-run.ts'
import { readHistory } from './read-journal.ts'
import { cancelParked, replayParked } from './roots.ts'
import type { Run } from './run.ts'

/**
 * Cancels, pauses and resumes flow runs. What a paused run without a body is told is done on the base of all that its
 * journal says, and in the order in which it is told.
 */
export class Steering {
  readonly #last = new WeakMap<Run, Promise<void>>()
  readonly #report: (error: unknown, run: Run) => void

  constructor(report: (error: unknown, run: Run) => void) {
    this.#report = report
  }

  cancel(run: Run, reason: unknown): void {
    if (!run.isParked) cancelRun(run, reason)
    else {
      void this.#withHistory(run, (history) => cancelParked(run, history, reason)).then(() => {
        // Resumed before its turn came: it is cancelled like any other.
        if (!run.isParked) cancelRun(run, reason)
      })
    }
  }

  pause(run: Run): void {
    if (run.move({ type: 'pause' }, 'paused')) run.body?.hold()
  }

  async resume(run: Run): Promise<void> {
    if (run.stateName !== 'Paused') return
    if (run.isParked) await this.#withHistory(run, (history) => replayParked(run, history))
    else if (run.move({ type: 'resume' })) run.body?.goOn()
  }

  #withHistory(run: Run, act: (history: History) => void): Promise<void> {
    const before = this.#last.get(run) ?? Promise.resolve()
    const done = before
      .then(() => this.#read(run))
      .then((history) => {
        if (history !== undefined) act(history)
      })
      .catch((error: unknown) => this.#report(error, run))
    this.#last.set(run, done)
    return done
  }

  /** What the journal says when nothing is on its way to it; undefined where the run is not paused any more. */
  async #read(run: Run): Promise<History | undefined> {
    while (run.isParked && !run.ledger.lost) {
      await new Promise<void>((resolve) => run.ledger.whenSafe(resolve))
      const history = await readHistory(run.host.journal, run.id)
      if (history === undefined || !run.isParked) return undefined
      if (history.position >= run.ledger.newest) return history
    }
    return undefined
  }
}
