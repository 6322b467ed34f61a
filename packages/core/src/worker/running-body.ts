import type { Within } from '../base/bodies-within.ts'
import { uuidV4 } from '../base/ids.ts'
import { InternalError, RunError, TroupeError, UsageError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import type { FoundTask } from '../definitions/registry.ts'
import { isFixed } from '../definitions/run-names.ts'
import type { RunState } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { RemoteEvent, RemoteTell } from '../remote/node-talk.ts'
import type { ForeignBody, Link } from '../remote/link.ts'
import { unpackFlow, type OfferedBody, type RemoteOffer } from '../remote/offers.ts'
import type { Answer, Ask, BodyEvent, Drew, Parcel, Submitted, Tell } from '../remote/protocol.ts'
import { inline, unwrap, wrap, wrapError } from '../remote/wire.ts'
import { derivedIdOf, identityOfCall, keyOfCall, requestedId } from '../runs/call-identity.ts'
import { Future, Handle } from '../runs/future.ts'

/** What a body on a worker needs of it. */
export interface BodyHost {
  readonly within: Within | undefined
  readonly clock: Clock
  readonly random: Random
  /** Tells its owner, after all that was told before. */
  tell(tell: RemoteTell): void
  /** It only waits: its slot is free for others. */
  lend(): void
  /** It is to go on: calls `go` when it has a slot again. */
  reclaim(go: () => void): void
  /** It was told to stop, and may wait for ever for what never comes: it does not count any more. */
  abandon(): void
  finished(result: Parcel): void
}

/** How much longer a body may take than its time limit before it is told by its worker, in case its owner can't. */
const ownerIsLateMs = 2_000

/** Reasons to stop that end what the body waits for; after others, another body goes on in its place. */
const ends: ReadonlySet<string> = new Set(['RUN_CANCELLED', 'RUN_TIMED_OUT', 'RUN_CRASHED'])

/** A run that the body submitted. */
interface Known extends Submitted {
  id: string
  runName: string
  state: RunState
  isWatched: boolean
}

/**
 * A body on this event loop whose engine is on another node: nothing that it does waits for an answer from there. What is
 * known here, or can be computed, is answered at once, and the owner is told, in order.
 */
export class RunningBody implements Link {
  readonly clock: Clock
  readonly within: Within | undefined
  readonly #host: BodyHost
  readonly #offered: OfferedBody
  readonly #flow: RemoteOffer['flow']
  readonly #body: ForeignBody
  readonly #runs = new Map<number, Known>()
  readonly #ordinals = new Map<string, number>()
  readonly #ids = new Map<string, string[]>()
  readonly #timers = new Map<number, () => void>()
  readonly #events: BodyEvent[] = []
  #nextDraw = 0
  /** Events that the body was given, or will be. */
  #given = 0
  #isDelivering = false
  #isLent = false
  #isOver = false
  #reason: unknown
  #stopLimit: (() => void) | undefined

  constructor(host: BodyHost, { runtime }: FoundTask, offered: OfferedBody, flow: RemoteOffer['flow']) {
    this.#host = host
    this.clock = host.clock
    this.within = host.within
    this.#offered = offered
    this.#flow = flow
    for (const [key, id] of offered.facts.ids) {
      const ids = this.#ids.get(key)
      if (ids === undefined) this.#ids.set(key, [id])
      else ids.push(id)
    }
    this.#body = runtime.body(offered.start, this)
  }

  run({ fn }: FoundTask): void {
    const { timeoutMs } = this.#offered
    if (timeoutMs !== undefined) this.#limitTo(timeoutMs)
    this.#body.run(fn)
  }

  /** Whether it has submitted runs. */
  get isEntangled(): boolean {
    return this.#runs.size > 0
  }

  /** Whether it was told to stop: nobody asks what it finds. */
  get isAborted(): boolean {
    return this.#reason !== undefined
  }

  #limitTo(ms: number): void {
    const { runId, runName } = this.#offered.start
    this.#stopLimit = this.clock.at(this.clock.now() + ms + ownerIsLateMs, () => {
      const message = `${runName} (${runId}) did not end within ${ms} ms`
      this.stop(new RunError('RUN_TIMED_OUT', message, { details: { runId } }))
    })
  }

  // --- what the body asks -----------------------------------------------------------------------------------------

  ask(ask: Ask): Answer {
    try {
      return { value: wrap(this.#answer(ask), 'answer') }
    } catch (error) {
      return { error: wrapError(error) }
    }
  }

  #answer(ask: Ask): unknown {
    switch (ask.ask) {
      case 'draw':
        this.#checkOpen(this.#offered.facts.cleanup)
        return this.#draw(ask.draw)
      case 'flow':
        return this.#flow === undefined ? undefined : unpackFlow(this.#flow)
      case 'state':
        return this.#stateOf(ask.ref)
      case 'sleep':
        this.#checkOpen(this.#offered.facts.cleanup)
        this.#wait(ask.ticket, ask.ms)
        return undefined
      case 'deadline':
        this.#wait(ask.ticket, ask.ms)
        return undefined
      case 'call':
        throw new InternalError('a call of a body on a worker was to be answered')
    }
  }

  #draw(kind: Drew['draw']): number | string {
    const recorded = this.#offered.facts.draws[this.#nextDraw++]
    const value = recorded?.[0] === kind ? recorded[1] : this.#drawn(kind)
    this.#host.tell({ tell: 'drew', draw: kind, value })
    return value
  }

  #drawn(kind: Drew['draw']): number | string {
    const { clock, random } = this.#host
    if (kind === 'now') return clock.now()
    return kind === 'random' ? random.number() : uuidV4(random)
  }

  #stateOf(ref: number): RunState {
    const known = this.#known(ref)
    if (!known.isWatched) {
      known.isWatched = true
      this.#host.tell({ tell: 'watch', ref, ticket: -ref, what: 'states' })
    }
    return known.state
  }

  #known(ref: number): Known {
    const known = this.#runs.get(ref)
    if (known !== undefined) return known
    throw new InternalError(`a body asked for run ${ref}, which it did not submit`)
  }

  #wait(ticket: number, ms: number): void {
    const end = this.clock.at(this.clock.now() + ms, () => {
      this.#timers.delete(ticket)
      this.#give({ ticket, value: wrap(undefined, 'value') })
    })
    this.#timers.set(ticket, end)
  }

  /** @throws UsageError `RUN_ENDED`, `RUN_CANCELLING` */
  #checkOpen(cleanup: boolean): void {
    const reason = this.#reason
    if (reason === undefined) return
    const { runId, runName } = this.#offered.start
    const details = { runId }
    const words = `task run ${runName} (${runId})`
    if (!TroupeError.is(reason, 'RUN_CANCELLED'))
      throw new UsageError('RUN_ENDED', `${words} has ended or gone on elsewhere; its body can't go on`, {
        details,
      })
    if (cleanup) return
    const how = 'only calls `.with({ cleanup: true })` are taken, within the grace'
    throw new UsageError('RUN_CANCELLING', `${words} is being cancelled; ${how}`, { details })
  }

  /** The id of the new run is the one that its owner will give it: it follows from the call. */
  submit(definition: Definition, args: readonly unknown[], ask: Ask & { readonly ask: 'call' }): Submitted {
    this.#checkOpen(definition.settings.cleanup)
    const { name, settings } = definition
    const known: Known = {
      ref: this.#runs.size + 1,
      id: this.#idFor(definition, args),
      runName: settings.runName !== undefined && isFixed(settings.runName) ? settings.runName : name,
      state: { type: 'PENDING', name: 'Pending', at: this.clock.now() },
      isWatched: false,
    }
    this.#runs.set(known.ref, known)
    this.#host.tell({ ...ask, args: inline(ask.args), options: inline(ask.options), ref: known.ref })
    return known
  }

  #idFor(definition: Definition, args: readonly unknown[]): string {
    const requested = requestedId(definition)
    const identity = identityOfCall(definition, args, runIdOf)
    const { runId, flowRunId } = this.#offered.start
    const { tryFrom } = this.#offered.facts
    const derived = derivedIdOf(
      { runId, tryFrom, ordinal: (key) => this.#ordinal(key) },
      definition,
      identity,
    )
    // A call that was made before has its run.
    const before = this.#ids.get(keyOfCall(definition, identity))?.shift()
    return requested ?? before ?? (definition.kind === 'task' ? `${flowRunId}.${derived}` : derived)
  }

  #ordinal(key: string): number {
    const ordinal = this.#ordinals.get(key) ?? 0
    this.#ordinals.set(key, ordinal + 1)
    return ordinal
  }

  // --- what the body tells ----------------------------------------------------------------------------------------

  tell(tell: Tell): void {
    if (tell.tell === 'rest') {
      if (tell.seen === this.#given && !this.#isLent) this.#lend()
      return
    }
    if (tell.tell === 'stop') {
      const stop = this.#timers.get(tell.ticket)
      this.#timers.delete(tell.ticket)
      if (stop !== undefined) {
        stop()
        return
      }
    }
    this.#host.tell(inlined(tell))
  }

  #lend(): void {
    this.#isLent = true
    this.#host.lend()
  }

  finished(result: Parcel): void {
    this.#isOver = true
    this.#stopLimit?.()
    for (const stop of this.#timers.values()) stop()
    this.#timers.clear()
    this.#host.finished(inline(result))
  }

  turn(fn: () => void): void {
    this.clock.turn(fn)
  }

  // --- what its owner tells ---------------------------------------------------------------------------------------

  event(event: RemoteEvent): void {
    if ('submitted' in event) {
      const submitted = unwrap(event.submitted) as Submitted
      const known = this.#runs.get(submitted.ref)
      if (known !== undefined) Object.assign(known, submitted)
    } else if ('state' in event) {
      const known = this.#runs.get(event.ref)
      if (known !== undefined) known.state = unwrap(event.state) as RunState
    } else if ('abort' in event) this.#abort(event.abort)
    else if (event.ticket < 0) this.#isInState(event)
    else this.#give(event)
  }

  /** News of a run whose state the body has asked for. */
  #isInState(event: BodyEvent & { readonly ticket: number }): void {
    const known = this.#runs.get(-event.ticket)
    if (known !== undefined && 'value' in event) known.state = unwrap(event.value) as RunState
  }

  /** Tells the body to stop. */
  stop(reason: unknown): void {
    this.#abort(wrapError(reason))
  }

  #abort(parcel: Parcel): void {
    if (this.#isOver || this.#reason !== undefined) return
    const reason = unwrap(parcel)
    this.#reason = reason ?? 'no reason'
    this.#give({ abort: parcel })
    if (TroupeError.is(reason) && ends.has(reason.code)) this.#endTimers(parcel)
    else this.#host.abandon()
  }

  #endTimers(error: Parcel): void {
    for (const [ticket, stop] of this.#timers) {
      stop()
      this.#give({ ticket, error })
    }
    this.#timers.clear()
  }

  /** One a turn: the body comes to rest from each before it gets the next, as it does where its engine is. */
  #give(event: BodyEvent): void {
    this.#given++
    this.#events.push(event)
    if (this.#isDelivering) return
    this.#isDelivering = true
    this.clock.turn(() => this.#next())
  }

  #next(): void {
    const event = this.#events[0]
    if (event === undefined || this.#isOver) {
      this.#isDelivering = false
      return
    }
    // One that is to stop does not wait for a slot.
    if (!this.#isLent || this.isAborted) this.#deliver()
    else
      this.#host.reclaim(() => {
        this.#isLent = false
        this.#deliver()
      })
  }

  #deliver(): void {
    const event = this.#events.shift()
    if (event !== undefined) this.#body.event(event)
    if (this.#events.length > 0) this.clock.turn(() => this.#next())
    else this.#isDelivering = false
  }
}

/** The run behind a future that this body, or another one here, was given by a call. */
function runIdOf(leaf: object): string | undefined {
  return leaf instanceof Future ? Handle.targetOf(leaf).id : undefined
}

function inlined(tell: Tell): Tell {
  if (tell.tell === 'signal') return { ...tell, payload: inline(tell.payload) }
  if (tell.tell === 'steer' && tell.input !== undefined) return { ...tell, input: inline(tell.input) }
  return tell
}
