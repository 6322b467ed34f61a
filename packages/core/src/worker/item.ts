import type { Within } from '../base/bodies-within.ts'
import { TroupeError } from '../base/errors.ts'
import type { FoundTask } from '../definitions/registry.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { Courier } from '../remote/courier.ts'
import type {
  Address,
  AttemptName,
  Owner,
  Presence,
  RemoteEvent,
  RemoteTell,
  ToOwner,
  Verdict,
} from '../remote/node-talk.ts'
import type { OfferedBody, RemoteOffer } from '../remote/offers.ts'
import type { Parcel } from '../remote/protocol.ts'
import type { WorkerReport } from '../remote/worker-report.ts'
import type { Asker } from './asker.ts'
import type { Held } from './held.ts'
import type { Owners } from './owners.ts'
import type { QueueTaker } from './queue-taker.ts'
import type { ReportSender } from './report-sender.ts'
import { RunningBody, type BodyHost } from './running-body.ts'
import type { Startable } from './slots.ts'
import type { Unreported } from './unreported.ts'

/** The worker, as its items see it. */
export interface ItemHost {
  readonly node: string
  readonly within: Within | undefined
  readonly clock: Clock
  readonly random: Random
  readonly courier: Courier
  readonly asker: Asker
  readonly reports: ReportSender
  readonly owners: Owners
  readonly unreported: Unreported
  send(owner: Address, item: ToOwner): void
  report(error: unknown): void
  /** Its owner did not say whether it may begin. */
  noOwner(item: Item): void
  /** Nothing of it is here any more. */
  isOver(item: Item): void
}

interface ItemInit {
  readonly taker: QueueTaker
  readonly held: Held
  readonly body: OfferedBody
  /** The task, or why it can't begin. */
  readonly found: FoundTask | TroupeError
  /** Whether to ask before it begins. */
  readonly strict: boolean
  readonly flow: RemoteOffer['flow']
  /** As the offer names it. */
  readonly owner: Owner
}

export function keyOf([runId, attempt]: AttemptName): string {
  return `${runId} ${attempt}`
}

/**
 * What has waited here for longer asks before it begins, in milliseconds: the process may have stood still, and it have been given to
 * another, and have ended there.
 */
const mostUnaskedMs = 5_000
/** How long an owner that can't say yet whether a body may begin is given, in milliseconds. */
const laterMs = 200
/** How often an owner is asked that does not answer. */
const mostAsks = 4

/** One attempt of a task run that this node has taken. */
export class Item implements Startable, BodyHost {
  readonly within: Within | undefined
  readonly clock: Clock
  readonly random: Random
  readonly name: AttemptName
  readonly flowRunId: string
  readonly held: Held
  readonly #host: ItemHost
  readonly #init: ItemInit
  readonly #others: Held[] = []
  readonly #takenAt: number
  #mustAsk: boolean
  /** `stranded`: it has ended, and what it submitted only a lost owner knew. */
  #state: 'waiting' | 'asking' | 'running' | 'reporting' | 'stranded' | 'over' = 'waiting'
  #body: RunningBody | undefined
  /** What its owner told before it had begun: to stop. */
  readonly #early: RemoteEvent[] = []
  #begunAt = 0
  #hasTold = false
  #entangledWith: Address | undefined
  #isCounted = false
  #isAbandoned = false

  constructor(host: ItemHost, init: ItemInit) {
    this.#host = host
    this.#init = init
    this.within = host.within
    this.clock = host.clock
    this.random = host.random
    const { runId, attempt, flowRunId } = init.body.start
    this.name = [runId, attempt]
    this.flowRunId = flowRunId
    this.held = init.held
    this.#takenAt = host.clock.monotonic()
    this.#mustAsk = init.strict
  }

  get taker(): QueueTaker {
    return this.#init.taker
  }

  /** The same was delivered once more. */
  alsoIn(held: Held, strict: boolean): void {
    this.#others.push(held)
    if (strict) this.askFirst()
  }

  /** It may be elsewhere, too: it does not begin unasked. */
  askFirst(): void {
    this.#mustAsk = true
  }

  get isWaiting(): boolean {
    return this.#state === 'waiting'
  }

  /** Whether nothing is found yet that could be reported. */
  get isUnreported(): boolean {
    return this.#state !== 'reporting' && this.#state !== 'over'
  }

