import {
  RunError,
  UsageError,
  type Assignment,
  type BodyEvent,
  type PoolHost,
  type RemoteHost,
  type TaskPool,
  type TroupeError,
} from '@troupe/core'
import {
  Courier,
  packAnswer,
  unpackTalk,
  workerTopic,
  type Address,
  type AttemptName,
  type RemoteEvent,
  type RemoteTell,
  type ToOwner,
  type WorkerReport,
} from '@troupe/core/internal'
import { Durations } from './durations.ts'
import { Offering } from './offering.ts'
import type { Settings } from './options.ts'
import { isUnbegun, keyOf, readAgain, type Placed, type Sent } from './placed.ts'
import { Sweep } from './sweep.ts'
import { Takeover } from './takeover.ts'
import { Unserved } from './unserved.ts'
import { Verdicts } from './verdicts.ts'
import { Workers } from './workers.ts'

/** How many attempts are remembered that are over, and of which something may still come. */
const mostGone = 1_000
/** How long the report that a body has begun may be on its way, in milliseconds. */
const reportMs = 500
/** What a worker could not find waits this long before it is offered again, in milliseconds. */
const missingMs = 5_000

/**
 * Hands task runs out to the workers of a queue, and takes what they report. A report counts where the attempt is the current
 * one, and no other worker was given it; the run's actor decides what follows. Everything else is dropped, and the body that it
 * is of is told to stop.
 */
export class NatsPool implements TaskPool {
  readonly lends = false
  readonly encodes = true
  readonly outlives = true
  readonly pool: PoolHost
  readonly remote: RemoteHost
  readonly settings: Settings
  readonly workers: Workers
  readonly durations = new Durations()
  readonly address: Address
  readonly placed = new Map<string, Placed>()
  readonly courier: Courier
  isClosed = false
  readonly #offering: Offering
  readonly #sweep: Sweep
  readonly #takeover: Takeover
  readonly #unserved: Unserved
  readonly #verdicts: Verdicts
  readonly #stops: (() => void)[] = []
  /** Attempts that are over here, the oldest first. */
  readonly #gone = new Set<Placed>()
  #backlog = 0

