import { NatsServerError } from './errors.ts'
import { findServer } from './find.ts'
import { jetStreamState, until } from './monitoring.ts'
import type { JetStreamState } from './monitoring.ts'
import { freePorts } from './ports.ts'
import { lostPort, Server } from './server.ts'
import type { NatsServer, ServerOptions } from './server.ts'

/** How a cluster is started. `config` and `configFile` hold for each of its servers. */
export interface ClusterOptions extends Omit<ServerOptions, 'port' | 'jetstream'> {
  /** How many servers. Default 3. */
  readonly nodes?: number
}

/** What of a NATS connection is needed to ask for another leader. */
export interface Requester {
  request(subject: string): Promise<{ readonly data: Uint8Array }>
}

/** Servers with JetStream that know each other, named `n1`, `n2`, … */
export interface NatsCluster {
  readonly servers: readonly NatsServer[]
  /** For a client's `servers`. */
  readonly urls: string[]
  /** The server that leads a stream, or a consumer of it; waits up to 30 s where none does. */
  leader(stream: string, consumer?: string): Promise<NatsServer>
  /** The server that leads the cluster's own state; waits up to 30 s where none does. */
  metaLeader(): Promise<NatsServer>
  /**
   * Lets a stream, or a consumer of it, have another leader, and waits until it has.
   *
   * @param client - A connection to the account that has the stream.
   * @returns The new leader.
   */
  stepDown(client: Requester, stream: string, consumer?: string): Promise<NatsServer>
  /** Waits until all servers that run have caught up. */
  healthy(): Promise<void>
  /** Ends all of them and removes their folders. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a cluster on 127.0.0.1 and waits until it has a leader and all are ready for streams with as many replicas.
 *
 * @throws {@link NatsServerError} Where there is no binary, or a server doesn't start; with its log.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<NatsCluster> {
  const binary = await findServer(options.version)
  const nodes = options.nodes ?? 3
  for (let attempt = 1; ; attempt++) {
    const cluster = new Cluster(binary, options, await freePorts(3 * nodes))
    try {
      await cluster.start()
      return cluster
    } catch (error) {
      await cluster.stop()
      if (!cluster.servers.some(lostPort) || attempt === 5) throw error
    }
  }
}

class Cluster implements NatsCluster {
  readonly servers: readonly Server[]

  constructor(binary: string, options: ClusterOptions, ports: readonly number[]) {
    const { args = [], ...rest } = options
    const triples = Array.from({ length: ports.length / 3 }, (_, node) => ports.slice(3 * node, 3 * node + 3))
    const routes = triples.map(([, , route]) => `nats://127.0.0.1:${route}`)
    this.servers = triples.map(([client = 0, monitor = 0], node) => {
      const membership = ['--name', `n${node + 1}`, '--cluster_name', 'troupe']
      const addresses = ['--cluster', `${routes[node]}`, '--routes', routes.join(',')]
      const all = { ...rest, args: [...membership, ...addresses, ...args] }
      return new Server(binary, all, { client, monitor })
    })
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url)
  }

  async start(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.start()))
    await this.metaLeader()
    await until('the cluster knows all its servers', async () => {
      const leader = await this.metaLeader()
      const state = await jetStreamState(leader.monitorUrl)
      return state?.meta_cluster?.cluster_size === this.servers.length ? true : undefined
    })
    await this.healthy()
  }

  async healthy(): Promise<void> {
    await Promise.all(this.#running().map((server) => server.healthy()))
  }

  metaLeader(): Promise<NatsServer> {
    return until('the cluster has a leader', () => this.#find((state) => state.meta_cluster?.leader))
  }

  leader(stream: string, consumer?: string): Promise<NatsServer> {
    return until(`${nameOf(stream, consumer)} has a leader`, () => this.#leaderNow(stream, consumer))
  }

  async stepDown(client: Requester, stream: string, consumer?: string): Promise<NatsServer> {
    const before = await this.leader(stream, consumer)
    const kind = consumer === undefined ? 'STREAM' : 'CONSUMER'
    const { data } = await client.request(`$JS.API.${kind}.LEADER.STEPDOWN.${nameOf(stream, consumer)}`)
    const answer = JSON.parse(new TextDecoder().decode(data)) as { success?: boolean }
    if (answer.success !== true) throw new NatsServerError(`No stepdown: ${JSON.stringify(answer)}`)
    return until(`${nameOf(stream, consumer)} has another leader`, async () => {
      const now = await this.#leaderNow(stream, consumer)
      return now === before ? undefined : now
    })
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #running(): Server[] {
    return this.servers.filter(({ running }) => running)
  }

  #leaderNow(stream: string, consumer?: string): Promise<NatsServer | undefined> {
    return this.#find((state) => {
      const streams = state.account_details?.flatMap((account) => account.stream_detail ?? []) ?? []
      const details = streams.find(({ name }) => name === stream)
      if (consumer === undefined) return details?.cluster?.leader
      return details?.consumer_detail?.find(({ name }) => name === consumer)?.cluster?.leader
    })
  }

  /** The server that says of itself that it leads: what others say of it may be old. */
  async #find(leader: (state: JetStreamState) => string | undefined): Promise<NatsServer | undefined> {
    for (const [index, server] of this.servers.entries()) {
      if (!server.running) continue
      const state = await jetStreamState(server.monitorUrl)
      if (state !== undefined && leader(state) === `n${index + 1}`) return server
    }
    return undefined
  }
}

function nameOf(stream: string, consumer?: string): string {
  return consumer === undefined ? stream : `${stream}.${consumer}`
}
