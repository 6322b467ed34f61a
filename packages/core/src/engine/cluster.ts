import { SharedState, type SharedStateHost } from '../cluster/shared-state.ts'
import type { JournalSummary } from '../ports/journal.ts'
import type { NodeInfo } from '../ports/nodes.ts'
import type { RemoteHost } from '../ports/task-runner.ts'
import type { Station } from '../ports/transport.ts'
import { Courier } from '../remote/courier.ts'
import { workerTopic, type AttemptName } from '../remote/node-talk.ts'
import type { Mail } from './mail.ts'
import type { Instruments } from './instruments.ts'
import { giveUpFormer, type FormerHost } from './former-runs.ts'
import { Questions } from './questions.ts'
import { remoteHost } from './remote-host.ts'
import type { SendOrder } from './send-order.ts'
import { sendRun, type SendHost, type Sent } from './send-run.ts'
import { FlowServer, offerRun, servedFlows, servedName, type FlowServerHost } from './serve-flows.ts'
import type { Served } from './serve-options.ts'
import { Sweeper } from './sweep.ts'
import { Worker } from '../worker/worker.ts'

/** How often a node that serves flows looks for flow runs that nobody has: what a lost message would leave. */
const reconcileMs = 15_000

/** What nodes ask each other about flow runs, and for how long they wait for an answer. */
const hasRunTopic = 'has flow run'
const answerMs = 2_000

export interface ClusterHost extends Omit<FlowServerHost, 'hasRun'>, FormerHost, SendHost, SharedStateHost {
  readonly mail: Mail
  readonly instruments: Instruments | undefined
  readonly watching: { givenUp(flowRunId: string): void }
}

/** What an engine is and does as a node: it serves flows and queues, and gives its task runners their ports. */
export class Cluster {
  readonly remote: RemoteHost
  readonly info: NodeInfo
  /** What the nodes decide together: limits, locks, who makes the result of a cache key. */
  readonly shared: SharedState
  readonly #host: ClusterHost
  readonly #questions: Questions
  readonly #flows: FlowServer
  readonly #served: Served
  /** There where queues are served. */
  readonly #worker: Worker | undefined
  readonly #station: Station
  readonly #sweeper: Sweeper
  /** Flow runs whose journals are being created for others to go on with. */
  readonly #sent = new Set<string>()
  /** Brings to workers what no task runner of this engine knows of. */
  #courier: Courier | undefined
  #stopTimer: (() => void) | undefined
  #stopped = false

  constructor(host: ClusterHost, station: Station, served: Served) {
    this.#host = host
    this.#station = station
    this.#served = served
    this.#sweeper = new Sweeper({ ...station, journal: host.journal }, host.clock)
    this.info = { node: host.node, flows: served.flows.map(servedName), queues: served.queues }
    this.shared = new SharedState(station, host)
    this.#questions = new Questions(station.nodes, host.node)
    this.remote = remoteHost(host, station, this.#questions)
    this.#flows = new FlowServer(
      {
        node: host.node,
        clock: host.clock,
        random: host.random,
        journal: host.journal,
        rootOf: (flowRunId) => host.rootOf(flowRunId),
        recoverOne: (flowRunId, flows) => host.recoverOne(flowRunId, flows),
        report: (error, run) => host.report(error, run),
        hasRun: (node, flowRunId) => this.#hasRun(node, flowRunId),
      },
      station,
      served.flows,
    )
    this.remote.answer(hasRunTopic, async (question) => {
      const isHere = host.rootOf(Buffer.from(question).toString()) !== undefined
      return Uint8Array.of(isHere ? 1 : 0)
    })
    if (Object.keys(served.queues).length > 0) this.#worker = this.#workerOf(host, station)
  }

