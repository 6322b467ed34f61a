import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect, errors, type NatsConnection } from '@nats-io/transport-node'
import type { TransportHost } from '@troupe/core'
import { Link } from '../../src/connection/link.ts'
import { NatsMailbox } from '../../src/mailbox/nats-mailbox.ts'
import { NatsNodes } from '../../src/nodes/nats-nodes.ts'
import { settingsOf, type NatsTransportOptions } from '../../src/options.ts'
import { NatsQueue } from '../../src/queue/nats-queue.ts'
import { Presence } from '../../src/thread/link.ts'
import { usualTimes, type Times } from '../../src/times.ts'
import { until } from '../faults/harness/until.ts'
import { freshNamespace, hostOf } from '../support.ts'

/** What a node has of queues, mailboxes and the others. */
export interface QueueNode {
  readonly queue: NatsQueue
  readonly mailbox: NatsMailbox
  readonly nodes: NatsNodes
  readonly presence: Presence
  readonly link: Link
  readonly namespace: string
  readonly name: string
  readonly reports: unknown[]
  /** Times that the node was told that it counts as gone. */
  readonly cutOffs: unknown[]
  readonly close: () => Promise<void>
  /** Ends as a process that is killed. */
  readonly crash: () => Promise<void>
}

/** Times for tests in which leases are to end. */
export const shortTimes: Partial<Times> = { ackWaitMs: 1_500, pullMs: 300, idlePullMs: 600 }

export interface NodeOptions extends NatsTransportOptions {
  readonly times?: Partial<Times>
  readonly cutOff?: (error: unknown) => void
  readonly reported?: (error: unknown) => void
}

export function queueNodeAt({ times, cutOff, reported, ...options }: NodeOptions): QueueNode {
  const namespace = options.namespace ?? freshNamespace()
  const reports: unknown[] = []
  const cutOffs: unknown[] = []
  const settings = settingsOf({ ...options, namespace })
  const host: TransportHost = {
    ...hostOf(reports),
    report(error) {
      reports.push(error)
      reported?.(error)
    },
    cutOff(error) {
      cutOffs.push(error)
      cutOff?.(error)
    },
  }
  const link = new Link(settings, host)
  const all: Times = { ...usualTimes, ...times }
  const presence = new Presence({ settings, host, times: all })
  const queue = new NatsQueue({ link, presence, times: all })
  const mailbox = new NatsMailbox({ link, presence, times: all })
  const nodes = new NatsNodes({ link, presence })
  let isOver = false
  return {
    queue,
    mailbox,
    nodes,
    presence,
    link,
    namespace,
    name: host.node,
    reports,
    cutOffs,
    async close() {
      if (isOver) return
      isOver = true
      await queue.close()
      await mailbox.close()
      await nodes.close()
      await presence.close()
      await link.close()
    },
    async crash() {
      isOver = true
      await presence.kill()
      const { nc } = await link.control()
      // Nothing of what the process still had to say is sent.
      await nc.close()
      await link.close()
    },
  }
}

/** A look at the server from outside. */
export interface Outside {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly close: () => Promise<void>
}

export async function outside(servers: string | string[]): Promise<Outside> {
  const nc = await connect({
    servers,
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  })
  return { nc, jsm: await jetstreamManager(nc), close: () => nc.close() }
}

/** Deliveries of all consumers of a stream that are not acknowledged. */
export async function unacknowledged({ jsm }: Outside, stream: string): Promise<number> {
  let count = 0
  for await (const { num_ack_pending: held } of jsm.consumers.list(stream)) count += held
  return count
}

/** Resolves when nothing of a stream is held by anybody. */
export async function untilNothingHeld(from: Outside, stream: string): Promise<void> {
  await until('nothing is held', async () => {
    try {
      return (await unacknowledged(from, stream)) === 0
    } catch (error) {
      // While a leader is elected nobody answers.
      if (error instanceof errors.TimeoutError) return false
      throw error
    }
  })
}