  constructor(host: PoolHost, remote: RemoteHost, settings: Settings) {
    this.pool = host
    this.remote = remote
    this.settings = settings
    this.workers = new Workers(remote, settings.queue)
    const { node, clock, random, nodes } = remote
    // No other pool has it, before or after: whoever asks here for what is not known asks for what is over.
    this.address = { node, topic: `tasks ${random.uint32().toString(36)}${random.uint32().toString(36)}` }
    this.courier = new Courier({
      node,
      clock,
      random,
      ask: (to, topic, question, withinMs) => remote.ask(to, topic, question, withinMs),
      gone: (names) => nodes.gone(names),
      report: (error) => host.report(error),
    })
    this.#offering = new Offering(this)
    this.#sweep = new Sweep(this)
    this.#takeover = new Takeover(this)
    this.#unserved = new Unserved(this)
    this.#verdicts = new Verdicts(this)
    this.#stops.push(
      remote.answer(this.address.topic, (question) => this.#asked(question)),
      nodes.lost((lost) => this.#lostNode(lost)),
    )
  }

  /** How many have not begun. */
  get backlog(): number {
    return this.#backlog
  }

  // --- for the engine ---------------------------------------------------------------------------------------------

  waiting(): number {
    return this.#backlog
  }

  assign(assignment: Assignment): void {
    if (this.isClosed) return
    const { runId, attempt, runsOn } = assignment
    const key = keyOf(runId, attempt)
    const before = this.placed.get(key)
    if (before !== undefined) this.#end(before)
    const placed: Placed = {
      assignment,
      key,
      state: runsOn === undefined ? 'gathered' : 'begun',
      server: assignment.serve((event) => this.#send(placed, event)),
      sent: [],
      node: runsOn,
      session: undefined,
      hasCalled: false,
      heardAt: this.remote.clock.monotonic(),
      begunAt: this.remote.clock.monotonic(),
      awaited: undefined,
      stopReports: () => undefined,
    }
    this.placed.set(key, placed)
    placed.stopReports = this.remote.reports(assignment, (report) => this.#reported(placed, report))
    this.#sweep.start()
    if (runsOn === undefined) {
      this.#backlog++
      this.#offering.add(placed)
    } else {
      this.#verdicts.arrived(assignment.flowRunId)
      this.#takeover.add(placed)
    }
    // An earlier attempt of it may be somewhere, for an earlier owner.
    if (attempt > 1 && assignment.gated) this.#takeover.announce([placed])
  }

  stop(assignment: Assignment): void {
    const placed = this.#of(assignment)
    // One that has begun is told by its signal; what becomes of it is reported.
    if (placed === undefined || !isUnbegun(placed)) return
    const wasOffered = placed.state === 'offered'
    this.#end(placed)
    for (const sent of placed.sent) this.#withdraw(sent)
    // It may be with a worker, or come to one together with others.
    if (wasOffered)
      for (const node of this.workers.nodes) this.#stopAt(node, placed, 'it is not wanted any more')
  }

  withdraw(assignment: Assignment): boolean {
    const placed = this.#of(assignment)
    if (placed === undefined) return true
    return isUnbegun(placed)
  }

  leave(assignment: Assignment): void {
    const placed = this.#of(assignment)
    if (placed !== undefined) this.#forget(placed)
  }

  lend(): void {
    // Slots are the workers'.
  }

  reclaim(_assignment: Assignment, resume: () => void): void {
    resume()
  }

  obstacles(): readonly string[] {
    return this.#unserved.obstacles()
  }

  /** What is in the queue, and what runs, is for the next owner. */
  async close(): Promise<void> {
    this.isClosed = true
    for (const stop of this.#stops.splice(0)) stop()
    this.#sweep.stop()
    for (const placed of [...this.placed.values(), ...this.#gone]) placed.stopReports()
    this.placed.clear()
    this.#gone.clear()
    this.courier.close()
  }

  #of({ runId, attempt }: Assignment): Placed | undefined {
    return this.placed.get(keyOf(runId, attempt))
  }

  /** Nobody has taken it, or the whole of it is not wanted. */
  #withdraw({ id, placed }: Sent): void {
    if (placed.some((one) => one.state !== 'over')) return
    this.remote.queue
      .withdraw({ of: 'task', name: this.settings.queue }, id)
      .catch((error: unknown) => this.pool.report(error))
  }

  // --- how attempts end -------------------------------------------------------------------------------------------

  /** It is over; what still comes of it is told to stop. */
  #end(placed: Placed): void {
    if (placed.state === 'over') return
    if (isUnbegun(placed)) {
      this.#backlog--
      if (placed.sent.length > 0) this.#offering.withdrawn(placed.assignment)
    }
    placed.state = 'over'
    if (this.placed.get(placed.key) === placed) this.placed.delete(placed.key)
    this.#gone.add(placed)
    for (const oldest of this.#gone) {
      if (this.#gone.size <= mostGone) break
      this.#gone.delete(oldest)
      oldest.stopReports()
    }
    if (this.placed.size === 0) this.#sweep.stop()
  }

  /** Nothing more is expected of it, and nothing more comes. */
  #forget(placed: Placed): void {
    this.#end(placed)
    this.#gone.delete(placed)
    placed.stopReports()
  }

  /** The place where its body ran is gone. */
  lost(placed: Placed, why: string): void {
    if (placed.state !== 'begun' && placed.state !== 'granted') return
    this.#end(placed)
    const { runId } = placed.assignment
    const error = new RunError('RUN_CRASHED', why, { details: { runId, host: placed.node } })
    this.pool.reports.lost(placed.assignment, { crashed: false, error })
  }

  refused(placed: Placed, error: TroupeError): void {
    this.#forget(placed)
    this.pool.reports.refused(placed.assignment, error)
  }

  /** Offers what has not begun once more: it may have been taken by a worker that is gone, or lost. */
  offerAgain(placed: Placed): void {
    if (placed.state !== 'offered') return
    const newest = placed.sent.at(-1)
    this.#tellToAsk(placed)
    this.#offering.again(placed)
    // Where it waits after all, one message of it is enough.
    if (newest?.placed.length === 1)
      this.remote.queue
        .withdraw({ of: 'task', name: this.settings.queue }, newest.id)
        .catch((error: unknown) => this.pool.report(error))
  }

  /** A worker that has it by what was offered before has not heard that another may have it, too. */
  #tellToAsk({ assignment: { runId, attempt }, sent }: Placed): void {
    const offers = sent.map(({ id }) => id)
    const told = new Set<string>()
    const tell = (): void => {
      for (const node of this.workers.nodes) {
        if (told.has(node)) continue
        told.add(node)
        const notice = { to: 'ask', run: [runId, attempt], by: this.address, offers } as const
        this.courier.send({ node, topic: workerTopic }, notice)
      }
    }
    tell()
    // Some may have come since it was looked.
    this.workers.look().then(tell, (error: unknown) => this.pool.report(error))
  }

  foreign(sent: Sent): void {
    sent.isForeign = true
    const [first] = sent.placed
    if (first === undefined) return
    this.#verdicts.arrived(first.assignment.flowRunId)
    this.#takeover.announce([first])
  }

  // --- what workers report ----------------------------------------------------------------------------------------

  #reported(placed: Placed, report: WorkerReport): void {
    const { node, result, refused, asked } = report
    const isOther = placed.node !== undefined && placed.node !== node
    if (placed.state === 'over' || isOther) {
      if (result === undefined && refused === undefined)
        this.#stopAt(node, placed, 'it is over, or goes on elsewhere')
      return
    }
    placed.heardAt = this.remote.clock.monotonic()
    if (refused !== undefined && isUnbegun(placed)) {
      const details = { host: node }
      this.refused(placed, new UsageError(refused.code as UsageError['code'], refused.message, { details }))
      return
    }
    if (!this.#begins(placed, node)) return
    if (asked && !placed.hasCalled) {
      this.lostToTakeover(placed)
      return
    }
    if (result === undefined) {
      // A report that waited in the mailbox may be older than the end of its worker.
      if (!this.workers.nodes.includes(node)) this.#takeover.check([placed])
      return
    }
    const { clock } = this.remote
    this.durations.took(placed.assignment.task.name, clock.monotonic() - placed.begunAt)
    this.#forget(placed)
    this.pool.reports.finished(placed.assignment, placed.server.result(result))
  }

  /** It has submitted runs, which only the owner before knew. */
  lostToTakeover(placed: Placed): void {
    const { node } = placed
    this.lost(placed, 'the owner of the flow run was lost, and its body had submitted runs')
    if (node !== undefined) this.#stopAt(node, placed, 'another attempt takes its place')
  }

  /** A worker has begun it. @returns Whether it may go on */
  #begins(placed: Placed, node: string): boolean {
    if (placed.state === 'begun') return true
    const wasGranted = placed.state === 'granted'
    if (!wasGranted && !this.give(placed, node)) {
      this.#stopAt(node, placed, 'it is not wanted any more')
      return false
    }
    placed.state = 'begun'
    placed.begunAt = this.remote.clock.monotonic()
    this.#unserved.served(placed)
    return true
  }

  /** From now on it is that worker's. @returns False where the run has ended meanwhile */
  give(placed: Placed, node: string): boolean {
    this.#backlog--
    placed.node = node
    placed.state = 'granted'
    if (this.pool.reports.started(placed.assignment, node)) return true
    this.#end(placed)
    return false
  }

  #stopAt(node: string, { assignment: { runId, attempt }, sent }: Placed, why: string): void {
    const offers = sent.map(({ id }) => id)
    this.#tellToStop(node, { run: [runId, attempt], why, offers })
  }

