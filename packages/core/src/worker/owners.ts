import type { Address, Owner } from '../remote/node-talk.ts'

/** How many flow runs are remembered, and how many nodes that were lost. */
const most = 10_000

/** Who owns flow runs, as far as this node has heard. */
export class Owners {
  readonly #known = new Map<string, Owner>()
  readonly #lost = new Set<string>()

  /** An owner says so, or an offer does. @returns The latest that is known */
  heard(flowRunId: string, owner: Owner): Owner {
    const known = this.#known.get(flowRunId)
    const latest = known !== undefined && known.epoch > owner.epoch ? known : owner
    // It was there when it took the run.
    if (known !== undefined && owner.epoch > known.epoch) this.#lost.delete(owner.node)
    this.#known.delete(flowRunId)
    this.#known.set(flowRunId, latest)
    trim(this.#known)
    return latest
  }

  lost(node: string): void {
    this.#lost.add(node)
    trim(this.#lost)
  }

  isLost({ node }: Address): boolean {
    return this.#lost.has(node)
  }
}

function trim(known: Map<string, unknown> | Set<string>): void {
  for (const oldest of known.keys()) {
    if (known.size <= most) break
    known.delete(oldest)
  }
}
