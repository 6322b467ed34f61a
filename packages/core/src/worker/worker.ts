import type { Within } from '../base/bodies-within.ts'
import { RunError, TroupeError, UsageError } from '../base/errors.ts'
import { uuidV4 } from '../base/ids.ts'
import { findTask, type FoundTask } from '../definitions/registry.ts'
import type { Clock } from '../ports/clock.ts'
import type { Mailbox } from '../ports/mailbox.ts'
import type { ClusterNodes } from '../ports/nodes.ts'
import type { Delivery, Queue } from '../ports/queue.ts'
import type { Random } from '../ports/random.ts'
import { Courier } from '../remote/courier.ts'
import {
  packAnswer,
  unpackTalk,
  workerTopic,
  type Address,
  type AttemptName,
  type OwnedName,
  type Presence,
  type ToOwner,
  type ToWorker,
} from '../remote/node-talk.ts'
import { unpackOffer, type OfferedBody, type RemoteOffer } from '../remote/offers.ts'
import { within } from '../runs/deadline.ts'
import { Asker } from './asker.ts'
import { Executed } from './executed.ts'
import { Held } from './held.ts'
import { Item, keyOf, type ItemHost } from './item.ts'
import { Missing } from './missing.ts'
import { Owners } from './owners.ts'
import { QueueTaker } from './queue-taker.ts'
import { ReportSender } from './report-sender.ts'
import { Unreported } from './unreported.ts'

/** What a worker needs of its engine. */
export interface WorkerHost {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly queue: Queue
  readonly mailbox: Mailbox
  readonly nodes: ClusterNodes
  /** How its instrumentation calls bodies. */
  readonly within: Within | undefined
  /** See `RemoteHost.ask`. */
  ask(node: string, topic: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined>
  /** See `RemoteHost.answer`. */
  answer(topic: string, listener: (question: Uint8Array) => Promise<Uint8Array>): () => void
  /** Whether a flow run has ended, as its journal tells; undefined where there is none. */
  hasEnded(flowRunId: string): Promise<boolean | undefined>
  /** Something went wrong that no run is told of. */
  report(error: unknown): void
}

/** How long others have to take what has an owner that does not answer, in milliseconds, and how often before nobody wants it. */
const ownerlessMs = 5_000
const mostOwnerless = 12
/** How often something is tried that can't be read, and how long between. */
const mostUnreadable = 5
const unreadableMs = 1_000
/** How often it is looked whether flow runs have ended whose owner was lost, and of which bodies run here, in milliseconds. */
const orphanMs = 30_000
/** How long the last reports may take when a worker is stopped. */
const flushMs = 2_000
/** How many deliveries are remembered that were handed back. */
const mostTries = 10_000

/**
 * Executes task runs for flow runs of other nodes: takes them from queues, runs their bodies on this event loop, and reports to
 * the mailboxes of their flow runs.
 *
 * What was taken stays in its queue until the report on it is safe. A body goes on when the owner of its flow run is lost; what
 * it found waits in the mailbox for the next one.
 */
export class Worker implements ItemHost {
  readonly within: Within | undefined
  readonly clock: Clock
  readonly random: Random
  readonly node: string
  readonly courier: Courier
  readonly asker: Asker
  readonly reports: ReportSender
  readonly owners: Owners
  readonly unreported: Unreported
  readonly #host: WorkerHost
  readonly #takers: readonly QueueTaker[]
  readonly #items = new Map<string, Item>()
  readonly #stops: (() => void)[] = []
  /** How often deliveries were handed back, by their ids. */
  readonly #tries = new Map<string, number>()
  readonly #missing: Missing
  /** Parts of offers that are not wanted any more, and that were offered again, the oldest first: they may still come. */
  readonly #unwanted = new Set<string>()
  readonly #doubtful = new Set<string>()
  readonly #executed = new Executed()
  #stopLooking: (() => void) | undefined
  #isDraining = false
  #idle: (() => void) | undefined

