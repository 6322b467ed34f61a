import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodecError } from '../../src/base/errors.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'
import { pack } from '../../src/values/msgpack.ts'
import type { Node } from '../../src/values/format.ts'
import { anyValue } from './arbitraries.ts'

function failureOf(bytes: Uint8Array): CodecError | undefined {
  try {
    decodeValue(bytes)
  } catch (error) {
    return error as CodecError
  }
  return undefined
}

/** Garbage may by chance be a value. */
const isDecodedOrRefused = (bytes: Uint8Array): boolean => {
  const error = failureOf(bytes)
  return error === undefined || error instanceof CodecError
}

const treeBytes = (tree: unknown, tail: number[] = []): Uint8Array =>
  Uint8Array.from([1, tail.length, ...pack(tree as Node), ...tail])

/** Bytes that look like MessagePack, extensions and records of msgpackr included. */
const packed = fc.array(
  fc.oneof(
    fc.constantFrom(0x72, 0x62, 0x69, 0x70, 0x65, 0x73, 0x74, 0x78, 0x42, 0xff, 0x00),
    fc.integer({ min: 0xc0, max: 0xdf }),
    fc.integer({ min: 0x80, max: 0x9f }),
    fc.integer({ min: 0, max: 0x10 }),
    fc.nat(0xff),
  ),
  { maxLength: 60 },
)

