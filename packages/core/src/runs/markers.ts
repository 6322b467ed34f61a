declare const wrapped: unique symbol

/** A value that stands for a `T` in an argument position. @public */
export interface Wrapped<out T> {
  readonly [wrapped]: T
}

/** Marks a dependency that may fail. */
export class AllowFailure {
  readonly future: unknown

  constructor(future: unknown) {
    this.future = future
  }
}

/** Marks a value in which futures are not looked for. */
export class Opaque {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

/** Marks an argument of `map` that is the same for every call. @public */
export class Unmapped<out T> {
  readonly value: T

  constructor(value: T) {
    this.value = value
  }
}

/**
 * The same value for every call of a `map`.
 *
 * @public
 */
export function unmapped<T>(value: T): Unmapped<T> {
  return new Unmapped(value)
}

/**
 * A value handed on as it is: futures in it are neither looked for nor waited for. Spares the search of a large value.
 *
 * @public
 */
export function opaque<T>(value: T): Wrapped<T> {
  return new Opaque(value) as unknown as Wrapped<T>
}
