import type { Clock } from '../ports/clock.ts'
import type { BodyWaits } from './body-waits.ts'
import { earliest } from './earliest.ts'
import type { Handover } from './handover.ts'
import { suspendedError } from './run-errors.ts'
import type { Run } from './run.ts'
import { park } from './wakes.ts'

/** What a run that is suspended waits for. */
const reasons = {
  input: 'waits for an input',
  wait: 'waits for a time or a signal',
  resume: 'paused',
} as const

/** The attempt of a flow whose body may come to wait for long. */
interface Resting {
  readonly run: Run
  readonly host: { readonly clock: Clock; readonly suspendAfterMs: number | undefined }
  readonly begun: boolean
  /** Whether the body has ended, or its run goes on without it. */
  readonly isOver: boolean
  readonly liveChildren: number
  readonly waits: BodyWaits
  readonly handover: Handover
  readonly deadline: number | undefined
}

/**
 * Lets go of a body that only waits: for a time, a message, or the end of a pause. It is replayed when that is there, so that
 * a run that waits for a month costs a record, not a body. Whether a body does anything else, such as I/O of its own, can't be
 * seen: it counts as waiting when its journal has told nothing new of it for as long as the engine says.
 */
export class RestWatch {
  readonly #attempt: Resting
  /** Position of the newest entry when it was looked at last. */
  #newest = 0
  #stop: (() => void) | undefined

  constructor(attempt: Resting) {
    this.#attempt = attempt
  }

  /** The body may rest from now on. */
  rests(): void {
    const { host, run } = this.#attempt
    // A body that must not run twice is not replayed.
    const isKept = host.suspendAfterMs === undefined || run.definition.settings.onHostLost === 'crash'
    if (this.#stop !== undefined || isKept) return
    this.#newest = run.ledger.newest
    this.#stop = host.clock.at(host.clock.now() + host.suspendAfterMs, () =>
      this.#look(host.suspendAfterMs ?? 0),
    )
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  #look(afterMs: number): void {
    this.#stop = undefined
    const { run, host, begun, isOver, liveChildren, waits, handover, deadline } = this.#attempt
    const isHeld = run.stateName === 'Paused' && run.rare?.pausedFor === undefined
    const { pending } = waits
    if (isOver || !begun || (pending.length === 0 && !isHeld)) return
    const due = earliest([
      run.stateName === 'Paused' ? undefined : deadline,
      ...pending.map((wait) => wait.deadline),
    ])
    const isSoon = !isHeld && due !== undefined && due - host.clock.now() < afterMs
    const { newest, position } = run.ledger
    // What a paused body is not handed is there again when it is replayed.
    const isHandedMore = run.stateName !== 'Paused' && !handover.isEmpty
    const isOnItsWay = newest !== position || handover.uncalled > 0 || isHandedMore
    const moved = newest !== this.#newest || liveChildren > 0 || isOnItsWay
    if (moved || isSoon) {
      this.rests()
      return
    }
    const signals = new Set<string>()
    for (const { awaited } of pending) if (awaited?.name !== undefined) signals.add(awaited.name)
    if (run.stateName !== 'Paused') {
      run.rarely.pausedFor = 'wait'
      run.move({ type: 'pause' }, 'waits')
    }
    const waitsFor = reasons[run.rare?.pausedFor ?? 'resume']
    if (!run.move({ type: 'suspend' }, `${waitsFor}; its body was let go, and runs again then`)) return
    run.letGo(suspendedError(run))
    run.forgetBody()
    park(run, { deadline: due, signals })
  }
}
