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
  announce(node: string): Promise<void>
  /** Of these names, those whose engine is gone for sure: it was closed, or its process or machine has ended. */
  gone(nodes: readonly string[]): Promise<readonly string[]>
  /** The engine is closed. */
  withdraw(node: string): Promise<void>
}