describe('decodeValue', () => {
  it('throws nothing but CodecError for garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(isDecodedOrRefused(bytes)).toBe(true)
      }),
      { numRuns: 10_000 },
    )
  })

  it('throws nothing but CodecError for garbage that looks right', () => {
    fc.assert(
      fc.property(packed, fc.nat(3), (bytes, tail) => {
        expect(isDecodedOrRefused(Uint8Array.from([1, tail, ...bytes]))).toBe(true)
      }),
      { numRuns: 20_000 },
    )
  })

  it('throws nothing but CodecError for values with a byte changed', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.nat(0xff), (value, at, byte) => {
        const bytes = encodeValue(value)
        bytes[at % bytes.length] = byte
        expect(isDecodedOrRefused(bytes)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('throws MALFORMED_PAYLOAD wherever a value is cut off', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeValue(value)
        for (let end = 0; end < Math.min(bytes.length, 200); end++) {
          expect(failureOf(bytes.slice(0, end))?.code).toBe('MALFORMED_PAYLOAD')
          expect(failureOf(bytes.subarray(0, end))?.code).toBe('MALFORMED_PAYLOAD')
        }
      }),
      { numRuns: 100 },
    )
  })

  it('throws MALFORMED_PAYLOAD for bytes that follow', () => {
    fc.assert(
      fc.property(anyValue, fc.uint8Array({ minLength: 1, maxLength: 5 }), (value, more) => {
        expect(failureOf(Buffer.concat([encodeValue(value), more]))?.code).toBe('MALFORMED_PAYLOAD')
      }),
      { numRuns: 500 },
    )
  })

  it('throws MALFORMED_PAYLOAD for no bytes, format 0 and other objects', () => {
    for (const bytes of [new Uint8Array(), new Uint8Array([0]), new Uint8Array([0, 0, 5])]) {
      expect(failureOf(bytes)?.code).toBe('MALFORMED_PAYLOAD')
    }
    for (const other of [null, undefined, 'text', [1, 0, 5], {}, new ArrayBuffer(3)]) {
      expect(failureOf(other as unknown as Uint8Array)?.code).toBe('MALFORMED_PAYLOAD')
    }
  })

  it('throws UNSUPPORTED_FORMAT for a newer format, whatever follows', () => {
    for (const bytes of [[2], [2, 0, 5], [255, 1, 2, 3]]) {
      const error = failureOf(Uint8Array.from(bytes))
      expect(error?.code).toBe('UNSUPPORTED_FORMAT')
      expect(error?.details).toStrictEqual({ format: bytes[0] })
      expect(error?.message).toMatch(/upgrade/)
    }
  })

  const wrong: [string, unknown, number[]?][] = [
    ['a tag that does not exist', [99]],
    ['a tag that is a name', ['toString']],
    ['a tag that is no whole number', [0.5]],
    ['no tag', []],
    ['an object', { a: 1 }],
    ['undefined', undefined],
    ['a bigint', 5n],
    ['binary', Buffer.from([1])],
    ['a key without a value', ['a', 1]],
    ['a key that is no text', [1, 2, 1]],
    ['a Map without a value', [1, 3]],
    ['undefined with parts', [1, 5]],
    ['a bigint without digits', ['', 7]],
    ['a bigint with a sign alone', ['-', 7]],
    ['a bigint in words', ['five', 7]],
    ['a date in words', ['2020', 8]],
    ['a date without a time', [8]],
    ['more bytes than there are', [5, 4, 9], [1]],
    ['fewer bytes than there are', [1, 4, 9], [1, 2]],
    ['a negative number of bytes', [-1, 4, 9], [1]],
    ['a class of bytes that does not exist', [1, 99, 9], [1]],
    ['a class of bytes that is a name', [1, 'length', 9], [1]],
    ['bytes that are no whole elements', [3, 6, 9], [1, 2, 3]],
    ['half a character', [1, 10], [1]],
    ['an expression that is none', [0, '(', '', 11]],
    ['flags that are none', [0, 'a', 'xyz', 11]],
    ['a URL that is none', ['nowhere', 12]],
    ['an error without fields', ['Error', 13]],
    ['an error of no class', ['Nothing', [1], [1], 13]],
    ['an error with fields that are none', ['Error', 1, [1], 13]],
    ['an error with null for fields', ['Error', [1], null, 13]],
    ['an instance of no class', [1, 'Nobody', 14]],
    ['a reference', [1, 'run', 15]],
  ]
  it.each(wrong)('throws MALFORMED_PAYLOAD for %s', (_name, tree, tail) => {
    expect(failureOf(treeBytes(tree, tail))?.code).toBe('MALFORMED_PAYLOAD')
  })

  it('throws UNSUPPORTED_FORMAT for a class of bytes that this Node does not have', () => {
    const home = globalThis as { Float16Array?: unknown }
    const here = home.Float16Array
    delete home.Float16Array
    try {
      const error = failureOf(treeBytes([2, 14, 9], [0, 60]))
      expect(error).toMatchObject({ code: 'UNSUPPORTED_FORMAT', details: { kind: 'Float16Array' } })
    } finally {
      if (here !== undefined) Object.assign(home, { Float16Array: here })
    }
  })

  it('does not run out of stack', () => {
    for (const byte of [0x91, 0x81, 0xd4]) {
      expect(failureOf(new Uint8Array(1_000_000).fill(byte).fill(1, 0, 1).fill(0, 1, 2))?.code).toBe(
        'MALFORMED_PAYLOAD',
      )
    }
    expect(decodeValue(encodeValue('still works'))).toBe('still works')
  })

  it('does not take more memory than the bytes are worth', () => {
    for (const bytes of [
      [1, 0, 0xdd, 0xff, 0xff, 0xff, 0xff],
      [1, 0, 0xc6, 0xff, 0xff, 0xff, 0xff],
      [1, 0, 0xdb, 0xff, 0xff, 0xff, 0xff],
      [1, 0xff, 0xff, 0xff, 0xff, 0x7f, 5],
    ]) {
      expect(failureOf(Uint8Array.from(bytes))?.code).toBe('MALFORMED_PAYLOAD')
    }
  })

  it('makes no prototype of a key `__proto__`', () => {
    const value = JSON.parse(
      '{ "__proto__": { "polluted": true }, "constructor": { "prototype": { "polluted": 1 } } }',
    ) as object
    const back = decodeValue(encodeValue(value)) as Record<string, unknown>
    expect(Object.getOwnPropertyNames(back)).toStrictEqual(['__proto__', 'constructor'])
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
    expect(Object.getOwnPropertyDescriptor(back, '__proto__')?.value).toStrictEqual({ polluted: true })
    expect(back['polluted']).toBeUndefined()
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('makes no prototype of a key `__proto__` in an object without one', () => {
    const value = Object.create(null) as Record<string, unknown>
    value['__proto__'] = { polluted: true }
    const back = decodeValue(encodeValue(value)) as object
    expect(Object.getPrototypeOf(back)).toBeNull()
    expect(Object.entries(back)).toStrictEqual([['__proto__', { polluted: true }]])
  })
})
