/** What a node tells the others of itself. @public */
export interface NodeInfo {
  readonly node: string
  /** Flows that it serves, as `name@version`. */
  readonly flows: readonly string[]
  /** Queues that it takes task runs from, and how many task runs it executes at once. */
  readonly queues: Readonly<Record<string, number>>
}

/**
 * Which engines are there: so that a run is taken over only from one that is gone.
 *
 * @public
 */
export interface Nodes {
  /**
   * Makes an engine known under its name.
   *
   * @throws JournalError `NODE_IN_USE` where a living engine has that name
   */
  announce(node: string, info?: NodeInfo): Promise<void>
  /** Of these names, those whose engine is gone for sure: it was closed, or its process or machine has ended. */
  gone(nodes: readonly string[]): Promise<readonly string[]>
  /** The engine is closed. */
  withdraw(node: string): Promise<void>
}

/**
 * Nodes that can talk to each other. Presence does not depend on the event loop of the node: one whose user code blocks it is
 * there, until it has been blocked for longer than its transport allows.
 *
 * Every adapter is held to `clusterNodesConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface ClusterNodes extends Nodes {
  /** The nodes that are there. */
  list(): Promise<readonly NodeInfo[]>
  /**
   * Calls `listener` with every node that is found to be gone from now on, closed or dead; each at least once, on every node
   * that is there. @returns A function that ends it.
   */
  lost(listener: (node: string) => void): () => void
  /** Calls `listener` with every question to `node`, which is announced here. What it throws goes to nobody. @returns A function that ends it. */
  answer(node: string, listener: (question: Uint8Array) => Promise<Uint8Array>): () => void
  /**
   * Asks a node. A question may arrive though no answer comes back, and arrives at most once.
   *
   * @returns Its answer; undefined where none came within `withinMs` milliseconds, at once where the node is not there
   */
  ask(node: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined>
}
