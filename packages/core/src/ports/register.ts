/** What a register has under a key. @public */
export interface Registered {
  readonly value: Uint8Array
  /** Number of the write: greater than that of every write to this key before. */
  readonly revision: number
  /**
   * When it was written, in milliseconds by the clock of the store. Only for how much later one write was than another: it
   * is not compared with any clock of this machine.
   */
  readonly writtenAt: number
}

/**
 * Small values that several nodes change in turns: a write says which revision it builds on, and is refused where another
 * came first. For limits, locks, and whoever works on a cache key.
 *
 * Every adapter is held to `registerConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface Register {
  /** The newest value, as every write that was answered left it. */
  get(key: string): Promise<Registered | undefined>
  /**
   * Writes a value.
   *
   * @param expected - The revision that it builds on; 0 where there is to be none.
   * @returns The new revision; undefined where `expected` is not the newest
   */
  put(key: string, value: Uint8Array, expected: number): Promise<number | undefined>
  /** Forgets a key. @returns False where `expected` is not the newest revision. */
  delete(key: string, expected: number): Promise<boolean>
  /** Keys that begin with a text. */
  keys(prefix: string): Promise<readonly string[]>
  /**
   * Calls `listener` with every key of a prefix that is written or forgotten from now on, by any node; now and then also
   * with one that was not. @returns A function that ends it.
   */
  subscribe(prefix: string, listener: (key: string) => void): () => void
}
