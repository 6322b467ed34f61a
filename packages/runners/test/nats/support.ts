import {
  createEngine,
  flow,
  memoryTransport,
  type Engine,
  type EngineOptions,
  type MemoryTransport,
  type MemoryTransportOptions,
  type RunHandle,
  type StateName,
  type Station,
  type TransportHost,
} from '@troupe/core'
import { seededRandom, virtualClock, type VirtualClock } from '@troupe/core/testing'
import { NatsTaskRunner } from '@troupe/runners'

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** A cluster in one process, and what its nodes have of it. */
export class TestCluster implements AsyncDisposable {
  readonly transport: MemoryTransport
  readonly stations = new Map<string, Station>()
  readonly hosts = new Map<string, TransportHost>()
  readonly engines = new Map<string, Engine>()
  readonly errors: unknown[] = []
  readonly #options: EngineOptions
  readonly #cut = new Set<string>()
  #seed: number

  constructor(transport: MemoryTransportOptions = {}, options: EngineOptions = {}) {
    const inner = memoryTransport(transport)
    this.#seed = 100 * (transport.seed ?? 1)
    this.transport = {
      name: inner.name,
      open: (host: TransportHost): Station => {
        const station = inner.open(host)
        this.hosts.set(host.node, host)
        this.stations.set(host.node, station)
        return station
      },
      crash: (node) => inner.crash(node),
      partition: (node) => inner.partition(node),
      heal: (node) => inner.heal(node),
      published: (listener) => inner.published(listener),
    }
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

  /** A node's process is killed. */
  crash(name: string): void {
    this.transport.crash(name)
    this.engines.delete(name)
    this.#cut.delete(name)
  }

  cut(name: string): void {
    this.#cut.add(name)
    this.transport.partition(name)
  }

  /** Ends that a node is cut off, unless it has died meanwhile. */
  heal(name: string): void {
    if (this.#cut.delete(name)) this.transport.heal(name)
  }

  async close(): Promise<void> {
    await this.closeOthers(undefined)
  }

  /** Closes all but one, which the caller closes. */
  async closeOthers(engine: Engine | undefined): Promise<void> {
    // One that is cut off can't say that it goes.
    for (const name of this.#cut) this.heal(name)
    const others = [...this.engines.values()].filter((other) => other !== engine)
    for (const other of others.toReversed()) await other.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** A cluster on virtual time. */
export class VirtualCluster extends TestCluster {
  readonly clock: VirtualClock

  constructor(transport: MemoryTransportOptions = {}, clock = virtualClock()) {
    super(transport, { clock })
    this.clock = clock
  }

  settle<T>(promise: PromiseLike<T>): Promise<T> {
    return this.clock.run(promise)
  }

  /** Lets time pass. */
  pass(ms: number): Promise<void> {
    const { clock } = this
    return clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
  }

  /** Lets time pass until a run is in a state. */
  reached(run: RunHandle<unknown>, name: StateName): Promise<void> {
    return this.settle(
      new Promise<void>((resolve, reject) => {
        run.states.subscribe({
          next: (state) => state.name === name && resolve(),
          error: reject,
          complete: () => reject(new TypeError(`${run.id} ended, and was never ${name}`)),
        })
      }),
    )
  }

  /** The states that a run went through, with where it ran, as `Pending → Running w1 → Completed`. */
  async history(engine: Engine, runId: string): Promise<string> {
    const states: string[] = []
    await this.settle(
      new Promise<void>((resolve, reject) => {
        engine.watch({ runId }).subscribe({
          next: ({ to, host }) => states.push(to.name === 'Running' ? `${to.name} ${host ?? ''}` : to.name),
          error: reject,
          complete: resolve,
        })
      }),
    )
    return states.join(' → ')
  }

  override close(): Promise<void> {
    return this.settle(super.close())
  }
}

/** A flow on the default queue. */
export function remoteFlow<A extends unknown[], R>(name: string, body: (...args: A) => R) {
  return flow({ name, taskRunner: new NatsTaskRunner() }, body)
}
