import type { Clock } from '../ports/clock.ts'
import type { ClusterNodes } from '../ports/nodes.ts'
import type { Delivery } from '../ports/queue.ts'
import type { Random } from '../ports/random.ts'
import type { Address, ToOwner } from '../remote/node-talk.ts'

/** How long others have to take what can't be executed here, in milliseconds: at first, and at most. */
const firstMs = 100
const longestMs = 5_000
/** For how long it is believed who is there, in milliseconds. */
const staleMs = 1_000
/** How many deliveries are remembered. */
const mostRemembered = 10_000

interface MissingHost {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly nodes: Pick<ClusterNodes, 'list'>
  send(owner: Address, item: ToOwner): void
}

interface Pause {
  readonly ms: number
  /** The other workers that it was left to. */
  readonly others: string
}

/**
 * Leaves to other workers what is not defined here. Nobody knows which of them has it; so it stays away for a moment first, and
 * for longer each time it comes back, until another worker is there.
 */
export class Missing {
  readonly #host: MissingHost
  readonly #pauses = new Map<string, Pause>()
  readonly #told = new Set<string>()
  /** By queue. */
  readonly #others = new Map<string, { readonly at: number; readonly names: Promise<string> }>()

  constructor(host: MissingHost) {
    this.#host = host
  }

  /** Tells an owner that a task is not defined here. */
  tell(owner: Address, { name: task, version }: { readonly name: string; readonly version: string }): void {
    const { node, clock } = this.#host
    const key = `${owner.topic} ${task} ${version}`
    if (this.#told.has(key)) return
    this.#told.add(key)
    // Told again when it still is.
    clock.at(clock.now() + longestMs, () => this.#told.delete(key))
    this.#host.send(owner, { of: 'missing', node, task, version })
  }

  /** @param queue - The name of the queue that it came from. */
  async handBack(delivery: Delivery, queue: string): Promise<void> {
    const ms = this.#pauseOf(delivery.id, await this.#othersOf(queue))
    // Uneven: where takers ask for work as often as it comes back, the oldest question gets it, and that would be the same one's each time.
    delivery.handBack(ms * (0.5 + this.#host.random.number()))
  }

  #pauseOf(id: string, others: string): number {
    const before = this.#pauses.get(id)
    const isKnown = before?.others === others
    const ms = others === '' ? longestMs : isKnown ? Math.min(before.ms * 2, longestMs) : firstMs
    this.#pauses.delete(id)
    this.#pauses.set(id, { ms, others })
    for (const oldest of this.#pauses.keys()) {
      if (this.#pauses.size <= mostRemembered) break
      this.#pauses.delete(oldest)
    }
    return ms
  }

  /** The other workers of a queue; none where that can't be had just now. */
  #othersOf(queue: string): Promise<string> {
    const { node, clock, nodes } = this.#host
    const now = clock.monotonic()
    const known = this.#others.get(queue)
    if (known !== undefined && now - known.at < staleMs) return known.names
    const names = nodes.list().then(
      (infos) =>
        infos
          .filter((info) => info.node !== node && info.queues[queue] !== undefined)
          .map((info) => info.node)
          .toSorted()
          .join(' '),
      () => '',
    )
    this.#others.set(queue, { at: now, names })
    return names
  }
}
