import { CodecError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal, JournalSummary } from '../ports/journal.ts'
import type { ClusterNodes, NodeInfo } from '../ports/nodes.ts'
import type { Delivery, Queue, Taking } from '../ports/queue.ts'
import type { Random } from '../ports/random.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { isPassing } from './patient-journal.ts'
import type { Run } from './run.ts'

/** How many flow runs are claimed at once for each flow, and how long what can't be claimed now stays away. */
const claimedAtOnce = 16
const laterMs = 1_000
const page = 1_000
/** How long what can't be gone on with stays away, in milliseconds: at first, and at most. */
const pauses = {
  /** A node is there that has its version. */
  elsewhere: [100, 15_000],
  /** It waits for such a node, or for word of its owner. */
  awaited: [laterMs, 15_000],
  /** Something went wrong. */
  trouble: [laterMs, 60_000],
} as const
/** How often what can't be read is tried, and how many of those are remembered. */
const mostUnreadable = 5
const mostRemembered = 10_000

export interface FlowServerHost {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  rootOf(flowRunId: string): Run | undefined
  /** Whether another node has it; undefined where that does not say. */
  hasRun(node: string, flowRunId: string): Promise<boolean | undefined>
  /** @throws what keeps it from being recovered */
  recoverOne(flowRunId: string, served: readonly Definition[]): Promise<Run | 'over' | 'pinned'>
  report(error: unknown, run: undefined): void
}

/** Offers a flow run to whoever serves its flow; where it was offered before and not taken, that changes nothing. */
export async function offerRun(
  queue: Queue,
  { flowRunId, name, epoch }: Pick<JournalSummary, 'flowRunId' | 'name' | 'epoch'>,
): Promise<void> {
  const body = encodeValue({ flowRunId }, { at: 'offer' })
  const id = `${flowRunId}.${epoch + 1}`
  await queue.offer({ queue: { of: 'flow', name }, priority: 'normal', id, body })
}

/** Takes flow runs that are offered to any node, goes on with them here, and offers those of nodes that are lost. */
export class FlowServer {
  readonly #host: FlowServerHost
  readonly #queue: Queue
  readonly #nodes: ClusterNodes
  readonly #flows: readonly Definition[]
  readonly #takings = new Map<string, Taking>()
  /** Claims that are under way. */
  readonly #claims = new Set<Promise<void>>()
  /** How often deliveries could not be read, by their ids. */
  readonly #unreadable = new Map<string, number>()
  /** Why and for how long deliveries were handed back last that can't be gone on with here. */
  readonly #pauses = new Map<string, { readonly why: keyof typeof pauses; readonly ms: number }>()
  #stopped = false
  #stopHearing: (() => void) | undefined

  constructor(
    host: FlowServerHost,
    { queue, nodes }: { readonly queue: Queue; readonly nodes: ClusterNodes },
    flows: readonly Definition[],
  ) {
    this.#host = host
    this.#queue = queue
    this.#nodes = nodes
    this.#flows = flows
  }