  #workerOf(host: ClusterHost, { queue, mailbox, nodes }: Station): Worker {
    const { node, clock, random } = host
    return new Worker(
      {
        node,
        clock,
        random,
        queue,
        mailbox,
        nodes,
        within: host.instruments?.within,
        ask: (other, topic, question, withinMs) => this.remote.ask(other, topic, question, withinMs),
        answer: (topic, listener) => this.remote.answer(topic, listener),
        hasEnded: async (flowRunId) => (await host.journal.summary(flowRunId))?.ended,
        report: (error) => host.report(error, undefined),
      },
      this.#served.queues,
    )
  }

  async #hasRun(node: string, flowRunId: string): Promise<boolean | undefined> {
    const answer = await this.#questions.ask(node, hasRunTopic, Buffer.from(flowRunId), answerMs)
    return answer === undefined ? undefined : answer[0] === 1
  }

  /** The node is known to the others. */
  start(): void {
    if (this.#stopped) return
    this.shared.start()
    this.#flows.start()
    this.#worker?.start()
    void giveUpFormer(this.#host, this.#station.queue)
    if (this.#served.flows.length > 0) this.#reconcile()
  }

  #reconcile(): void {
    this.#repair()
      .catch((error: unknown) => {
        // It was closed meanwhile: the others do it.
        if (!this.#stopped) this.#host.report(error, undefined)
      })
      .finally(() => {
        if (this.#stopped) return
        const { clock, random } = this.#host
        // Not all nodes at once.
        const after = reconcileMs * (0.75 + random.number() / 2)
        this.#stopTimer = clock.at(clock.now() + after, () => this.#reconcile())
      })
  }

  /** Does again what a lost message left undone, and takes away what was left behind. */
  async #repair(): Promise<void> {
    await giveUpFormer(this.#host, this.#station.queue)
    try {
      await this.#flows.offerOwnerless()
    } finally {
      // Where there is no room for offers, this makes some.
      await this.#takeAway()
    }
  }

  async #takeAway(): Promise<void> {
    const nodes = await this.#station.nodes.list()
    const tasks = new Set(nodes.flatMap(({ queues }) => Object.keys(queues)))
    const flows = new Set(this.#served.flows.map(({ name }) => name))
    await this.#sweeper.sweep([
      ...[...tasks].map((name) => ({ of: 'task', name }) as const),
      ...[...flows].map((name) => ({ of: 'flow', name }) as const),
    ])
  }

  /** Starts a flow run on whichever node serves its flow. @throws UsageError `INVALID_OPTION`; CodecError `NOT_ENCODABLE` */
  send(order: SendOrder): Sent {
    const sent = sendRun(this.#host, this.#station, order)
    const { id } = sent.target
    this.#sent.add(id)
    const over = (): void => void this.#sent.delete(id)
    sent.created.then(over, () => {
      over()
      this.#host.watching.givenUp(id)
    })
    return sent
  }

  /** Whether the journal of a flow run is about to be there. */
  isExpected(flowRunId: string): boolean {
    return this.#sent.has(flowRunId)
  }

  /**
   * Tells which flow runs `recover()` is to leave to other nodes: those for any node, where this one does not serve their flow. What
   * was given up by a node, and is served by none that is there, is for whoever recovers it.
   */
  async leftToOthers(): Promise<(root: JournalSummary) => boolean> {
    const own = new Set(this.#served.flows.map(({ name }) => name))
    const served = servedFlows(await this.#station.nodes.list())
    return ({ node, kind, name, epoch }) =>
      node === '' && kind === 'flow' && !own.has(name) && (epoch === 1 || served.has(name))
  }

  /** The body of an attempt that is over may run on another node: it is told to stop. */
  stopElsewhere(node: string, run: AttemptName): void {
    const { node: own, clock, random } = this.#host
    const { nodes } = this.#station
    this.#courier ??= new Courier({
      node: own,
      clock,
      random,
      ask: (...question) => this.#questions.ask(...question),
      gone: (names) => nodes.gone(names),
      report: (error) => this.#host.report(error, undefined),
    })
    const by = { node: own, topic: hasRunTopic }
    const why = 'its run has ended'
    this.#courier.send({ node, topic: workerTopic }, { to: 'stop', run, why, by, offers: [] })
  }

  /** Offers a flow run that nobody has. */
  async offer(flowRunId: string): Promise<void> {
    const summary = await this.#host.journal.summary(flowRunId)
    if (summary !== undefined) await offerRun(this.#station.queue, summary)
  }

  /** Takes no more flow runs. Resolves when what was being claimed is claimed, or with the others. */
  async stopTaking(): Promise<void> {
    this.#stopped = true
    this.#stopTimer?.()
    await this.#flows.stop()
  }

  /**
   * Takes no more task runs: what has not begun goes back at once, and bodies may end within the grace. Resolves when none is
   * left here.
   */
  async drain(graceMs: number): Promise<void> {
    await this.#worker?.drain(graceMs)
  }

  /** Others count this node as gone: nothing that it took is its own any more. */
  cutOff(error: unknown): void {
    this.#worker?.cutOff(error)
  }

  async close(): Promise<void> {
    this.#worker?.close()
    this.#courier?.close()
    this.#questions.close()
    await this.shared.close()
  }
}
