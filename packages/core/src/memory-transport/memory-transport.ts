import { JournalError, UsageError } from '../base/errors.ts'
import { memoryCache } from '../ports/cache.ts'
import { memoryMailbox } from '../ports/mailbox.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import type { NodeInfo } from '../ports/nodes.ts'
import type { Transition } from '../streams/transition.ts'
import type { Station, Transport, TransportHost } from '../ports/transport.ts'
import { StationJournal, stationCache, stationMailbox } from './journal.ts'
import { Members } from './nodes.ts'
import { settingsOf, type MemorySettings, type MemoryTransportOptions } from './options.ts'
import { Queues } from './queue.ts'
import { Registry } from './register.ts'
import { Wire } from './wire.ts'
import { World } from './world.ts'

/**
 * A cluster in one process: the engines that are given the same object are its nodes. They must share one time; with a
 * `virtualClock` everything happens in the same order for the same seeds.
 *
 * @public
 */
export interface MemoryTransport extends Transport {
  /**
   * Cuts a node off: nothing reaches it, and nothing comes from it, though it goes on. Soon it is told that it was cut off, and
   * the others that it is lost.
   *
   * @throws UsageError `INVALID_OPTION` where there is no such node
   */
  partition(node: string): void
  /** Ends that; it is there again. @throws UsageError `INVALID_OPTION` where there is no such node */
  heal(node: string): void
  /**
   * What happens to the others when a process is killed: none of the node's calls is answered any more, and nothing reaches it;
   * soon the others hear that it is lost, and get what it had taken from queues. The engine itself is to be forgotten.
   *
   * @throws UsageError `INVALID_OPTION` where there is no such node
   */
  crash(node: string): void
  /**
   * Calls `listener` with every transition that a node publishes from now on, as a program would hear of it that is no node: some may be
   * lost. Nothing comes without the option `publish`. @returns A function that ends it.
   */
  published(listener: (transition: Transition) => void): () => void
}

/**
 * Makes a transport in this process's memory, for tests and for trying things out: several engines are nodes of one cluster,
 * and what goes wrong between them goes wrong by chance, from a seed.
 *
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function memoryTransport(options: MemoryTransportOptions = {}): MemoryTransport {
  return new Cluster(settingsOf(options))
}

class Cluster implements MemoryTransport {
  readonly name = 'memory'
  readonly #settings: MemorySettings
  readonly #world: World
  readonly #journal
  readonly #mailbox = memoryMailbox()
  readonly #cache = memoryCache()
  readonly #wires = new Set<Wire>()
  readonly #members = new Members()
  readonly #queues = new Queues()
  readonly #registry = new Registry()
  readonly #listeners = new Set<(transition: Transition) => void>()
  /** What nodes that are cut off were known by. */
  readonly #lost = new Map<Wire, readonly [string, NodeInfo][]>()

  constructor(settings: MemorySettings) {
    this.#settings = settings
    this.#world = new World(settings)
    this.#journal = memoryJournal(settings.keep === undefined ? {} : { keep: settings.keep })
  }

  open(host: TransportHost): Station {
    const wire = new Wire(this.#world, host)
    this.#wires.add(wire)
    const nodes = this.#members.at(wire)
    const mailbox = stationMailbox(wire, this.#mailbox)
    const cache = stationCache(wire, this.#cache)
    let closed: Promise<void> | undefined
    return {
      journal: new StationJournal(wire, this.#journal, { mailbox, nodes, cache }),
      mailbox,
      nodes,
      cache,
      queue: this.#queues.at(wire),
      register: this.#registry.at(wire),
      ...(this.#settings.publish ? { publish: (transition) => this.#publish(wire, transition) } : undefined),
      trouble: () => (wire.state === 'cut' ? 'it is cut off from the others' : undefined),
      close: () => (closed ??= this.#close(wire)),
    }
  }

  published(listener: (transition: Transition) => void): () => void {
    // A function of its own for each call: the same listener may be given twice.
    const own = (transition: Transition): void => listener(transition)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  #publish(wire: Wire, transition: Transition): void {
    if (this.#listeners.size === 0 || wire.state !== 'up') return
    wire.up(() => {
      for (const listener of this.#listeners) {
        try {
          listener(transition)
        } catch (error) {
          wire.host.report(error)
        }
      }
    })
  }

  partition(node: string): void {
    const { lostAfterMs, leaseMs } = this.#settings
    for (const wire of this.#wiresOf(node)) {
      if (wire.state !== 'up') continue
      wire.cut()
      const { cuts } = wire
      this.#queues.cut(wire, leaseMs)
      this.#world.after(lostAfterMs, () => {
        if (wire.state !== 'cut' || wire.cuts !== cuts) return
        this.#lost.set(wire, this.#members.namesOf(wire))
        this.#members.lose(wire)
        this.#queues.lost(wire, Math.max(leaseMs - lostAfterMs, 0))
        const message = `node ${node} was cut off from the others, and is taken for lost`
        wire.host.cutOff(new JournalError('TRANSPORT_UNAVAILABLE', message, { details: { node } }))
      })
    }
  }

  heal(node: string): void {
    for (const wire of this.#wiresOf(node)) {
      if (wire.state !== 'cut') continue
      wire.heal()
      this.#members.return(wire, this.#lost.get(wire) ?? [])
      this.#lost.delete(wire)
      this.#queues.heal(wire)
    }
  }

  crash(node: string): void {
    const { lostAfterMs, leaseMs } = this.#settings
    for (const wire of this.#wiresOf(node)) {
      wire.end('dead')
      this.#wires.delete(wire)
      this.#queues.leave(wire, leaseMs)
      this.#world.after(lostAfterMs, () => this.#members.lose(wire))
    }
  }

  async #close(wire: Wire): Promise<void> {
    const { lostAfterMs, leaseMs } = this.#settings
    if (wire.state === 'up') {
      await wire.call(() => {
        this.#queues.leave(wire, 0)
        this.#members.lose(wire)
      })
    }
    if (wire.state === 'dead') return
    if (wire.state === 'cut') {
      // Nobody hears of it.
      this.#queues.leave(wire, leaseMs)
      this.#world.after(lostAfterMs, () => this.#members.lose(wire))
      this.#lost.delete(wire)
    }
    wire.end('closed')
    this.#wires.delete(wire)
  }

  #wiresOf(node: string): readonly Wire[] {
    const wires = [...this.#wires].filter(({ host }) => host.node === node)
    if (wires.length > 0) return wires
    throw new UsageError('INVALID_OPTION', `there is no node ${node} that is open`, { details: { node } })
  }
}
