import type { Station, Transport, TransportHost } from '@troupe/core'
import { Bodies } from './bodies/bodies.ts'
import { BodiesMailbox } from './bodies/mailbox.ts'
import { BodiesQueue } from './bodies/queue.ts'
import { NatsMailbox } from './mailbox/nats-mailbox.ts'
import { NatsNodes } from './nodes/nats-nodes.ts'
import { Onlooker } from './nodes/onlooker.ts'
import { checkNode, settingsOf, type NatsTransportOptions, type Settings } from './options.ts'
import { NatsQueue } from './queue/nats-queue.ts'
import { Shared } from './shared.ts'
import { Presence } from './thread/link.ts'
import { usualTimes, type Times } from './times.ts'

/**
 * Nodes over NATS JetStream, of server 2.9.4 or newer. Constructing it connects to nothing; an engine that is given it does when
 * something is first asked of it.
 *
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function natsTransport(options: NatsTransportOptions = {}): Transport {
  return new NatsTransport(settingsOf(options), usualTimes)
}

/** With other times, for tests. */
export function natsTransportWith(options: NatsTransportOptions, times: Partial<Times>): Transport {
  return new NatsTransport(settingsOf(options), { ...usualTimes, ...times })
}

class NatsTransport implements Transport {
  readonly name = 'nats'
  readonly #settings: Settings
  readonly #times: Times

  constructor(settings: Settings, times: Times) {
    this.#settings = settings
    this.#times = times
  }

  open(host: TransportHost): Station {
    checkNode(host.node)
    const times = this.#times
    const presence = new Presence({ settings: this.#settings, host, times })
    const shared: Shared = new Shared(this.#settings, host, {
      clearing: (flowRunId) => mailbox.clearing(flowRunId),
      gone: (names) => presence.gone(names),
    })
    const { link, journal, cache, register, live, relay } = shared
    const mailbox = new NatsMailbox({ link, presence, times })
    const nodes = this.#settings.readOnly
      ? new Onlooker(link, times)
      : new NatsNodes({ link, presence, serves: () => relay?.start() })
    const queue = new NatsQueue({ link, presence, times })
    let closed: Promise<void> | undefined
    const close = async (): Promise<void> => {
      await queue.close()
      await mailbox.close()
      await nodes.close()
      await presence.close()
      await shared.close()
    }
    const bodies = new Bodies(link, shared.blobs)
    return {
      journal,
      nodes,
      cache,
      register,
      queue: new BodiesQueue(queue, bodies),
      mailbox: new BodiesMailbox(mailbox, bodies),
      ...(live === undefined ? undefined : { publish: (transition) => live.publish(transition) }),
      trouble: () => link.trouble,
      obstacles: () => journal.stream.obstacles,
      close: () => (closed ??= close()),
    }
  }
}
