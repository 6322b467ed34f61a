import type { Address } from '../remote/node-talk.ts'

/** How many flow runs are remembered. */
const most = 10_000

interface Known {
  readonly address: Address
  /** Whether the owner said so itself, and not only an offer that may be old. */
  readonly isSaid: boolean
}

/** Who owns flow runs, as far as this node has heard. */
export class Owners {
  readonly #known = new Map<string, Known>()
  readonly #lost = new Set<string>()

  /** An offer names its owner. What owners say themselves is newer, unless they are gone. */
  offered(flowRunId: string, address: Address): void {
    const known = this.#known.get(flowRunId)
    const isNewer = known?.isSaid === true && !this.#lost.has(known.address.node)
    this.#remember(flowRunId, isNewer ? known : { address, isSaid: false })
  }

  owns(flowRunId: string, address: Address): void {
    this.#lost.delete(address.node)
    this.#remember(flowRunId, { address, isSaid: true })
  }

  lost(node: string): void {
    this.#lost.add(node)
    for (const oldest of this.#lost) {
      if (this.#lost.size <= most) break
      this.#lost.delete(oldest)
    }
  }

  of(flowRunId: string): Address {
    return this.#known.get(flowRunId)?.address ?? nobody
  }

  /** The node that owns it, where it is not known to be gone. */
  nodeOf(flowRunId: string): string | undefined {
    const node = this.#known.get(flowRunId)?.address.node
    return node === undefined || this.#lost.has(node) ? undefined : node
  }

  #remember(flowRunId: string, known: Known): void {
    this.#known.delete(flowRunId)
    this.#known.set(flowRunId, known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= most) break
      this.#known.delete(oldest)
    }
  }
}

const nobody: Address = { node: '', topic: '' }