  /** Whether its body has not begun. */
  get isUnbegun(): boolean {
    return this.#state === 'waiting' || this.#state === 'asking'
  }

  /** Whether its body runs here, or has run. */
  get hasBegun(): boolean {
    return this.#body !== undefined
  }

  get presence(): Presence {
    if (this.isUnbegun || this.#state === 'over') return 'none'
    return this.#body?.isEntangled === true ? 'entangled' : 'runs'
  }

  /** Who owns its flow run. What it has submitted, only the owner knows that it told of it. */
  get owner(): Address {
    return this.#entangledWith ?? this.#host.owners.heard(this.flowRunId, this.#init.owner)
  }

  /** Whether its body has submitted runs that this owner does not know. */
  isEntangledWithAnother({ node, topic }: Address): boolean {
    const known = this.#entangledWith
    return known !== undefined && (known.node !== node || known.topic !== topic)
  }

  // --- its beginning ----------------------------------------------------------------------------------------------

  /** It has a slot. */
  start(): void {
    this.#isCounted = true
    const hasWaited = this.clock.monotonic() - this.#takenAt >= mostUnaskedMs
    // What can't begin says so unasked: to its owner, what it has allowed has begun, and would be lost.
    const canBegin = 'fn' in this.#init.found
    if (canBegin && (this.#mustAsk || hasWaited)) void this.#ask()
    else this.#begin()
  }

  async #ask(): Promise<void> {
    this.#state = 'asking'
    const verdict = await this.#verdict()
    if (this.#state === 'asking') this.#answered(verdict)
    else if (verdict === 'run') {
      const [runId, attempt] = this.name
      // It was given back meanwhile, and its owner believes that it runs here.
      this.#host.send(this.owner, {
        of: 'returned',
        runs: [[runId, attempt, true]],
        isMissing: false,
      })
    }
  }

  /** An answer may be lost, and what it said be in the journal: it is asked for again while there may be somebody to answer. */
  async #verdict(): Promise<Verdict | undefined> {
    const { asker, owners } = this.#host
    for (let tries = 0; tries < mostAsks; tries++) {
      const verdict = await asker.mayBegin(this.owner, this.name)
      if (verdict !== undefined || owners.isLost(this.owner) || this.#state !== 'asking') return verdict
    }
    return undefined
  }

  #answered(verdict: Verdict | undefined): void {
    if (verdict === 'run') {
      this.#begin()
      return
    }
    this.#freeSlot()
    if (verdict === 'drop') {
      this.#isOver()
      this.settle()
      return
    }
    this.#state = 'waiting'
    if (verdict === 'later') this.clock.at(this.clock.now() + laterMs, () => this.again())
    else this.#host.noOwner(this)
  }

  /** Tries once more to begin. */
  again(): void {
    if (this.isWaiting) this.#init.taker.slots.add(this)
  }

