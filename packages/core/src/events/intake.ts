import type { Observable } from 'rxjs'
import { Fifo } from '../base/fifo.ts'
import { TroupeError, UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { Clock } from '../ports/clock.ts'
import { within } from '../runs/deadline.ts'
import { runOutside } from '../runs/run-context.ts'
import { GuardedObservable, Hub } from '../streams/hub.ts'
import type { EventDelivery, EventSource, EventTaker, EventTap } from './event-source.ts'
import { HeldEvent, type EventHost } from './held-event.ts'
import type { IntakeSettings } from './intake-options.ts'
import type { Intake, IntakeState, IntakeStatus } from './intake-types.ts'
import type { FlowStarter, StartHost } from './start-event.ts'
import { Troubles } from './troubles.ts'

/** What an intake needs of its engine. */
export interface IntakeHost extends StartHost {
  readonly node: string
}

interface Parts<E> {
  readonly host: IntakeHost
  readonly source: EventSource<E>
  readonly starter: FlowStarter
  readonly settings: IntakeSettings<E>
  /** Told when it is over. */
  readonly ended: (intake: object) => void
}

/** How long what is being recorded may take when the intake is stopped. */
const patienceMs = 1_000
/** How long the source may take to let go of what it has. */
const farewellMs = 10_000
/** How long an event stays away that came though none was wanted. */
const unwantedMs = 1_000

/** Takes events from one source, as many as it can deal with, and holds them until they are dealt with. */
export class EventIntake<E> implements Intake, EventHost<E>, EventTaker<E> {
  readonly settings: IntakeSettings<E>
  readonly starter: FlowStarter
  readonly redelivers: boolean
  readonly done: Promise<void>
  readonly #host: IntakeHost
  readonly #source: EventSource<E>
  readonly #ended: (intake: object) => void
  readonly #held = new Set<HeldEvent<E>>()
  /** What came though it was not wanted, of a source that takes nothing back. */
  readonly #buffer = new Fifo<EventDelivery<E>>()
  readonly #counts = { received: 0, started: 0, duplicates: 0, dead: 0, handedBack: 0 }
  readonly #troubles = new Troubles()
  readonly #hub: Hub<IntakeStatus>
  #state: IntakeState = 'running'
  #tap: EventTap | undefined
  /** Whether the source gives no more. */
  #isDry = false
  /** Why it gives no more, where that is an error. */
  #failure: { readonly error: unknown } | undefined
  /** Whether all that waits is started, however much that is. */
  #isFlushing = false
  #tapStopped: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #isFinishing = false
  #isOver = false
  #isTelling = false
  #stopKeeping: (() => void) | undefined
  #awaitingRecords: (() => void)[] = []
  /** Dead letters that are being told of, and that nobody else has. */
  readonly #telling = new Set<Promise<void>>()
  readonly #over: Promise<void>
  #resolve: () => void = () => undefined

  constructor({ host, source, starter, settings, ended }: Parts<E>) {
    this.#host = host
    this.#source = source
    this.#ended = ended
    this.starter = starter
    this.settings = settings
    this.redelivers = source.redelivers !== false
    this.#hub = new Hub((error) => this.report(error))
    this.#over = new Promise((resolve) => (this.#resolve = resolve))
    this.done = this.#over.then(() => {
      if (this.#failure !== undefined) throw this.#failure.error
    })
    // Whoever does not ask need not know; `engine.errors` was told.
    this.done.catch(() => undefined)
  }

  get name(): string {
    return this.settings.name
  }

  get intake(): string {
    return this.settings.name
  }

  get node(): string {
    return this.#host.node
  }

  get clock(): Clock {
    return this.#host.clock
  }

  get random(): IntakeHost['random'] {
    return this.#host.random
  }

  get status(): IntakeStatus {
    let recorded = 0
    for (const held of this.#held) if (held.isRecorded) recorded++
    return {
      name: this.name,
      flow: this.starter.flow,
      source: this.#source.name,
      state: this.#state,
      ...this.#counts,
      inFlight: recorded,
      waiting: this.#held.size - recorded + this.#buffer.size,
      trouble: this.#troubles.newest,
    }
  }

  get statuses(): Observable<IntakeStatus> {
    return new GuardedObservable<IntakeStatus>(
      (error) => this.report(error),
      (observer) => {
        observer.next(this.status)
        const subscription = this.#hub.observable.subscribe(observer)
        return () => subscription.unsubscribe()
      },
    )
  }

  /** Begins. */
  open(): void {
    try {
      this.#tap = this.#source.open(this)
      // What it gave at once may have been too much.
      if (this.#tapStopped !== undefined) this.#tapStopped = this.#said(() => this.#tap?.stop())
    } catch (error) {
      this.failed(error)
    }
    this.#fill()
  }

  pause(): void {
    if (this.#state !== 'running') return
    this.#state = 'paused'
    this.#want(0)
    this.#changed()
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    this.#changed()
    this.#fill()
  }

  drain(): Promise<void> {
    if (this.#state === 'running' || this.#state === 'paused') {
      this.#state = 'draining'
      this.#stopTap()
      this.#changed()
      this.#fill()
    }
    return this.#over
  }

  /** Resolves when the flow runs of all that it has are in the journal, or it is over. */
  untilRecorded(): Promise<void> {
    return new Promise((resolve) => {
      this.#awaitingRecords.push(resolve)
      this.#tellRecorded()
    })
  }

  stop(): Promise<void> {
    if (!this.#isOver) this.#stopping ??= this.#stop()
    return this.#over
  }

  // --- for the source ---------------------------------------------------------------------------------------------

  deliver(delivery: EventDelivery<E>): void {
    this.#counts.received++
    this.#changed()
    // The last time it stays, as what has no source that takes it back: nobody else would get it.
    if (this.redelivers && delivery.isLast !== true) {
      const isWanted = this.#state === 'running' && !this.#isFinishing && this.#free > 0
      if (isWanted) this.#hold(delivery)
      else this.#handBack(delivery)
      return
    }
    if (this.#stopping !== undefined || this.#isFinishing) this.#late(delivery)
    else if (this.#buffer.size >= this.settings.buffer && !this.#mayHold) this.#overflows(delivery)
    else {
      this.#buffer.push(delivery)
      this.#keepAlive()
      this.#fill()
    }
  }

  trouble(error: unknown): void {
    this.stuck(this, error)
  }

  completed(): void {
    if (this.#isDry) return
    this.#isDry = true
    this.#changed()
    this.#endIfEmpty()
  }

  failed(error: unknown): void {
    if (this.#isDry || this.#isOver) return
    this.#isDry = true
    this.#failure = { error }
    this.report(error)
    this.#changed()
    this.#endIfEmpty()
  }

  // --- for events that are held -----------------------------------------------------------------------------------

  count(what: 'started' | 'duplicates' | 'dead' | 'handedBack'): void {
    this.#counts[what]++
    this.#tellRecorded()
    this.#changed()
  }

  stuck(holder: object, error: unknown): void {
    if (error === undefined) {
      if (this.#troubles.end(holder)) this.#changed()
      return
    }
    // Many events have the same trouble at once, and each again and again: it is told once.
    if (this.#troubles.begin(holder, inWords(error))) this.report(error)
    this.#changed()
  }

  tells(telling: Promise<void>): void {
    this.#telling.add(telling)
    void telling.then(() => this.#telling.delete(telling))
  }

  report(error: unknown): void {
    this.#host.report(error, undefined)
  }

  // ----------------------------------------------------------------------------------------------------------------

  get #free(): number {
    return this.#isFlushing ? Number.POSITIVE_INFINITY : this.settings.concurrency - this.#held.size
  }

  get #mayHold(): boolean {
    return (this.#state === 'running' || this.#state === 'draining') && this.#free > 0
  }

  #hold(delivery: EventDelivery<E>): void {
    const held = new HeldEvent(this, delivery)
    this.#held.add(held)
    this.#keepAlive()
    void runOutside(this.#host, () => held.deal()).then(() => {
      this.#held.delete(held)
      this.#changed()
      this.#fill()
      this.#tellRecorded()
    })
  }

  /** Deals with what waits, and asks for as much as can be dealt with besides. */
  #fill(): void {
    while (this.#mayHold) {
      const next = this.#buffer.shift()
      if (next === undefined) break
      this.#hold(next)
    }
    if (this.#state === 'running' && !this.#isDry) this.#want(Math.max(0, this.#free))
    this.#endIfEmpty()
  }

  #want(count: number): void {
    try {
      this.#tap?.want(count)
    } catch (error) {
      this.report(error)
    }
  }

  #handBack(delivery: EventDelivery<E>): void {
    this.#counts.handedBack++
    const delayMs = this.#state === 'running' ? unwantedMs : 0
    try {
      delivery.handBack(delayMs)
    } catch (error) {
      this.report(error)
    }
  }

  /** It was asked for before, and comes only now: it would be lost if it were not started. */
  #late(delivery: EventDelivery<E>): void {
    const held = new HeldEvent(this, delivery)
    if (this.#host.closed) held.tellDead(this.#stoppedError())
    else void runOutside(this.#host, () => held.deal())
  }

  #overflows(delivery: EventDelivery<E>): void {
    const { buffer, overflow } = this.settings
    const error = new TroupeError(
      'BUFFER_FULL',
      `${this.#source.name} gave more events than flow runs may be started at once, and ${buffer} wait; raise \`concurrency\` or \`buffer\`, or use a source that can be slowed down`,
      { details: { intake: this.name, buffer } },
    )
    runOutside(this.#host, () => new HeldEvent(this, delivery).tellDead(error))
    if (overflow === 'deadLetter') return
    this.#stopTap()
    this.failed(error)
  }

  #keepAlive(): void {
    const everyMs = this.#tap?.keepAliveMs
    if (everyMs === undefined || this.#stopKeeping !== undefined) return
    this.#stopKeeping = this.clock.at(this.clock.now() + everyMs, () => {
      this.#stopKeeping = undefined
      for (const held of this.#held) held.keepAlive()
      for (let n = 0; n < this.#buffer.size; n++) this.#keptAlive(this.#buffer.at(n))
      if (this.#held.size + this.#buffer.size > 0) this.#keepAlive()
    })
  }

  #keptAlive(delivery: EventDelivery<E> | undefined): void {
    try {
      delivery?.keepAlive?.()
    } catch (error) {
      this.report(error)
    }
  }

  async #stop(): Promise<void> {
    this.#state = 'draining'
    this.#stopTap()
    this.#changed()
    this.#flush()
    const starting: Promise<void>[] = []
    for (const held of this.#held) {
      if (held.isRecorded) held.giveUp(undefined)
      else starting.push(held.untilRecorded)
    }
    await within(this.clock, patienceMs, Promise.all(starting))
    const error = this.#stoppedError()
    for (const held of this.#held) held.giveUp(error)
    await this.#finish('stopped')
  }

  /** What its source does not take back is to be in a journal that is kept, or to be told of. */
  #flush(): void {
    if (this.#host.journal.encodes) {
      this.#isFlushing = true
      this.#fill()
      return
    }
    for (let next = this.#buffer.shift(); next !== undefined; next = this.#buffer.shift())
      new HeldEvent(this, next).tellDead(this.#stoppedError())
  }

  #stoppedError(): UsageError {
    const message = `intake ${this.name} was stopped before a flow run of ${this.starter.flow} was recorded`
    return new UsageError('INTAKE_STOPPED', message, { details: { intake: this.name } })
  }

  #stopTap(): void {
    this.#tapStopped ??= this.#said(() => this.#tap?.stop())
  }

  /** What the source can't do when it is let go of is told, and holds nothing up. */
  async #said(tell: () => Promise<void> | undefined): Promise<void> {
    try {
      await tell()
    } catch (error) {
      this.report(error)
    }
  }

  #endIfEmpty(): void {
    const isEnding = this.#isDry || this.#state === 'draining'
    if (!isEnding || this.#stopping !== undefined || this.#held.size > 0 || this.#buffer.size > 0) return
    const last = this.#failure !== undefined ? 'failed' : this.#isDry ? 'completed' : 'stopped'
    void this.#finish(last)
  }

  async #finish(state: IntakeState): Promise<void> {
    if (this.#isFinishing) return
    this.#isFinishing = true
    this.#stopTap()
    // A source that does not answer, and a place for dead letters, keep nobody from closing.
    await within(this.clock, farewellMs, this.#letGo())
    this.#stopKeeping?.()
    this.#troubles.clear()
    this.#isOver = true
    this.#state = state
    this.#ended(this)
    this.#hub.emit(this.status)
    this.#hub.complete()
    this.#tellRecorded()
    this.#resolve()
  }

  #tellRecorded(): void {
    if (this.#awaitingRecords.length === 0) return
    const waits = this.#buffer.size > 0 || [...this.#held].some(({ isRecorded }) => !isRecorded)
    if (waits && !this.#isOver) return
    for (const tell of this.#awaitingRecords.splice(0)) tell()
  }

  async #letGo(): Promise<void> {
    await this.#tapStopped
    const told = this.#told()
    // The source's own place for dead letters is gone with it.
    if (this.#telling.size > 0 && this.#source.keepsDeadLetters === true)
      await within(this.clock, farewellMs / 2, told)
    await Promise.all([this.#said(() => this.#tap?.close()), told])
  }

  async #told(): Promise<void> {
    while (this.#telling.size > 0) await Promise.all(this.#telling)
  }

  /** Those who watch it are told in the next turn of all that has changed in this one. */
  #changed(): void {
    if (this.#isTelling || this.#isOver || !this.#hub.observed) return
    this.#isTelling = true
    this.clock.turn(() => {
      this.#isTelling = false
      if (!this.#isOver) this.#hub.emit(this.status)
    })
  }
}
