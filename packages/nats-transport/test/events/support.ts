import { AckPolicy, jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import { createEngine, flow, type Engine, type EngineOptions, type Flow } from '@troupe/core'
import { freshNamespace } from '../support.ts'
import { until } from '../faults/harness/until.ts'

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export interface Order {
  readonly id: string
}

/** A dead letter as it is kept. */
export interface Kept {
  readonly subject: string
  readonly body: string
  readonly facts: Readonly<Record<string, string>>
}

/** Streams and engines of one test, past the source that is tested. */
export class Place {
  readonly url: string
  readonly namespace = freshNamespace()
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly errors: unknown[] = []
  /** Ids of orders that flow runs were started for, in order. */
  readonly seen: string[] = []
  readonly #engines: Engine[] = []

  private constructor(url: string, nc: NatsConnection, jsm: JetStreamManager) {
    this.url = url
    this.nc = nc
    this.jsm = jsm
  }

  static async open(url: string): Promise<Place> {
    const nc = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
    return new Place(url, nc, await jetstreamManager(nc))
  }

  get stream(): string {
    return `${this.namespace}_ORDERS`
  }

  get subject(): string {
    return `${this.namespace}.orders`
  }

  /** Where the stream and its consumer are, for `natsEvents`. */
  get from(): { servers: string; namespace: string; stream: string; consumer: string } {
    return { servers: this.url, namespace: this.namespace, stream: this.stream, consumer: 'service' }
  }

  get create(): { subjects: string[] } {
    return { subjects: [`${this.namespace}.orders.>`, this.subject] }
  }

  async makeStream(): Promise<void> {
    await this.jsm.streams.add({ name: this.stream, subjects: this.create.subjects })
  }

  async makeConsumer(config: object = {}): Promise<void> {
    await this.jsm.consumers.add(this.stream, {
      durable_name: 'service',
      ack_policy: AckPolicy.Explicit,
      ...config,
    })
  }

  async publish(
    body: string | Uint8Array | object,
    options: { id?: string; subject?: string } = {},
  ): Promise<void> {
    const marked = headers()
    if (options.id !== undefined) marked.set('Nats-Msg-Id', options.id)
    const payload = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
    // A stream that was just made may not hear its subjects yet.
    await jetstream(this.nc).publish(options.subject ?? this.subject, payload, {
      headers: marked,
      retries: 20,
    })
  }

  engine(options: EngineOptions = {}): Engine {
    const engine = createEngine({ logger: silent, ...options })
    engine.errors.subscribe(({ error }) => this.errors.push(error))
    this.#engines.push(engine)
    return engine
  }

  /** A flow that notes what it was started for, and waits for `gate`. */
  accept(gate: Promise<void> = Promise.resolve()): Flow<[order: Order], string> {
    return flow('accept', async ({ id }: Order) => {
      this.seen.push(id)
      await gate
      return id
    })
  }

  /** Messages that were delivered and not acknowledged, and those that wait. */
  async unacknowledged(): Promise<{ held: number; waiting: number; redelivered: number }> {
    const info = await this.jsm.consumers.info(this.stream, 'service')
    return { held: info.num_ack_pending, waiting: info.num_pending, redelivered: info.num_redelivered }
  }

  async untilAcknowledged(): Promise<void> {
    await until('all is acknowledged', async () => {
      const { held, waiting } = await this.unacknowledged()
      return held === 0 && waiting === 0
    })
  }

  /** What is kept in a stream, oldest first. */
  async kept(stream = `${this.namespace}_DEAD`): Promise<Kept[]> {
    const { state } = await this.jsm.streams.info(stream)
    const found: Kept[] = []
    for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
      const message = await this.jsm.streams.getMessage(stream, { seq })
      if (message === null) continue
      const { subject, header, data } = message
      const facts = Object.fromEntries(header.keys().map((name) => [name, header.get(name)]))
      found.push({ subject, body: Buffer.from(data).toString(), facts })
    }
    return found
  }

  async untilKept(count: number, stream?: string): Promise<Kept[]> {
    return until(`${count} dead letters are kept`, async () => {
      const found = await this.kept(stream).catch(() => [])
      return found.length >= count && found
    })
  }

  async close(): Promise<void> {
    for (const engine of this.#engines) await engine.close()
    for await (const { config } of this.jsm.streams.list())
      if (config.name.startsWith(`${this.namespace}_`)) await this.jsm.streams.delete(config.name)
    await this.nc.close()
  }
}