  #tellToStop(
    node: string,
    what: { readonly run: AttemptName; readonly why: string; readonly offers: readonly string[] },
  ): void {
    this.courier.send({ node, topic: workerTopic }, { to: 'stop', by: this.address, ...what })
  }

  // --- what workers ask and tell ----------------------------------------------------------------------------------

  async #asked(bytes: Uint8Array): Promise<Uint8Array> {
    const talk = unpackTalk(bytes)
    if ('post' in talk)
      return this.courier.receive(talk.post, (item, from) => this.#told(item as ToOwner, from))
    const { question } = talk
    if (question.ask !== 'may begin') return packAnswer([])
    return packAnswer(await Promise.all(question.runs.map((run) => this.#verdicts.mayBegin(run, question))))
  }

  #told(item: ToOwner, from: string): void {
    if (item.of === 'missing') {
      this.#unserved.missing(item)
      return
    }
    if (item.of === 'returned') {
      for (const [runId, attempt, begun] of item.runs) {
        const placed = this.placed.get(keyOf(runId, attempt))
        if (placed !== undefined) this.#returned(placed, { begun, from, isMissing: item.isMissing })
      }
      return
    }
    const [runId, attempt] = item.run
    const placed = this.placed.get(keyOf(runId, attempt))
    if (item.of === 'ended') {
      if (placed?.node === from) this.#ended(placed)
      return
    }
    if (placed === undefined || (placed.node !== undefined && placed.node !== from)) {
      this.#tellToStop(from, { run: item.run, why: 'it is over, or goes on elsewhere', offers: [] })
      return
    }
    placed.heardAt = this.remote.clock.monotonic()
    if (this.#begins(placed, from)) this.#tells(placed, item.tell)
  }

  /** Its body was told to stop, and has ended: what it found counts no more. */
  #ended(placed: Placed): void {
    const { runId } = placed.assignment
    const error = new RunError('RUN_CANCELLED', 'it was told to stop', { details: { runId } })
    this.#forget(placed)
    this.pool.reports.finished(placed.assignment, { error })
  }

  #returned(
    placed: Placed,
    { begun, from, isMissing }: { begun: boolean; from: string; isMissing: boolean },
  ): void {
    if (begun && placed.node === from) this.lost(placed, `worker ${from} was stopped`)
    if (begun || placed.state !== 'offered') return
    const { clock } = this.remote
    if (isMissing) clock.at(clock.now() + missingMs, () => this.offerAgain(placed))
    else this.offerAgain(placed)
  }

  /** Does for a body what it told. */
  #tells(placed: Placed, tell: RemoteTell): void {
    const { server } = placed
    if ('ask' in tell) {
      placed.hasCalled = true
      const answer = server.answer(tell)
      if ('value' in answer) this.#sendTo(placed, { submitted: answer.value })
      else this.pool.report(server.result({ ...answer.error, thrown: true }))
      return
    }
    if (tell.tell === 'await') (placed.awaited ??= new Map()).set(tell.ticket, tell.ref)
    server.told(tell)
  }

  /** An event for a body. */
  #send(placed: Placed, event: BodyEvent): void {
    const ref = 'ticket' in event ? placed.awaited?.get(event.ticket) : undefined
    if (ref !== undefined && 'ticket' in event) {
      placed.awaited?.delete(event.ticket)
      // The state first: the body may ask for it as soon as it goes on.
      const state = placed.server.answer({ ask: 'state', ref })
      if ('value' in state) this.#sendTo(placed, { ref, state: state.value })
    }
    this.#sendTo(placed, event)
  }

  #sendTo({ node, assignment: { runId, attempt } }: Placed, event: RemoteEvent): void {
    if (node === undefined || this.isClosed) return
    this.courier.send({ node, topic: workerTopic }, { to: 'body', run: [runId, attempt], event })
  }

  // --- workers that are gone --------------------------------------------------------------------------------------

  #lostNode(node: string): void {
    this.courier.lost(node)
    const concurrency = this.workers.concurrencyOf(node)
    const begun: Placed[] = []
    const unbegun: Placed[] = []
    for (const placed of this.placed.values()) {
      if (placed.node === node) begun.push(placed)
      // The oldest are with it, if any are: as many as it runs, and as many ahead.
      else if (placed.state === 'offered' && unbegun.length < 2 * concurrency) unbegun.push(placed)
    }
    void this.#lostBegun(node, begun)
    this.#offerLater(unbegun)
  }

  /** Another worker may have begun them, and its report be on its way. */
  #offerLater(unbegun: readonly Placed[]): void {
    if (unbegun.length === 0) return
    const offers = unbegun.map((placed) => [placed, placed.sent.at(-1)] as const)
    const { clock } = this.remote
    clock.at(clock.now() + reportMs, () => {
      if (this.isClosed) return
      // Those that were offered again meanwhile are not, once more.
      for (const [placed, newest] of offers) if (placed.sent.at(-1) === newest) this.offerAgain(placed)
    })
  }

  async #lostBegun(node: string, begun: readonly Placed[]): Promise<void> {
    try {
      // What has ended counts, though it was not heard yet.
      await readAgain(this.remote, begun)
    } catch (error) {
      this.pool.report(error)
    }
    for (const placed of begun) this.lost(placed, `worker ${node} was lost`)
  }

  announce(placed: readonly Placed[]): void {
    this.#takeover.announce(placed)
  }

  check(placed: readonly Placed[]): void {
    this.#takeover.check(placed)
  }
}
