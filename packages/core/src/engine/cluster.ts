import type { Clock } from '../ports/clock.ts'
import type { NodeInfo } from '../ports/nodes.ts'
import type { RemoteHost } from '../ports/task-runner.ts'
import type { Station } from '../ports/transport.ts'
import type { Mail } from './mail.ts'
import { Questions } from './questions.ts'
import { remoteHost } from './remote-host.ts'
import { FlowServer, servedName, type FlowServerHost } from './serve-flows.ts'
import type { Served } from './serve-options.ts'
import type { Random } from '../ports/random.ts'

/** How often a node that serves flows looks for flow runs that nobody has: what a lost message would leave. */
const reconcileMs = 15_000

export interface ClusterHost extends FlowServerHost {
  readonly clock: Clock
  readonly random: Random
  readonly mail: Mail
}

/** What an engine is and does as a node: it serves flows and queues, and gives its task runners their ports. */
export class Cluster {
  readonly remote: RemoteHost
  readonly info: NodeInfo
  readonly #host: ClusterHost
  readonly #questions: Questions
  readonly #flows: FlowServer
  readonly #served: Served
  #stopTimer: (() => void) | undefined
  #stopped = false

  constructor(host: ClusterHost, station: Station, served: Served) {
    this.#host = host
    this.#served = served
    this.info = { node: host.node, flows: served.flows.map(servedName), queues: served.queues }
    this.#questions = new Questions(station.nodes, host.node)
    this.remote = remoteHost(host, station, this.#questions)
    this.#flows = new FlowServer(host, station, served.flows)
  }

  /** The node is known to the others. */
  start(): void {
    if (this.#stopped) return
    this.#flows.start()
    if (this.#served.flows.length > 0) this.#reconcile()
  }

  #reconcile(): void {
    this.#flows
      .offerOwnerless()
      .catch((error: unknown) => this.#host.report(error, undefined))
      .finally(() => {
        if (this.#stopped) return
        const { clock, random } = this.#host
        // Not all nodes at once.
        const after = reconcileMs * (0.75 + random.number() / 2)
        this.#stopTimer = clock.at(clock.now() + after, () => this.#reconcile())
      })
  }

  /** Takes nothing more. Resolves when what was not begun is with the others. */
  async drain(): Promise<void> {
    this.#stopped = true
    this.#stopTimer?.()
    await this.#flows.stop()
  }

  close(): void {
    this.#questions.close()
  }
}