  #begin(): void {
    const { found, body, flow } = this.#init
    this.held.begun++
    this.#state = 'running'
    if (found instanceof TroupeError || !('fn' in found)) {
      this.#freeSlot()
      this.#report({ refused: { code: found.code, message: found.message } })
      return
    }
    this.#begunAt = this.clock.monotonic()
    this.#body = new RunningBody(this, found, body, flow)
    this.#body.run(found)
    for (const event of this.#early) this.event(event)
    if (this.#state === 'running') this.#host.unreported.add(this)
  }

  /** It takes its time: its owner is to know that it runs. */
  reportBegun(): void {
    if (this.#state !== 'running') return
    if (this.#hasTold) void this.#reportBegunAfterTelling()
    else this.#host.reports.add(this.#addressee, this.#reportOf({}), () => undefined)
  }

  async #reportBegunAfterTelling(): Promise<void> {
    await this.#host.courier.arrived(this.owner)
    if (this.#state === 'running')
      this.#host.reports.add(this.#addressee, this.#reportOf({}), () => undefined)
  }

  get #addressee(): { readonly flowRunId: string; readonly owner: Address } {
    const { flowRunId } = this
    return { flowRunId, owner: this.#host.owners.heard(flowRunId, this.#init.owner) }
  }

  #reportOf(what: Partial<Pick<WorkerReport, 'result' | 'refused'>>): WorkerReport {
    const [runId, attempt] = this.name
    const asked = this.#body?.isEntangled ?? false
    return {
      runId,
      attempt,
      node: this.#host.node,
      result: undefined,
      refused: undefined,
      ...what,
      asked,
    }
  }

  // --- for its body -----------------------------------------------------------------------------------------------

  tell(tell: RemoteTell): void {
    this.#hasTold = true
    if ('ask' in tell) this.#entangledWith ??= this.owner
    if (this.#state === 'running') this.#host.send(this.owner, { of: 'body', run: this.name, tell })
  }

  lend(): void {
    this.#freeSlot()
  }

  reclaim(go: () => void): void {
    if (this.#isAbandoned) {
      go()
      return
    }
    const { slots } = this.#init.taker
    slots.reclaim(() => {
      this.#isCounted = true
      // It has ended while it waited for its slot.
      if (this.#state !== 'running' || this.#isAbandoned) this.#freeSlot()
      go()
    })
  }

  abandon(): void {
    this.#isAbandoned = true
    this.#freeSlot()
  }

  #freeSlot(): void {
    if (!this.#isCounted) return
    this.#isCounted = false
    this.#init.taker.slots.give()
  }

  finished(result: Parcel): void {
    this.#freeSlot()
    this.#init.taker.took(this.clock.monotonic() - this.#begunAt)
    if (this.#state !== 'running') return
    this.#state = 'reporting'
    const isAborted = this.#body?.isAborted === true
    // The run ends without its result: only its owner wants to know.
    if (isAborted) this.#host.send(this.owner, { of: 'ended', run: this.name })
    if (isAborted || this.#hasTold) void this.#finishedAfterTelling(result, isAborted)
    else this.#report({ result })
  }

  /** Its end must not overtake what it told. */
  async #finishedAfterTelling(result: Parcel, isAborted: boolean): Promise<void> {
    const hasArrived = await this.#host.courier.arrived(this.owner)
    if (this.#state !== 'reporting') return
    if (hasArrived && isAborted) {
      this.#isOver()
      this.settle()
    } else if (hasArrived || this.#body?.isEntangled !== true) this.#report({ result })
    // Its result may refer to runs that the next owner can't tell; that one says what becomes of it.
    else this.#state = 'stranded'
  }

  #report(what: Partial<Pick<WorkerReport, 'result' | 'refused'>>): void {
    this.#state = 'reporting'
    this.#host.reports.add(this.#addressee, this.#reportOf(what), () => {
      if (this.#state !== 'reporting') return
      this.#isOver()
      this.settle()
    })
  }

  // --- what its owner says ----------------------------------------------------------------------------------------

  event(event: RemoteEvent): void {
    if (this.#state === 'running') this.#body?.event(event)
    else if (this.isUnbegun) this.#early.push(event)
  }

  /** Nobody wants its result. */
  stop(reason: unknown): void {
    const wasRunning = this.#state === 'running'
    this.#isOver()
    if (wasRunning) this.#body?.stop(reason)
    // It has a slot where it asks its owner.
    else this.#freeSlot()
    this.settle()
  }

  // --- its end ----------------------------------------------------------------------------------------------------

  /** It has not begun, and won't here. */
  drop(): void {
    this.#isOver()
    this.#freeSlot()
    for (const other of this.#others) other.settle(false)
  }

  /** The worker is stopped before its body has ended. @returns Whether there was one. */
  giveUp(reason: unknown): boolean {
    if (this.#state !== 'running' && this.#state !== 'stranded') return false
    this.#isOver()
    this.#body?.stop(reason)
    return true
  }

  /** It is somebody else's by now, and so is its delivery. */
  letGo(reason: unknown): void {
    if (this.#state === 'reporting') return
    const wasRunning = this.#state === 'running'
    this.#isOver()
    if (wasRunning) this.#body?.stop(reason)
    else this.#freeSlot()
    // Where the queue does not know that yet, it hears it when the node is back.
    for (const held of [this.held, ...this.#others]) held.handBack()
  }

  #isOver(): void {
    this.#state = 'over'
    this.#host.isOver(this)
  }

  /** See `Held.settle`. */
  settle(isSafe = true): void {
    this.held.settle(isSafe)
    for (const other of this.#others) other.settle(isSafe)
  }
}
