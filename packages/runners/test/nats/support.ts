import {
  createEngine,
  memoryTransport,
  type Engine,
  type EngineOptions,
  type MemoryTransport,
  type MemoryTransportOptions,
  type Station,
  type TransportHost,
} from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'

/** A cluster in one process, and what its nodes have of it. */
export class TestCluster {
  readonly transport: MemoryTransport
  readonly stations = new Map<string, Station>()
  readonly hosts = new Map<string, TransportHost>()
  readonly engines = new Map<string, Engine>()
  readonly errors: unknown[] = []
  readonly #options: EngineOptions
  #seed = 0

  constructor(transport: MemoryTransportOptions = {}, options: EngineOptions = {}) {
    const inner = memoryTransport(transport)
    this.transport = Object.assign(Object.create(inner) as MemoryTransport, {
      name: inner.name,
      open: (host: TransportHost): Station => {
        const station = inner.open(host)
        this.hosts.set(host.node, host)
        this.stations.set(host.node, station)
        return station
      },
      crash: (node: string) => inner.crash(node),
      partition: (node: string) => inner.partition(node),
      heal: (node: string) => inner.heal(node),
    })
    this.#options = options
  }

  /** Adds a node. */
  node(name: string, options: EngineOptions = {}): Engine {
    const engine = createEngine({
      strictValues: true,
      random: seededRandom(++this.#seed),
      logger: silent,
      ...this.#options,
      transport: this.transport,
      node: name,
      ...options,
    })
    engine.errors.subscribe(({ error }) => this.errors.push(error))
    this.engines.set(name, engine)
    return engine
  }

  /** Adds a node that takes from queues. */
  worker(
    name: string,
    queues: Readonly<Record<string, number>> = { default: 2 },
    options: EngineOptions = {},
  ) {
    return this.node(name, { ...options, serve: { tasks: queues } })
  }

  /** What a node has that only looks. */
  observe(): Station {
    const [host] = this.hosts.values()
    if (host === undefined) throw new TypeError('there is no node')
    return this.transport.open({ ...host, node: 'observer' })
  }

  async close(): Promise<void> {
    await this.closeOthers(undefined)
  }

  /** Closes all but one, which the caller closes. */
  async closeOthers(engine: Engine | undefined): Promise<void> {
    const others = [...this.engines.values()].filter((other) => other !== engine)
    for (const other of others.toReversed()) await other.close()
  }
}

const nothing = (): void => undefined
export const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }
