import type { PauseReason } from '../journal/entries.ts'
import type { History } from '../journal/history.ts'
import { earliest } from './earliest.ts'
import type { Parking } from './rare.ts'
import type { Run } from './run.ts'

/** What makes a run go on whose body was let go. */
export interface Wakes {
  /** Wall time; undefined where no time does. */
  readonly deadline: number | undefined
  /** Names of the signals that do. */
  readonly signals: ReadonlySet<string>
}

class Parked implements Parking {
  readonly #pausedFor: PauseReason | undefined
  readonly #signals: ReadonlySet<string>
  readonly #stop: (() => void) | undefined

  /** @param pausedFor - Undefined where only `resume()` makes it go on. */
  constructor(run: Run, pausedFor: PauseReason | undefined, { deadline, signals }: Wakes) {
    this.#pausedFor = pausedFor
    this.#signals = signals
    if (pausedFor === undefined || deadline === undefined) return
    this.#stop = run.host.clock.at(deadline, () => run.host.steering.wake(run))
  }

  wakesOn(name: string | undefined): boolean {
    return this.#pausedFor === 'wait' && name !== undefined && this.#signals.has(name)
  }

  stop(): void {
    this.#stop?.()
  }
}

export const never: Wakes = { deadline: undefined, signals: new Set() }

/** The body of a run that is Paused or Suspended is gone. */
export function park(run: Run, wakes: Wakes): void {
  const { rarely } = run
  rarely.parked?.stop()
  rarely.parked = new Parked(run, rarely.pausedFor, wakes)
}

/** It goes on, or has ended. */
export function unpark({ rare }: Run): void {
  if (rare?.parked === undefined) return
  rare.parked.stop()
  rare.parked = undefined
}

/**
 * Keeps a run that its journal shows Paused or Suspended, without a body.
 *
 * @param held - Whether it is not to go on by itself, whatever it was paused for.
 */
export function parkRestored(run: Run, history: History, held = false): void {
  const { root, waits, messages } = history
  const { pausedFor, tryFrom, startedAt, pausedMs } = root
  const pending = waits.filter(
    ({ woken, entry }) => woken === undefined && entry.run === 0 && entry.attempt >= tryFrom,
  )
  const { timeoutMs } = run.definition.settings
  const limit = pausedFor === 'wait' && timeoutMs !== undefined ? startedAt + pausedMs + timeoutMs : undefined
  const deadline = earliest([limit, ...pending.map(({ entry }) => entry.deadline)])
  const signals = new Set<string>()
  for (const { entry } of pending) if (entry.name !== undefined) signals.add(entry.name)
  const isAsking = pending.some(({ entry }) => entry.for === 'input')
  // One that is not to go on by itself waits for `resume()`.
  run.rarely.pausedFor = held && !isAsking ? undefined : pausedFor
  park(run, { deadline, signals })
  const isThere = messages.some(
    ({ entry, takenBy }) => takenBy < tryFrom && run.rare?.parked?.wakesOn(entry.name) === true,
  )
  // The input came, and the run was about to go on.
  const goesOn = pausedFor === 'input' && !isAsking && !held
  if (isThere || goesOn) run.host.clock.turn(() => run.host.steering.wake(run))
}
