import type { RemoteHost } from '@troupe/core'
import {
  packQuestion,
  unpackAnswer,
  workerTopic,
  type Courier,
  type Address,
  type AttemptName,
  type Presence,
} from '@troupe/core/internal'
import { readAgain, type Placed } from './placed.ts'
import type { Workers } from './workers.ts'

const answerMs = 2_000
const firstPauseMs = 100
const longestPauseMs = 2_000

const isThere = ({ state }: Placed): boolean => state === 'begun' || state === 'granted'

interface TakeoverHost {
  readonly remote: RemoteHost
  readonly address: Address
  readonly workers: Workers
  readonly courier: Courier
  readonly isClosed: boolean
  readonly pool: { report(error: unknown): void }
  lost(placed: Placed, why: string): void
  lostToTakeover(placed: Placed): void
}

/** Bodies that run already when this engine gets their flow run, and those that were not heard of for long: are they there? */
export class Takeover {
  readonly #host: TakeoverHost
  #gathered: Placed[] = []
  readonly #announced = new Map<string, number>()
  #isAnnouncing = false

  constructor(host: TakeoverHost) {
    this.#host = host
  }

  /** It runs, as the journal tells. */
  add(placed: Placed): void {
    // What was reported before is heard first.
    placed.assignment.whenSafe(() => {
      this.#gathered.push(placed)
      if (this.#gathered.length > 1) return
      this.#host.remote.clock.turn(() => {
        const gathered = this.#gathered
        this.#gathered = []
        this.check(gathered)
      })
    })
  }

  /** Asks the workers of these for them. */
  check(all: readonly Placed[]): void {
    const byNode = new Map<string, Placed[]>()
    for (const placed of all) {
      if (!isThere(placed) || placed.node === undefined) continue
      const ofNode = byNode.get(placed.node)
      if (ofNode === undefined) byNode.set(placed.node, [placed])
      else ofNode.push(placed)
    }
    for (const [node, ofNode] of byNode) void this.#checkAt(node, ofNode)
  }

  async #checkAt(node: string, all: readonly Placed[]): Promise<void> {
    const { remote, isClosed } = this.#host
    const { clock } = remote
    for (let pauseMs = firstPauseMs; !isClosed; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const placed = all.filter(isThere)
      if (placed.length === 0 || this.#host.isClosed) return
      try {
        const answers = await this.#ask(node, placed)
        if (answers !== undefined) {
          await this.#are(placed, answers, node)
          return
        }
        if ((await remote.nodes.gone([node])).length > 0) {
          await readAgain(remote, placed)
          for (const one of placed) this.#host.lost(one, `worker ${node} was lost`)
          return
        }
      } catch (error) {
        this.#host.pool.report(error)
      }
      await new Promise<void>((resolve) => void clock.at(clock.now() + pauseMs, resolve))
    }
  }

  async #ask(node: string, placed: readonly Placed[]): Promise<readonly Presence[] | undefined> {
    const { remote, address: owner } = this.#host
    const flowRuns = [...new Map(placed.map(({ assignment }) => [assignment.flowRunId, assignment.epoch]))]
    const runs = placed.map(({ assignment }): AttemptName => [assignment.runId, assignment.attempt])
    const question = packQuestion({ ask: 'owns', owner, flowRuns, runs })
    const answer = await remote.ask(node, workerTopic, question, answerMs)
    return answer === undefined ? undefined : (unpackAnswer(answer) as readonly Presence[])
  }

  async #are(placed: readonly Placed[], presences: readonly Presence[], node: string): Promise<void> {
    const { clock } = this.#host.remote
    const missing: Placed[] = []
    for (const [index, one] of placed.entries()) {
      const presence = presences[index]
      if (presence === 'entangled' && !one.hasCalled) this.#host.lostToTakeover(one)
      else if (presence === 'none') missing.push(one)
      else one.heardAt = clock.monotonic()
    }
    // What has ended is in the mailbox: a worker does not forget it before.
    await readAgain(this.#host.remote, missing)
    for (const one of missing) this.#host.lost(one, `worker ${node} has lost it`)
  }

  /** Tells the workers of the queue who owns flow runs: what is in it names an earlier owner. */
  announce(placed: readonly Placed[]): void {
    for (const { assignment } of placed) this.#announced.set(assignment.flowRunId, assignment.epoch)
    if (this.#isAnnouncing) return
    this.#isAnnouncing = true
    void this.#announce()
  }

  async #announce(): Promise<void> {
    const { workers, address: owner, courier, pool } = this.#host
    try {
      await workers.look()
      const flowRuns = [...this.#announced]
      this.#announced.clear()
      for (const node of workers.nodes)
        courier.send({ node, topic: workerTopic }, { to: 'owns', owner, flowRuns })
    } catch (error) {
      // It goes with the next, by the sweep at the latest.
      pool.report(error)
    } finally {
      this.#isAnnouncing = false
    }
  }
}
