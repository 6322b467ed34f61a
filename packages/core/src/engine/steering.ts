import { UsageError } from '../base/errors.ts'
import type { History, RecordedRun } from '../journal/history.ts'
import type { Given, Signal, Target } from '../runs/current-body.ts'
import { cancelRun } from './cancel-run.ts'
import { endRemembered } from './ending.ts'
import { giveInput, goOnFrom, pauseFor, untilBack, waitsForInput } from './inputs.ts'
import { inboxOf } from './inbox.ts'
import { historyOf } from './read-again.ts'
import { cancelParked, replayParked } from './roots.ts'
import { inputNeededError, signalEndedError } from './run-errors.ts'
import type { Run } from './run.ts'
import type { Identified } from './steer.ts'

interface SteeringHost {
  readonly closed: boolean
  readonly refusal: unknown
  report(error: unknown, run: Run): void
}

/**
 * Cancels, pauses and resumes flow runs, and sends them messages. What a run without a body is told is done on the base of
 * all that its journal says, and in the order in which it is told.
 */
export class Steering {
  readonly #last = new WeakMap<Run, Promise<void>>()
  readonly #host: SteeringHost
  readonly #others: { foreign(run: Run): Target }

  /** @param others - How runs are seen that another engine has. */
  constructor(host: SteeringHost, others: { foreign(run: Run): Target }) {
    this.#host = host
    this.#others = others
  }

  /** The run as another engine has it, where this one lost it. @throws what runs of a closed engine are abandoned with */
  elsewhere(run: Run): Target | undefined {
    if (run.settled || !run.ledger.lost) return undefined
    if (!this.#host.closed) return this.#others.foreign(run)
    throw (
      this.#host.refusal ??
      new UsageError('ENGINE_CLOSED', `the engine of ${run.runName} (${run.id}) is closed`)
    )
  }

  cancel(run: Run, reason: unknown): Promise<void> | undefined {
    const recorded = run.rare?.recorded as RecordedRun | undefined
    // Its body has not come back yet.
    if (recorded !== undefined && !run.ended) endRemembered(run, recorded, reason)
    else if (run.isParked) return this.#cancelParked(run, reason)
    else cancelRun(run, reason)
    return undefined
  }

  async #cancelParked(run: Run, reason: unknown): Promise<void> {
    await this.#withHistory(run, (history) => cancelParked(run, history, reason))
    // Resumed before its turn came: it is cancelled like any other.
    if (!run.isParked) cancelRun(run, reason)
  }

  async pause(run: Run): Promise<void> {
    // After what it was told before, where that is still to be done.
    if (run.isParked) await this.#last.get(run)
    // One that would go on by itself is brought back first, so that its journal tells of the pause.
    if (run.isParked && run.rare?.pausedFor === 'wait') await this.#replay(run)
    if (run.stateName === 'Recovering') await untilBack(run)
    if (run.stateName === 'Paused' || run.stateName === 'Suspended') run.rarely.isHeld = true
    else pauseFor(run, undefined, 'paused')
  }

  /** @throws RunError `INVALID_INPUT`, `NO_INPUT_EXPECTED`; CodecError `NOT_ENCODABLE` */
  async resume(run: Run, given: Identified<Given> | undefined): Promise<void> {
    if (given !== undefined) {
      await giveInput(run, given, () => this.#replay(run))
      return
    }
    const isPaused = run.stateName === 'Paused' || run.stateName === 'Suspended'
    if (!isPaused) return
    const { rarely } = run
    // Whoever paused it lets it go; that it waits for its input, nobody can change.
    rarely.isHeld = false
    if (rarely.pausedFor === 'input') throw inputNeededError(run)
    if (run.isParked) await this.#replay(run)
    else goOnFrom(run)
  }

  /** @throws RunError `RUN_ENDED`; CodecError `NOT_ENCODABLE` */
  signal(run: Run, { name, payload, id }: Identified<Signal>): void {
    // The body that sends is replayed, and sent it before.
    if (inboxOf(run).knows(id)) return
    if (run.ended) throw signalEndedError(run, name)
    const saved = run.host.values.save(payload, 'payload')
    inboxOf(run).arrive({ id, for: 'signal', name, payload: saved })
    if (run.rare?.parked?.wakesOn(name) === true) this.wake(run)
  }

  /** A body waits for an input. */
  asked(run: Run): void {
    pauseFor(run, 'input', waitsForInput)
  }

  /** What the body of a run waits for, which was let go, may be there. */
  wake(run: Run): void {
    void this.#replay(run)
  }

  #replay(run: Run): Promise<void> {
    return this.#withHistory(run, (history) => replayParked(run, history))
  }

  #withHistory(run: Run, act: (history: History) => void): Promise<void> {
    const before = this.#last.get(run) ?? Promise.resolve()
    const done = before
      .then(() => this.#read(run))
      .then((history) => {
        if (history !== undefined) act(history)
      })
      .catch((error: unknown) => this.#host.report(error, run))
    this.#last.set(run, done)
    return done
  }

  /** What the journal says when nothing is on its way to it; undefined where the run is not paused any more. */
  async #read(run: Run): Promise<History | undefined> {
    while (run.isParked && !run.ledger.lost) {
      const history = await historyOf(run)
      if (history === undefined || !run.isParked) return undefined
      if (history.position >= run.ledger.newest) return history
    }
    return undefined
  }
}
