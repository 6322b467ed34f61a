/** Random values of every kind the codec takes. */
import fc from 'fast-check'

const codeUnit = fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit))

/**
 * Strings of all sorts: with halves of surrogate pairs, with a byte-order mark, longer than msgpackr's short
 * ways.
 */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: codeUnit }),
  fc.string({ minLength: 60, maxLength: 400 }),
  fc.string({ unit: 'grapheme', minLength: 60, maxLength: 300 }).map((text) => `\uFEFF${text}`),
)

const anyKey = fc.oneof(
  anyText,
  fc.constantFrom('__proto__', 'constructor', 'then', 'toString', 'length', '0'),
)

const anyNumber = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(-0, NaN, Infinity, -Infinity),
)

const anyBigint = fc.oneof(fc.bigInt(), fc.bigInt({ min: -(2n ** 700n), max: 2n ** 700n }))

const anyBytes: fc.Arbitrary<ArrayBufferView | ArrayBuffer> = fc.oneof(
  fc.int8Array(),
  fc.uint8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.uint8Array().map((bytes) => bytes.slice().buffer),
  fc.uint8Array().map((bytes) => new DataView(bytes.slice().buffer)),
)

const anyRegexp = fc
  .tuple(
    fc.constantFrom('a+', '[/\\]]', '(?<name>.)', '\\u{1F600}'),
    fc.constantFrom('', 'g', 'uy', 'dgimsuy'),
  )
  .map(([source, flags]) => new RegExp(source, flags))

/** Values that hold no other. */
export const anyLeaf: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, undefined, true, false),
  anyNumber,
  anyBigint,
  anyText,
  fc.date(),
  anyBytes,
  anyRegexp,
  fc.webUrl({ withQueryParameters: true }).map((url) => new URL(url)),
)

/** Plain objects made by definition, so that a key `__proto__` is a key. */
export function recordOf(entries: readonly (readonly [string, unknown])[], prototype: object | null): object {
  const record = Object.create(prototype) as object
  for (const [key, value] of entries) {
    Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true })
  }
  return record
}

const errorClasses = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError] as const

/** Values of every kind, nested. */
export const anyValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => {
  const entries = fc.array(fc.tuple(anyKey, tie('value')), { maxLength: 6 })
  return {
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      anyLeaf,
      fc.array(tie('value'), { maxLength: 6 }),
      entries.map((all) => recordOf(all, Object.prototype)),
      entries.map((all) => recordOf(all, null)),
      fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((all) => new Map(all)),
      fc.array(tie('value'), { maxLength: 4 }).map((all) => new Set(all)),
      fc
        .tuple(fc.constantFrom(...errorClasses), anyText, tie('value'))
        .map(([cls, message, cause]) => new cls(message, { cause })),
    ),
  }
}).value
