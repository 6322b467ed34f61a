import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'

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

/** What can be moved without a copy. */
type Movable = ArrayBuffer | ArrayBufferView

const movable = {
  ArrayBuffer: (buffer: ArrayBuffer): Movable => buffer,
  Buffer: (buffer: ArrayBuffer): Movable => Buffer.from(buffer),
  DataView: (buffer: ArrayBuffer): Movable => new DataView(buffer),
  Int8Array: (buffer: ArrayBuffer): Movable => new Int8Array(buffer),
  Uint8Array: (buffer: ArrayBuffer): Movable => new Uint8Array(buffer),
  Uint8ClampedArray: (buffer: ArrayBuffer): Movable => new Uint8ClampedArray(buffer),
  Int16Array: (buffer: ArrayBuffer): Movable => new Int16Array(buffer),
  Uint16Array: (buffer: ArrayBuffer): Movable => new Uint16Array(buffer),
  Int32Array: (buffer: ArrayBuffer): Movable => new Int32Array(buffer),
  Uint32Array: (buffer: ArrayBuffer): Movable => new Uint32Array(buffer),
  Float32Array: (buffer: ArrayBuffer): Movable => new Float32Array(buffer),
  Float64Array: (buffer: ArrayBuffer): Movable => new Float64Array(buffer),
  BigInt64Array: (buffer: ArrayBuffer): Movable => new BigInt64Array(buffer),
  BigUint64Array: (buffer: ArrayBuffer): Movable => new BigUint64Array(buffer),
} as const

/** The view of that kind, of a whole buffer. */
export function viewOf(buffer: ArrayBuffer, kind: Moved['kind']): Movable {
  return movable[kind](buffer)
}

/** Marks a buffer that was given away: it reaches a body in another thread without a copy. */
export class Moved {
  readonly kind: keyof typeof movable
  readonly buffer: ArrayBuffer
  #isGiven = false

  constructor(kind: keyof typeof movable, buffer: ArrayBuffer) {
    this.kind = kind
    this.buffer = buffer
  }

  /** It is an argument of a call. @throws UsageError `INVALID_OPTION` where it was one before */
  give(path: string): void {
    if (this.#isGiven) {
      const message = `expected a value at ${path}, got what \`transfer\` gave to another call; a buffer is given away once`
      throw new UsageError('INVALID_OPTION', message, { details: { path } })
    }
    this.#isGiven = true
  }

  get value(): Movable {
    return viewOf(this.buffer, this.kind)
  }
}

/**
 * A buffer that is given away, as an argument or as what a body returns: where the body runs in another thread it gets
 * there without a copy. It is detached here at once, on every task runner. Where another attempt may follow, or a journal
 * stores the arguments, it is copied all the same.
 *
 * @param value - An ArrayBuffer, or a view that shows all of its buffer.
 * @throws {@link UsageError} `INVALID_OPTION` for anything else, and for a buffer that can't be detached
 * @public
 */
export function transfer<T extends ArrayBuffer | ArrayBufferView>(value: T): Wrapped<T> {
  const isView = ArrayBuffer.isView(value)
  const buffer: unknown = isView ? value.buffer : value
  const kind = Object.prototype.toString.call(value).slice(8, -1)
  if (!(buffer instanceof ArrayBuffer) || !(kind in movable)) {
    throw refusedTransfer(`an ArrayBuffer or a view of one, got ${inWords(value)}`)
  }
  if (isView && value.byteLength !== buffer.byteLength) {
    const shown = `${value.byteLength} of ${buffer.byteLength} bytes`
    throw refusedTransfer(`a view of a whole buffer, got one of ${shown}; copy it first: \`value.slice()\``)
  }
  // Node 20 takes a buffer that is detached already for an empty one.
  if (isDetached(buffer)) throw refusedTransfer('a buffer that was not given away (detached) before')
  const known = isView && Buffer.isBuffer(value) ? 'Buffer' : (kind as keyof typeof movable)
  const moved = detach(buffer)
  // That of a WebAssembly memory is copied, and stays.
  if (buffer.byteLength > 0) throw refusedTransfer('a buffer that can be detached')
  return new Moved(known, moved) as unknown as Wrapped<T>
}

function detach(buffer: ArrayBuffer): ArrayBuffer {
  try {
    return structuredClone(buffer, { transfer: [buffer] })
  } catch (cause) {
    throw refusedTransfer('a buffer that can be detached', cause)
  }
}

/** Whether a buffer was moved away. */
export function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false
  try {
    return new Uint8Array(buffer).length > 0
  } catch {
    return true
  }
}

function refusedTransfer(expected: string, cause?: unknown): UsageError {
  return new UsageError('INVALID_OPTION', `transfer(value): expected ${expected}`, { cause })
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
