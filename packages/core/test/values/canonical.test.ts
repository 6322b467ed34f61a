import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalHash } from '../../src/values/canonical.ts'
import { cloneValue, encodeValue } from '../../src/values/codec.ts'
import { anyText, anyValue, recordOf } from './arbitraries.ts'

const entriesOf = (value: fc.Arbitrary<unknown>): fc.Arbitrary<[string, unknown][]> =>
  fc.uniqueArray(fc.tuple(anyText, value), { selector: ([key]) => key, maxLength: 8 })

const shuffledOf = <T>(items: fc.Arbitrary<T[]>): fc.Arbitrary<[T[], T[]]> =>
  items.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })))

describe('canonicalHash', () => {
  it('is 32 hexadecimal digits, the same each time', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(canonicalHash(value)).toMatch(/^[\da-f]{32}$/)
        expect(canonicalHash(value)).toBe(canonicalHash(value))
        expect(canonicalHash(cloneValue(value))).toBe(canonicalHash(value))
      }),
    )
  })

  it('does not depend on the order of properties', () => {
    fc.assert(
      fc.property(shuffledOf(entriesOf(anyValue)), ([one, other]) => {
        const [a, b] = [recordOf(one, Object.prototype), recordOf(other, Object.prototype)]
        expect(canonicalHash([a])).toBe(canonicalHash([b]))
      }),
    )
  })

  it('does not depend on the order of a Map', () => {
    fc.assert(
      fc.property(shuffledOf(entriesOf(anyValue)), ([one, other]) => {
        expect(canonicalHash(new Map(one))).toBe(canonicalHash(new Map(other)))
      }),
    )
  })

  it('does not depend on the order of a Set', () => {
    fc.assert(
      fc.property(shuffledOf(fc.array(anyValue, { maxLength: 8 })), ([one, other]) => {
        expect(canonicalHash(new Set(one))).toBe(canonicalHash(new Set(other)))
      }),
    )
  })

  it('depends on the order of a list', () => {
    expect(canonicalHash([1, 2])).not.toBe(canonicalHash([2, 1]))
  })

  const same: [string, unknown, unknown][] = [
    ['0 and -0', 0, -0],
    ['-0 inside', { a: [-0] }, { a: [0] }],
    ['all NaN', NaN, -NaN],
    ['an undefined and an absent property', { a: undefined, b: 1 }, { b: 1 }],
    ['{ a: undefined } and {}', { a: undefined }, {}],
    ['objects with and without a prototype', { a: 1 }, Object.assign(Object.create(null), { a: 1 })],
    ['invalid dates', new Date(NaN), new Date('x')],
    [
      'errors of the same name and message',
      new Error('x', { cause: 1 }),
      Object.assign(new Error('x'), { a: 2 }),
    ],
    ['views that show the same bytes', new Uint8Array([1, 2]), new Uint8Array([0, 1, 2, 3]).subarray(1, 3)],
    ['a Set of objects in any order', new Set([{ a: 1 }, { b: 2 }]), new Set([{ b: 2 }, { a: 1 }])],
    [
      'a Map with objects as keys',
      new Map([
        [[1], 1],
        [[2], 2],
      ]),
      new Map([
        [[2], 2],
        [[1], 1],
      ]),
    ],
  ]
  it.each(same)('is the same for %s', (_name, one, other) => {
    expect(canonicalHash(one)).toBe(canonicalHash(other))
  })

  const bytes = new Uint8Array([1, 2])
  const different: unknown[] = [
    null,
    undefined,
    true,
    false,
    0,
    1,
    '1',
    1n,
    '1n',
    -1n,
    16n,
    16,
    NaN,
    'NaN',
    Infinity,
    -Infinity,
    '',
    'a',
    '\uD800',
    '\uDC00',
    '\uFFFD',
    '\uFEFF',
    'a\uFEFF',
    'w1:00d8',
    [],
    {},
    [[]],
    [{}],
    [undefined],
    [undefined, undefined],
    [null],
    [''],
    ['', ''],
    ['a', 'b'],
    ['ab'],
    ['a;', 'b'],
    [1, 2],
    [12],
    [[1], 2],
    [[1, 2]],
    { 0: 1 },
    [1],
    { a: 1 },
    { a: '1' },
    { a: null },
    { a: { b: 1 } },
    { a: 1, b: 1 },
    { b: 1 },
    { __proto__: null, ab: 1 },
    new Map(),
    new Map([['a', 1]]),
    new Map([['a', undefined]]),
    new Map([[undefined, 'a']]),
    new Map<unknown, unknown>([[1, 'a']]),
    new Set(),
    new Set([1]),
    new Set([undefined]),
    new Set(['a', 1]),
    new Set([['a', 1]]),
    new Date(0),
    new Date(1),
    new Date(NaN),
    new Date(0).toISOString(),
    bytes,
    Buffer.from(bytes),
    bytes.slice().buffer,
    new DataView(bytes.slice().buffer),
    new Int8Array(bytes),
    new Uint8ClampedArray(bytes),
    new Uint16Array(bytes.slice().buffer),
    new Uint8Array([1, 2, 0]),
    new Error('x'),
    new Error('y'),
    new TypeError('x'),
    { name: 'Error', message: 'x' },
    /a/,
    /a/g,
    /b/,
    new URL('http://a/'),
    'http://a/',
    new URL('http://b/'),
  ]

  it('differs for all others', () => {
    const hashes = new Map<string, unknown>()
    for (const value of different) {
      const hash = canonicalHash(value)
      expect(hashes.has(hash) ? [hashes.get(hash), value] : []).toStrictEqual([])
      hashes.set(hash, value)
    }
  })

  it('differs where the bytes differ, except for what counts as equal', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer(), anyText, fc.bigInt())), fc.array(anyText), (one, other) => {
        const isSame = Buffer.compare(encodeValue(one), encodeValue(other)) === 0
        expect(canonicalHash(one) === canonicalHash(other)).toBe(isSame)
      }),
    )
  })

  it('cannot be confused by text that looks like the canonical form', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        fc.pre(b !== '')
        expect(canonicalHash([a, b])).not.toBe(canonicalHash([a + b, '']))
        expect(canonicalHash({ [a]: b })).not.toBe(canonicalHash({ [`${a}s1:`]: b }))
      }),
    )
  })

  it('has no use for the stack of an error', () => {
    const one = new Error('x')
    const other = new Error('x')
    other.stack = 'elsewhere'
    expect(canonicalHash(one)).toBe(canonicalHash(other))
  })
})
