import { deadlineAfter, type Deadline } from '../runs/deadline.ts'
import { BodyDraws } from './body-draws.ts'
import { BodyWaits } from './body-waits.ts'
import type { Handover } from './handover.ts'
import type { Replay } from './replay.ts'
import type { HandedOver } from './handed-over.ts'
import type { Run, RunHost } from './run.ts'
import { RestWatch } from './suspension.ts'

/** What a body does besides submitting runs, and its journal remembers: its waits, its draws. Made when it first does. */
export abstract class RecordedBody {
  abstract readonly host: RunHost
  abstract readonly run: Run
  abstract readonly number: number
  abstract readonly over: boolean
  abstract readonly handover: Handover
  abstract readonly replay: Replay | undefined
  #waits: BodyWaits | undefined
  #draws: BodyDraws | undefined
  #ordinals: Map<string, number> | undefined

  abstract readonly begun: boolean
  abstract readonly isOver: boolean
  abstract readonly liveChildren: number
  abstract readonly deadline: number | undefined
  abstract readonly tryFrom: number
  #rest: RestWatch | undefined

  abstract handOver(item: HandedOver): void
  abstract inputTimedOut(): void

  /** It may be that the body of a flow only waits from now on. */
  rests(): void {
    if (this.run.kind === 'flow' && this.host.suspendAfterMs !== undefined)
      (this.#rest ??= new RestWatch(this)).rests()
  }

  get waits(): BodyWaits {
    return (this.#waits ??= new BodyWaits(this))
  }

  deadlineAfter(ms: number): Deadline {
    const { clock } = this.host
    // A body that outlives its run writes nothing any more.
    return this.over ? deadlineAfter(clock, ms) : this.waits.until(clock.now() + ms)
  }

  /** Nobody waits any more: what it waited for rejects with `reason`, or stays pending where there is none. */
  protected endWaits(reason: unknown): void {
    this.#rest?.stop()
    if (reason === undefined) this.#waits?.clear()
    else this.#waits?.rejectAll(reason)
  }

  /** Whether the body has all that its journal has for it, and waits for more. */
  get isCaughtUp(): boolean {
    const { handover, waits, liveChildren } = this
    return handover.uncalled === 0 && handover.isEmpty && (liveChildren > 0 || waits.pending.length > 0)
  }

  get draws(): BodyDraws {
    return (this.#draws ??= new BodyDraws(this))
  }

  get drawsSafe(): boolean {
    return this.#draws?.safe ?? true
  }

  /** How many calls of the identity the body has made before, in this execution; counts this one. */
  ordinal(identity: string): number {
    const ordinals = (this.#ordinals ??= new Map())
    const ordinal = ordinals.get(identity) ?? 0
    ordinals.set(identity, ordinal + 1)
    return ordinal
  }
}