  start(): void {
    if (this.#flows.length === 0 || this.#stopped) return
    this.#stopHearing = this.#nodes.lost((node) => this.#lost(node))
    for (const name of new Set(this.#flows.map((flow) => flow.name))) {
      const taking = this.#queue.take({ of: 'flow', name }, (delivery) => this.#arrived(name, delivery))
      this.#takings.set(name, taking)
      taking.want(claimedAtOnce)
    }
  }

  /** Takes no more. Resolves when what was being claimed is claimed, or back in its queue. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopHearing?.()
    await Promise.all([...this.#takings.values()].map((taking) => taking.stop()))
    await Promise.all(this.#claims)
  }

  #arrived(name: string, delivery: Delivery): void {
    const claim = this.#claim(delivery).finally(() => {
      this.#claims.delete(claim)
      if (!this.#stopped) this.#takings.get(name)?.want(1)
    })
    this.#claims.add(claim)
  }

  async #claim(delivery: Delivery): Promise<void> {
    if (this.#stopped) {
      delivery.handBack()
      return
    }
    try {
      const { flowRunId } = decodeValue(delivery.body) as { readonly flowRunId: string }
      const summary = await this.#host.journal.summary(flowRunId)
      const isOwned = summary === undefined || summary.ended || (await this.#isOwned(summary))
      if (isOwned === true) delivery.done()
      else if (isOwned === undefined) delivery.handBack(this.#pauseOf(delivery, 'awaited'))
      else if (await this.#belongsElsewhere(summary)) delivery.handBack(this.#pauseOf(delivery, 'elsewhere'))
      else await this.#goOn(flowRunId, delivery)
    } catch (error) {
      this.#failed(delivery, error)
    }
  }

  /** What can't be read here may be read elsewhere, but not for ever: it is offered again by whoever finds it in its journal. */
  #failed(delivery: Delivery, error: unknown): void {
    if (!(error instanceof CodecError)) {
      this.#host.report(error, undefined)
      delivery.handBack(isPassing(error) ? laterMs : this.#pauseOf(delivery, 'trouble'))
      return
    }
    const { id } = delivery
    const tries = (this.#unreadable.get(id) ?? 0) + 1
    this.#unreadable.delete(id)
    if (tries < mostUnreadable) {
      if (tries === 1) this.#host.report(error, undefined)
      remember(this.#unreadable, id, tries)
      delivery.handBack(laterMs)
      return
    }
    const message = `${id} was taken from its queue for good: it could not be read in ${tries} tries`
    this.#host.report(new CodecError('MALFORMED_PAYLOAD', message, { cause: error }), undefined)
    delivery.done()
  }

  /** Twice as long each time, as long as the reason is the same: whole journals are read for it, maybe for months. */
  #pauseOf({ id }: Delivery, why: keyof typeof pauses): number {
    const [firstMs, longestMs] = pauses[why]
    const before = this.#pauses.get(id)
    const ms = before?.why === why ? Math.min(before.ms * 2, longestMs) : firstMs
    this.#pauses.delete(id)
    remember(this.#pauses, id, { why, ms })
    // Not in step with those who ask: the oldest question gets it, and that would be the same one's each time.
    return ms * (0.5 + this.#host.random.number())
  }

  async #goOn(flowRunId: string, delivery: Delivery): Promise<void> {
    const run = await this.#host.recoverOne(flowRunId, this.#flows)
    if (run === 'pinned') delivery.handBack(this.#pauseOf(delivery, 'awaited'))
    else if (run === 'over') this.#over(delivery)
    else {
      await new Promise<void>((resolve) => run.ledger.whenSafe(resolve))
      this.#pauses.delete(delivery.id)
      // Another node was first; or this one has left before the claim was safe.
      if (run.ledger.lost) delivery.handBack(laterMs)
      else delivery.done()
    }
  }

  /** An engine that closes recovers nothing, whether a run has ended or not. */
  #over(delivery: Delivery): void {
    if (this.#stopped) delivery.handBack()
    else delivery.done()
  }

  /** Whether a node has it that is there, this one included; undefined where that one does not say. */
  async #isOwned({ flowRunId, node }: JournalSummary): Promise<boolean | undefined> {
    const here = this.#host.rootOf(flowRunId)
    // One that was just started with this id is refused soon, where its journal was there before.
    if (here?.ledger.position === 0) await new Promise<void>((go) => here.ledger.whenSafe(go))
    if (this.#host.rootOf(flowRunId) !== undefined) return true
    if (node === '' || node === this.#host.node) return false
    if ((await this.#nodes.gone([node])).length > 0) return false
    // It may have been started anew under its name, and know nothing of it.
    return this.#host.hasRun(node, flowRunId)
  }

  /** Whether it began with a version that only other nodes have. */
  async #belongsElsewhere({ name, version }: JournalSummary): Promise<boolean> {
    const isHere = this.#flows.some((flow) => flow.name === name && flow.version === version)
    if (isHere) return false
    const nodes = await this.#nodes.list()
    return nodes.some(({ flows }) => flows.includes(servedName({ name, version })))
  }

  #lost(node: string): void {
    this.#offerOf(node).catch((error: unknown) => {
      // It was closed meanwhile: the others do it.
      if (!this.#stopped) this.#host.report(error, undefined)
    })
  }

  /**
   * Offers every flow run that has not ended and that nobody has. Repeats what was done before, which changes nothing. Those whose flow
   * nobody serves are left: whoever comes to serve it offers them.
   */
  async offerOwnerless(): Promise<void> {
    const nodes = await this.#nodes.list()
    const there = new Set(nodes.map(({ node }) => node))
    const gone = new Map<string, boolean>()
    await this.#offerAll(nodes, async ({ node }) => {
      if (node === '') return true
      if (node === this.#host.node) return false
      if (there.has(node)) return false
      if (!gone.has(node)) gone.set(node, (await this.#nodes.gone([node])).length > 0)
      return gone.get(node) === true
    })
  }

  /** Those of a node. */
  async #offerOf(node: string): Promise<void> {
    await this.#offerAll(await this.#nodes.list(), (summary) => summary.node === node, { node })
  }

  async #offerAll(
    nodes: readonly NodeInfo[],
    isWanted: (summary: JournalSummary) => boolean | Promise<boolean>,
    only: { readonly node?: string } = {},
  ): Promise<void> {
    const { journal } = this.#host
    const served = servedFlows(nodes)
    for (const { name } of this.#flows) served.add(name)
    let after = 0
    for (;;) {
      const found = await journal.list({ ...only, ended: false, parent: null, limit: page, after })
      for (const summary of found)
        if (
          served.has(summary.name) &&
          summary.kind === 'flow' &&
          !this.#stopped &&
          (await isWanted(summary))
        )
          await offerRun(this.#queue, summary)
      after = found.at(-1)?.order ?? after
      if (found.length < page || this.#stopped) return
    }
  }
}

function remember<T>(known: Map<string, T>, id: string, value: T): void {
  known.set(id, value)
  for (const oldest of known.keys()) {
    if (known.size <= mostRemembered) break
    known.delete(oldest)
  }
}

/** Names of the flows that nodes serve which are there. */
export function servedFlows(nodes: readonly NodeInfo[]): Set<string> {
  const names = new Set<string>()
  for (const { flows } of nodes)
    for (const flow of flows)
      // A name and a version may have the character between them, too.
      for (let at = flow.indexOf('@'); at !== -1; at = flow.indexOf('@', at + 1)) names.add(flow.slice(0, at))
  return names
}

/** How a node tells that it serves a flow. */
export function servedName({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`
}