  /** @param queues - The queues that it takes from, and how many bodies of each run at once. */
  constructor(host: WorkerHost, queues: Readonly<Record<string, number>>) {
    this.#host = host
    this.within = host.within
    this.clock = host.clock
    this.random = host.random
    this.node = host.node
    const session = uuidV4(host.random)
    const talker = {
      node: host.node,
      clock: host.clock,
      random: host.random,
      ask: host.ask.bind(host),
      gone: (nodes: readonly string[]) => host.nodes.gone(nodes),
      report: (error: unknown) => host.report(error),
    }
    this.courier = new Courier(talker)
    this.asker = new Asker(talker, session)
    this.owners = new Owners()
    this.reports = new ReportSender(
      {
        clock: host.clock,
        mailbox: host.mailbox,
        isLost: (owner) => this.owners.isLost(owner),
        report: (error) => host.report(error),
      },
      session,
    )
    this.unreported = new Unreported(host.clock)
    const { node, clock, random, nodes } = host
    this.#missing = new Missing({
      node,
      clock,
      random,
      nodes,
      send: (owner, item) => this.send(owner, item),
    })
    const takerHost = {
      clock: host.clock,
      queue: host.queue,
      delivered: (taker: QueueTaker, delivery: Delivery) => this.#delivered(taker, delivery),
      handBackAhead: (taker: QueueTaker) => {
        const ahead = [...this.#items.values()].filter((item) => item.taker === taker && item.isWaiting)
        this.#handBack(ahead)
      },
    }
    this.#takers = Object.entries(queues).map(
      ([name, concurrency]) => new QueueTaker(takerHost, name, concurrency),
    )
  }

  /** Begins to take. */
  start(): void {
    const { nodes } = this.#host
    this.#stops.push(
      this.#host.answer(workerTopic, (question) => this.#asked(question)),
      nodes.lost((node) => {
        this.owners.lost(node)
        this.courier.lost(node)
        this.#lookLater()
      }),
    )
    for (const taker of this.#takers) taker.start()
  }

  // --- what comes from queues -------------------------------------------------------------------------------------

  #delivered(taker: QueueTaker, delivery: Delivery): number {
    let offer: RemoteOffer
    try {
      offer = unpackOffer(delivery.body)
    } catch (error) {
      this.#unreadable(delivery, error)
      return 1
    }
    const found = offer.bodies.map((body) => this.#find(body))
    const missing = offer.bodies.filter((_, index) => found[index] === undefined)
    for (const { task } of missing) this.#missing.tell(this.owners.heard(offer.flowRunId, offer.owner), task)
    if (missing.length === offer.bodies.length) {
      void this.#missing.handBack(delivery, taker.name)
      return 1
    }
    const isSplit = missing.length > 0
    const held = new Held(delivery, offer.bodies.length - missing.length + (isSplit ? 1 : 0))
    if (isSplit) this.#return(held, this.owners.heard(offer.flowRunId, offer.owner), missing)
    for (const [index, body] of offer.bodies.entries()) {
      const one = found[index]
      if (one !== undefined) this.#take(taker, held, { offer, body, found: one })
    }
    return offer.bodies.length
  }

  /** @returns The task, or why its body can't begin; undefined where it is not defined here. */
  #find({ task: { name, version } }: OfferedBody): FoundTask | TroupeError | undefined {
    try {
      return findTask(name, version)
    } catch (error) {
      return error as TroupeError
    }
  }

  #take(
    taker: QueueTaker,
    held: Held,
    { offer, body, found }: { offer: RemoteOffer; body: OfferedBody; found: FoundTask | TroupeError },
  ): void {
    const name: AttemptName = [body.start.runId, body.start.attempt]
    const key = keyOf(name)
    const known = this.#items.get(key)
    const part = partOf(held.delivery.id, offer.owner, body.start.runId)
    if (this.#unwanted.has(part)) {
      held.settle()
      return
    }
    // Its owner may have been superseded when it offered this, and not have noticed: its journal may not have it.
    const isOutdated = this.owners.heard(offer.flowRunId, offer.owner).epoch > offer.owner.epoch
    const strict =
      offer.strict ||
      isOutdated ||
      held.delivery.repeated ||
      this.#doubtful.has(part) ||
      this.#executed.has(name)
    if (known !== undefined) {
      // It was delivered once more, and is here: one report is enough for both.
      known.alsoIn(held, strict)
      return
    }
    const { flow, owner } = offer
    const item = new Item(this, { taker, held, body, found, strict, flow, owner })
    this.#items.set(key, item)
    taker.slots.add(item)
    if (this.owners.isLost(owner)) this.#lookLater()
  }

  /** Somebody else may be able to read it. */
  #unreadable(delivery: Delivery, error: unknown): void {
    const tries = this.#triedAgain(delivery.id)
    const isNewer = TroupeError.is(error, 'UNSUPPORTED_FORMAT')
    if (tries === 1) this.#host.report(error)
    if (isNewer || tries < mostUnreadable) {
      delivery.handBack(this.#around(unreadableMs))
      return
    }
    const message = `${delivery.id} was taken from its queue for good: it could not be read in ${tries} tries`
    this.#host.report(new TroupeError('MALFORMED_PAYLOAD', message, { cause: error }))
    this.#tries.delete(delivery.id)
    delivery.done()
  }

  /**
   * About so long: where takers ask for work as often as it comes back, the one that can't do it would get it each time, for its
   * question is always the oldest.
   */
  #around(ms: number): number {
    return ms * (0.5 + this.random.number())
  }

  #triedAgain(id: string): number {
    const tries = (this.#tries.get(id) ?? 0) + 1
    this.#tries.delete(id)
    this.#tries.set(id, tries)
    for (const oldest of this.#tries.keys()) {
      if (this.#tries.size <= mostTries) break
      this.#tries.delete(oldest)
    }
    return tries
  }

  /** Parts of a delivery are not executed here: their owner offers them again. */
  #return(held: Held, owner: Address, bodies: readonly OfferedBody[]): void {
    const runs = bodies.map(({ start }) => [start.runId, start.attempt, false] as const)
    this.send(owner, { of: 'returned', runs, isMissing: true })
    void this.courier.arrived(owner).then((hasArrived) => held.settle(hasArrived))
  }

  // --- for items --------------------------------------------------------------------------------------------------

  send(owner: Address, item: ToOwner): void {
    this.courier.send(owner, item)
  }

  report(error: unknown): void {
    this.#host.report(error)
  }

  isOver(item: Item): void {
    this.#items.delete(keyOf(item.name))
    if (item.hasBegun) this.#executed.add(item.name)
    if (this.#items.size === 0) this.#idle?.()
  }

  /** Nobody answers for its flow run: it is over, or others may know its owner, or one comes soon. */
  noOwner(item: Item): void {
    this.#host.hasEnded(item.flowRunId).then(
      (hasEnded) => this.#ownerless(item, hasEnded === true),
      (error: unknown) => {
        this.#host.report(error)
        this.#ownerless(item, false)
      },
    )
  }

  #ownerless(item: Item, hasEnded: boolean): void {
    const { held } = item
    // It was given back meanwhile.
    if (!item.isWaiting) return
    if (held.begun > 0) {
      this.clock.at(this.clock.now() + ownerlessMs, () => item.again())
      return
    }
    const whole = [...this.#items.values()].filter((other) => other.held === held)
    for (const other of whole) other.drop()
    // It may have said that they begin here.
    const runs = whole.map(({ name: [runId, attempt] }) => [runId, attempt, true] as const)
    this.send(item.owner, { of: 'returned', runs, isMissing: false })
    if (!hasEnded && this.#triedAgain(held.delivery.id) < mostOwnerless) {
      held.handBack(this.#around(ownerlessMs))
      return
    }
    // Whoever wants it after all looks for it, and offers it again.
    this.#tries.delete(held.delivery.id)
    held.forget()
  }

  /**
   * The owner of what runs here was lost. The next one says what becomes of it; but where the flow run has ended meanwhile, there is
   * none, and a body that waits would wait for ever.
   */
  #lookLater(): void {
    if (this.#stopLooking !== undefined || this.#orphans.length === 0) return
    this.#stopLooking = this.clock.at(this.clock.now() + orphanMs, () => {
      this.#stopLooking = undefined
      void this.#lookForOrphans()
    })
  }

  get #orphans(): readonly Item[] {
    return [...this.#items.values()].filter((item) => item.isUnreported && this.owners.isLost(item.owner))
  }

  async #lookForOrphans(): Promise<void> {
    const reason = new RunError('OWNERSHIP_LOST', 'the flow run has ended')
    try {
      for (const flowRunId of new Set(this.#orphans.map((item) => item.flowRunId))) {
        // One that is not there any more was forgotten: it had ended.
        if ((await this.#host.hasEnded(flowRunId)) === false) continue
        for (const item of this.#orphans) if (item.flowRunId === flowRunId) item.stop(reason)
      }
    } catch (error) {
      // One that may not read journals is told by the next owner, or by nobody.
      if (TroupeError.is(error) && error.details['reason'] === 'permissions') return
      this.#host.report(error)
    }
    this.#lookLater()
  }

  // --- what owners say --------------------------------------------------------------------------------------------

  async #asked(bytes: Uint8Array): Promise<Uint8Array> {
    const talk = unpackTalk(bytes)
    if ('post' in talk) return this.courier.receive(talk.post, (item) => this.#toldBy(item as ToWorker))
    const { question } = talk
    if (question.ask !== 'owns') return packAnswer([])
    const presences = question.runs.map((run) => this.#presenceOf(run))
    this.#owns(question)
    return packAnswer(presences)
  }

  #owns({ flowRuns, owner }: { readonly flowRuns: readonly OwnedName[]; readonly owner: Address }): void {
    const owned = new Set<string>()
    for (const [flowRunId, epoch] of flowRuns) {
      const latest = this.owners.heard(flowRunId, { ...owner, epoch })
      if (latest.epoch === epoch) owned.add(flowRunId)
    }
    const reason = new RunError('OWNERSHIP_LOST', 'the flow run has another owner, which begins it anew')
    // What these have submitted, the owner before knew.
    for (const item of this.#items.values())
      if (owned.has(item.flowRunId) && item.isEntangledWithAnother(owner)) item.stop(reason)
  }

  #presenceOf(run: AttemptName): Presence {
    return this.#items.get(keyOf(run))?.presence ?? 'none'
  }

  #toldBy(item: ToWorker): void {
    if (item.to === 'owns') {
      this.#owns(item)
      return
    }
    const key = keyOf(item.run)
    const known = this.#items.get(key)
    if (item.to === 'body') {
      known?.event(item.event)
      return
    }
    if (item.to === 'ask') known?.askFirst()
    else known?.stop(new RunError('OWNERSHIP_LOST', `the body is to stop: ${item.why}`))
    const parts = item.to === 'ask' ? this.#doubtful : this.#unwanted
    for (const id of item.offers) parts.add(partOf(id, item.by, item.run[0]))
    for (const oldest of parts) {
      if (parts.size <= mostTries) break
      parts.delete(oldest)
    }
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  /**
   * Takes nothing more; what has not begun is for others at once, and bodies may end within the grace. Those that have not are
   * told to stop, and another attempt follows elsewhere. Resolves when all that was found is reported.
   */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true
    await Promise.all(this.#takers.map((taker) => taker.stop()))
    this.#handBack([...this.#items.values()].filter((item) => item.isUnbegun))
    if (this.#items.size > 0 && graceMs > 0)
      await within(this.clock, graceMs, new Promise<void>((resolve) => (this.#idle = resolve)))
    this.#giveUpRunning()
    await within(this.clock, flushMs, this.#flushed())
  }

  /** These have not begun, and are for others. */
  #handBack(waiting: readonly Item[]): void {
    for (const held of new Set(waiting.map((item) => item.held))) {
      const parts = waiting.filter((item) => item.held === held)
      for (const part of parts) part.drop()
      if (held.begun === 0) held.handBack()
      else for (const part of parts) this.#returnPart(part, false)
    }
  }

  #giveUpRunning(): void {
    const error = new UsageError('ENGINE_CLOSED', 'the worker was closed before the body had ended')
    for (const item of this.#items.values()) {
      if (!item.giveUp(error)) continue
      this.#returnPart(item, true)
    }
  }

  #returnPart(item: Item, begun: boolean): void {
    const { owner } = item
    const [runId, attempt] = item.name
    this.send(owner, { of: 'returned', runs: [[runId, attempt, begun]], isMissing: false })
    void this.courier.arrived(owner).then((hasArrived) => item.settle(hasArrived))
  }

  async #flushed(): Promise<void> {
    await this.reports.idle()
    await this.courier.idle()
  }

  /**
   * Others count this node as gone, and what it had taken as theirs: its bodies are told to stop. What has ended is reported all
   * the same, for it may be heard before another attempt begins.
   */
  cutOff(error: unknown): void {
    const message = 'this node was cut off from the others; its task runs go on elsewhere'
    const reason = new RunError('OWNERSHIP_LOST', message, { cause: error })
    for (const item of this.#items.values()) item.letGo(reason)
  }

  /** Stops at once: what is not reported is for others when the transport is closed. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop()
    this.#stopLooking?.()
    if (!this.#isDraining) for (const taker of this.#takers) void taker.stop()
    this.#giveUpRunning()
    this.reports.close()
    this.courier.close()
  }
}

/** An attempt in an offer of an owner. */
function partOf(offer: string, { topic }: Address, runId: string): string {
  return `${offer} ${topic} ${runId}`
}
