/** The streams of a namespace, as a server tells of them. */
import { jetstreamManager, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { until } from './until.ts'

/** Looks at, and disturbs, what is kept on servers, past every node. */
export class Streams {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly #namespace: string

  private constructor(nc: NatsConnection, jsm: JetStreamManager, namespace: string) {
    this.nc = nc
    this.jsm = jsm
    this.#namespace = namespace
  }

  static async open(servers: readonly string[], namespace: string): Promise<Streams> {
    const nc = await connect({
      servers: [...servers],
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      waitOnFirstConnect: true,
    })
    return new Streams(nc, await jetstreamManager(nc, { checkAPI: false }), namespace)
  }

  async all(): Promise<StreamInfo[]> {
    const found: StreamInfo[] = []
    for await (const info of this.jsm.streams.list()) {
      const name = info.config.name.replace(/^(KV|OBJ)_/, '')
      if (name.startsWith(`${this.#namespace}_`)) found.push(info)
    }
    return found
  }

  /** The newest sequence number of a stream; waits until there is a server that knows it. */
  lastSeq(stream: string): Promise<number> {
    return until(`${stream} is there`, () =>
      this.jsm.streams.info(stream).then(
        ({ state }) => state.last_seq,
        () => undefined,
      ),
    )
  }

  /** What waits in work queues, or is held by takers. */
  async queued(): Promise<string[]> {
    const left: string[] = []
    for (const { config, state } of await this.all()) {
      if (config.retention !== 'workqueue') continue
      if (state.messages > 0) left.push(`${state.messages} messages in ${config.name}`)
      for await (const { name, num_ack_pending } of this.jsm.consumers.list(config.name)) {
        if (num_ack_pending > 0)
          left.push(`${num_ack_pending} without acknowledgement of ${config.name}.${name}`)
      }
    }
    return left
  }

  /** Forgets all of the namespace. */
  async delete(): Promise<void> {
    for (const { config } of await this.all()) await this.jsm.streams.delete(config.name)
  }

  async close(): Promise<void> {
    await this.nc.close()
  }
}
