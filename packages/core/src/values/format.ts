/**
 * What a value looks like in bytes, for the two files that write and read it.
 *
 * ```
 * byte 0            format number
 * bytes 1…          length of the tail, seven bits a byte, lowest first, the high bit set on all but the last
 * then              the tree, in MessagePack
 * the rest          the tail: the bytes of all buffers, one after the other
 * ```
 *
 * The tree holds nothing but null, booleans, numbers, strings and arrays. Everything MessagePack libraries
 * treat in ways of their own (maps, extensions, undefined, big integers, binary) is an array whose **last**
 * element is a {@link Tag}, so that a list is written and read in place. An extension that someone else
 * registers with msgpackr, process-wide, can therefore not change what is written.
 *
 * Numbers here are frozen by test/values/golden: add, never change or reuse.
 */

/** The format this version writes, and the newest it reads. */
export const formatNumber = 1

/** The last element of every array in the tree: what the elements before it are. */
export const Tag = {
  /** The items. */
  list: 0,
  /** Key, value, key, value … of a plain object. */
  record: 1,
  /** The same for an object without a prototype. */
  bare: 2,
  /** Key, value, key, value … of a Map. */
  map: 3,
  /** The items of a Set. */
  set: 4,
  /** Nothing. */
  undefined: 5,
  /** Nothing. */
  negativeZero: 6,
  /** Hexadecimal digits, after a minus sign if it is negative. */
  bigint: 7,
  /** Milliseconds, NaN for an invalid date. */
  date: 8,
  /** Number of bytes in the tail, index in {@link bytesKinds}. */
  bytes: 9,
  /**
   * Number of bytes of UTF-16 (little-endian) in the tail: a string that UTF-8 or a byte-order mark would
   * change.
   */
  wideString: 10,
  /** lastIndex, source, flags. */
  regexp: 11,
  /** The href. */
  url: 12,
  /** Name of the class, record of properties that aren't enumerable, record of those that are. */
  error: 13,
  /** Encoded form, name of the registered class. */
  instance: 14,
  /** Data, tag, as the hook `replace` gave them. */
  reference: 15,
} as const

/** One node of the tree. */
export type Node = null | boolean | number | string | readonly Node[]

/**
 * Classes of binary values; the index is part of the format. Multi-byte elements are in the order of the
 * machine.
 */
export const bytesKinds = [
  'ArrayBuffer',
  'DataView',
  'Buffer',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'Float16Array',
] as const

/** The name of a class of binary values. */
export type BytesKind = (typeof bytesKinds)[number]

/** Whether a value stands for itself in a tree. */
export function isPlain(value: unknown): value is string | number | boolean | null {
  switch (typeof value) {
    case 'number':
      return !Object.is(value, -0)
    case 'string':
      return isSafeText(value)
    case 'boolean':
      return true
    default:
      return value === null
  }
}

/**
 * Whether a string comes back unchanged from UTF-8: it holds no half of a surrogate pair, and starts with no
 * byte-order mark, which decoders drop.
 */
export function isSafeText(text: string): boolean {
  // Node 20 has isWellFormed; the ES2023 library types don't.
  return text.charCodeAt(0) !== 0xfeff && (text as string & { isWellFormed(): boolean }).isWellFormed()
}
