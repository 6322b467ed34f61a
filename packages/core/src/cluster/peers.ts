import type { ClusterNodes } from '../ports/nodes.ts'
import type { Random } from '../ports/random.ts'

/**
 * The engines of a cluster, as owners of what stands in its register: the name of a node, and a number that tells this
 * engine from one of the same name that was there before.
 */
export class Peers {
  readonly node: string
  /** This engine. */
  readonly owner: string
  /** Resolves when the others know this engine: before that it counts as gone, and must write nothing. */
  ready: Promise<void> | undefined
  readonly #nodes: Pick<ClusterNodes, 'gone' | 'lost'>
  #arrive = (): void => undefined

  constructor(nodes: Pick<ClusterNodes, 'gone' | 'lost'>, node: string, random: Random) {
    this.#nodes = nodes
    this.node = node
    this.owner = `${random.uint32().toString(16).padStart(8, '0')}#${node}`
    this.ready = new Promise((resolve) => (this.#arrive = resolve))
  }

  /** The others know this engine. */
  arrived(): void {
    this.ready = undefined
    this.#arrive()
  }

  nodeOf(owner: string): string {
    return owner.slice(owner.indexOf('#') + 1)
  }

  /** Of these owners, those that are gone for sure. A living engine's name is its alone: another of that name is gone. */
  async gone(owners: Iterable<string>): Promise<ReadonlySet<string>> {
    const others = [...new Set(owners)].filter((owner) => owner !== this.owner)
    const former = others.filter((owner) => this.nodeOf(owner) === this.node)
    const names = [...new Set(others.map((owner) => this.nodeOf(owner)))].filter((name) => name !== this.node)
    const gone = new Set(names.length === 0 ? [] : await this.#nodes.gone(names))
    return new Set([...former, ...others.filter((owner) => gone.has(this.nodeOf(owner)))])
  }

  /** Calls `listener` when a node is found to be gone. @returns A function that ends it. */
  lost(listener: () => void): () => void {
    return this.#nodes.lost((node) => {
      if (node !== this.node) listener()
    })
  }
}
