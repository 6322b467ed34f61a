/** What callers of the codec and of the canonical hash may say. */

/** What stands for an object that is not written itself. @public */
export interface Reference {
  /** Says what kind of thing it stands for; `revive` gets it back. */
  readonly tag: string
  /** Any value that can be encoded. */
  readonly data: unknown
}

/** How a value is walked. @public */
export interface WalkOptions {
  /** Name of the outermost value in paths, such as `args`. Default `value`. */
  readonly at?: string
  /**
   * Asked first for every object that is no plain array, plain object, Map or Set; what it gives is written
   * instead of the object. An error of Troupe that it throws is passed on as it is.
   */
  readonly replace?: (leaf: object) => Reference | undefined
}
