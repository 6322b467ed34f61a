import type { OperatorFunction, Subscriber } from 'rxjs'
import { toMilliseconds, type Duration } from '../base/duration.ts'
import { isTerminal, namesOfStates, type StateName, type StateType } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import { systemClock } from '../ports/system-clock.ts'
import { lifted, type Operating } from './lifted.ts'
import type { Transition } from './transition.ts'

/** A run that has been in one state for long. @public */
export interface Stuck {
  /** The transition into the state in which it is. */
  readonly transition: Transition
  /** For how long it has been there, in milliseconds. */
  readonly forMs: number
}

/** @public */
export interface StuckOptions {
  /** Names or types of the states that count; default all that are not terminal. */
  readonly states?: StateName | StateType | readonly (StateName | StateType)[]
  /** Time; default this machine's, which keeps no process alive for it. */
  readonly clock?: Clock
  /**
   * How long to wait for the next transition of a run whose time was over when it was heard of, or that was there before the
   * subscription; counted anew while such ones come. Default `'1s'`.
   */
  readonly settle?: Duration
}

/**
 * Tells of runs that have been in one state for longer than a duration: once for each stay, as soon as it is longer. It goes by `at`, so
 * it may be given a history that goes on live, such as `engine.watch()`: what is over by now is not told of.
 *
 * It holds one transition for each run that has not ended and was not told of.
 *
 * @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function stuckLongerThan(
  duration: Duration,
  { states, clock, settle = 1_000 }: StuckOptions = {},
): OperatorFunction<Transition, Stuck> {
  const settings = {
    ms: toMilliseconds(duration, 'duration'),
    settleMs: toMilliseconds(settle, 'settle'),
    counting: countingOf(states),
  }
  return lifted((to) => new Stays(to, clock ?? systemClock({ keepsAlive: false }), settings))
}

function countingOf(states: StuckOptions['states']): ReadonlySet<StateName> | undefined {
  if (states === undefined) return undefined
  return new Set(namesOfStates(typeof states === 'string' ? [states] : states, 'states'))
}

interface Settings {
  readonly ms: number
  readonly settleMs: number
  readonly counting: ReadonlySet<StateName> | undefined
}

interface Stay {
  readonly transition: Transition
  takeBack: () => void
}

/** Stays that are not over, and were not told of. */
class Stays implements Operating<Transition> {
  readonly #to: Subscriber<Stuck>
  readonly #clock: Clock
  readonly #settings: Settings
  /** By run. */
  readonly #stays = new Map<string, Stay>()
  /** What was recorded before is history: its next transition may be about to be read. */
  readonly #beginning: number
  /** Monotonic time at which the history has come to rest, as far as is known. */
  #restsAt = 0

  constructor(to: Subscriber<Stuck>, clock: Clock, settings: Settings) {
    this.#to = to
    this.#clock = clock
    this.#settings = settings
    this.#beginning = clock.now()
  }

  next(transition: Transition): void {
    const { runId, seq, to, at } = transition
    const { ms, settleMs, counting } = this.#settings
    const before = this.#stays.get(runId)
    // Of a stream that is merged of several, the older one may come later.
    if (before !== undefined && before.transition.seq >= seq) return
    if (before !== undefined) this.#end(runId, before)
    const isHistory = at < this.#beginning
    if (isHistory) this.#restsAt = this.#clock.monotonic() + settleMs
    if (isTerminal(to.name) || counting?.has(to.name) === false) return
    const now = this.#clock.now()
    const isLate = at + ms <= now
    const stay: Stay = { transition, takeBack: () => undefined }
    this.#stays.set(runId, stay)
    this.#wait(stay, isLate ? now + settleMs : at + ms, isLate || isHistory)
  }

  stop(): void {
    for (const [runId, stay] of this.#stays) this.#end(runId, stay)
  }

  /** @param rests - Whether the history is to have come to rest first. */
  #wait(stay: Stay, deadline: number, rests: boolean): void {
    const clock = this.#clock
    stay.takeBack = clock.at(deadline, () => {
      const unrest = this.#restsAt - clock.monotonic()
      if (rests && unrest > 0) return this.#wait(stay, clock.now() + unrest, true)
      const { transition } = stay
      this.#stays.delete(transition.runId)
      this.#to.next({ transition, forMs: Math.max(clock.now() - transition.at, this.#settings.ms) })
    })
  }

  #end(runId: string, stay: Stay): void {
    stay.takeBack()
    this.#stays.delete(runId)
  }
}
