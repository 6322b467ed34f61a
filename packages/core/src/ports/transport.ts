import type { Cache } from './cache.ts'
import type { Clock } from './clock.ts'
import type { Journal } from './journal.ts'
import type { Mailbox } from './mailbox.ts'
import type { ClusterNodes } from './nodes.ts'
import type { Queue } from './queue.ts'
import type { Random } from './random.ts'
import type { Register } from './register.ts'
import type { Transition } from '../streams/transition.ts'

/** The engine that opens a transport. @public */
export interface TransportHost {
  /** Its name as a node. */
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  /** Something went wrong that no caller hears of: a connection was lost, say. It may be told again and again. */
  report(error: unknown): void
  /**
   * The node was cut off, or was blocked, for so long that others count it as gone: it must let go of what it holds.
   */
  cutOff(error: unknown): void
}

/** What a node has of its transport: the ports, for as long as it is open. @public */
export interface Station {
  readonly journal: Journal
  readonly mailbox: Mailbox
  readonly nodes: ClusterNodes
  readonly cache: Cache
  readonly queue: Queue
  readonly register: Register
  /**
   * Shows a transition to whoever listens outside of Troupe. The engine calls it with each transition that it committed, after the commit,
   * and in the order of `position` for each flow run; it may be lost. It neither waits nor throws, and does nothing after `close`. Absent
   * where nothing is published, or where that is done from the journals.
   */
  publish?(transition: Transition): void
  /**
   * What keeps it from reaching the others just now, in words for people; undefined where nothing does, as far as it knows. Absent where
   * nothing can.
   */
  trouble?(): string | undefined
  /** What keeps the node from doing its work until a person sees to it, in words; empty where there is nothing. */
  obstacles?(): readonly string[]
  /** Lets go of everything; what was taken from queues and is not done goes back. Calls after it reject. */
  close(): Promise<void>
}

/**
 * How the nodes of a cluster share journals, queues, and each other's news. An inert description: constructing one connects
 * to nothing, and several engines may be given the same one.
 *
 * @public
 */
export interface Transport {
  /** Name for people, such as `nats`. */
  readonly name: string
  /** Opens it for one engine. Returns at once; calls of the ports wait until it is connected. */
  open(host: TransportHost): Station
}
