import type { Address } from '../remote/node-talk.ts'

/** How many flow runs are remembered. */
const most = 10_000

/** Who owns flow runs, as far as this node has heard. */
export class Owners {
  readonly #said = new Map<string, Address>()
  readonly #lost = new Set<string>()

  /** An owner says that a flow run is its own. */
  owns(flowRunId: string, address: Address): void {
    this.#lost.delete(address.node)
    this.#said.delete(flowRunId)
    this.#said.set(flowRunId, address)
    trim(this.#said)
  }

  lost(node: string): void {
    this.#lost.add(node)
    trim(this.#lost)
  }

  /** The owner of a flow run. @param offered - As an offer names it, which may be old. */
  of(flowRunId: string, offered: Address): Address {
    const said = this.#said.get(flowRunId)
    return said === undefined || this.#lost.has(said.node) ? offered : said
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
