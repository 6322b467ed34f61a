/** What a walk over a value hands its parts to. */
import type { BytesKind } from './format.ts'

/**
 * Makes something of the parts of a value, the innermost first. `R` is what it makes; never undefined.
 *
 * Lists given to it are its own to change.
 */
export interface Sink<R> {
  primitive(value: undefined | null | boolean | number | string | bigint): R
  list(items: R[]): R
  /** Parts are key, value, key, value …; `bare` is an object without a prototype. */
  record(parts: R[], bare: boolean): R
  /** Parts are key, value, key, value … */
  map(parts: R[]): R
  set(items: R[]): R
  date(time: number): R
  regexp(source: string, flags: string, lastIndex: R): R
  url(href: string): R
  bytes(kind: BytesKind, bytes: Uint8Array): R
  error(error: Error, walker: LenientWalker<R>): R
  instance(name: string, data: R): R
  reference(tag: string, data: R): R
  /** Where the sink stands, so that a part that fails half-way can be taken back. */
  mark(): number
  rollback(mark: number): void
}

/** Walks the properties of an error. */
export interface LenientWalker<R> {
  /**
   * Walks a property and appends key and value to `parts`. Of a value that can't be encoded, what can be is
   * kept: the other properties of a plain object, the other items of a list. If nothing is left, nothing is
   * appended.
   */
  property(key: string, value: unknown, parts: R[]): void
}
