import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalHash } from '../../src/values/canonical.ts'
import { cloneValue, decodeValue, encodeValue } from '../../src/values/codec.ts'
import { anyLeaf, anyText, anyValue, recordOf } from './arbitraries.ts'
import { differenceOf } from './same.ts'

const roundTrip = (value: unknown): unknown => decodeValue(encodeValue(value))

describe('encodeValue and decodeValue', () => {
  it('give back an equal value of the same classes', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(differenceOf(roundTrip(value), value)).toBeUndefined()
      }),
      { numRuns: 1000 },
    )
  })

  it('give back a value that encodes to the same bytes and has the same hash', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeValue(value)
        const back = decodeValue(bytes)
        deepStrictEqual(encodeValue(back), bytes)
        expect(canonicalHash(back)).toBe(canonicalHash(value))
      }),
      { numRuns: 500 },
    )
  })

  it('give back every single leaf', () => {
    fc.assert(
      fc.property(anyLeaf, (value) => {
        expect(differenceOf(roundTrip(value), value)).toBeUndefined()
      }),
      { numRuns: 2000 },
    )
  })

  it('give back every text, as a value and as a key', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(roundTrip(text)).toBe(text)
        expect(Object.keys(roundTrip(recordOf([[text, 1]], Object.prototype)) as object)).toStrictEqual([
          text,
        ])
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['-0', -0],
    ['NaN', NaN],
    ['Infinity', Infinity],
    ['2 ** 53', 2 ** 53],
    ['the smallest double', 5e-324],
    ['-0 inside', { a: [-0, 0] }],
    ['undefined', undefined],
    ['undefined in a list', [undefined, null, undefined]],
    ['an undefined property', { a: undefined }],
    ['0n', 0n],
    ['-1n', -1n],
    ['2n ** 64n', 2n ** 64n],
    ['-(2n ** 5000n)', -(2n ** 5000n)],
    ['an invalid date', new Date(NaN)],
    ['the last date', new Date(8.64e15)],
    ['the first date', new Date(-8.64e15)],
    ['a date before 1970', new Date(-1)],
    ['a Map of Maps', new Map([[new Map([[1, 2]]), new Set([NaN, -0])]])],
    ['an empty text', ''],
    ['half a surrogate pair', 'a\uD800'],
    ['a long text with half a surrogate pair', `${'x'.repeat(200)}\uDC00`],
    ['a long text that starts with a byte-order mark', `\uFEFF${'x'.repeat(200)}`],
    ['a text with a zero', 'a\u0000b'],
    ['a long text', '€'.repeat(100_000)],
    ['a long list', Array.from({ length: 70_000 }, (_, i) => i)],
    [
      'an object of many properties',
      Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i])),
    ],
    ['a URL', new URL('https://user:secret@example.org:8080/a%20b?c=d#e')],
    ['an expression', /[/\]](?<x>.)/giu],
  ])('give back %s', (_name, value) => {
    expect(differenceOf(roundTrip(value), value)).toBeUndefined()
  })

  it('give back the class of every binary value', () => {
    const bytes = new Uint8Array(16).map((_, i) => i + 1)
    const values = [
      bytes.slice().buffer,
      new DataView(bytes.slice().buffer),
      Buffer.from(bytes),
      bytes,
      ...[Int8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array].map(
        (cls) => new cls(bytes.slice().buffer),
      ),
      ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array].map(
        (cls) => new cls(bytes.slice().buffer),
      ),
    ]
    const back = roundTrip(values) as object[]
    expect(back.map((value) => value.constructor)).toStrictEqual(values.map((value) => value.constructor))
    expect(back).toStrictEqual(values)
  })

  const { Float16Array } = globalThis as { Float16Array?: new (values: number[]) => object }
  it.runIf(Float16Array)('give back a Float16Array where Node has it', () => {
    const value = Float16Array && new Float16Array([1, 2.5])
    expect(differenceOf(roundTrip(value), value)).toBeUndefined()
  })

  it('give back the bytes a view shows, and not the buffer behind it', () => {
    const behind = new ArrayBuffer(64)
    const view = new Uint16Array(behind, 8, 3)
    const back = roundTrip(view) as Uint16Array
    expect(back).toStrictEqual(view.slice())
    expect(back.buffer.byteLength).toBe(6)
  })

  it('keep the order of properties, of Map and of Set', () => {
    expect(Object.keys(roundTrip({ b: 1, a: 2 }) as object)).toStrictEqual(['b', 'a'])
    expect([
      ...(
        roundTrip(
          new Map([
            ['b', 1],
            ['a', 2],
          ]),
        ) as Map<string, number>
      ).keys(),
    ]).toStrictEqual(['b', 'a'])
    expect([...(roundTrip(new Set([2, 1])) as Set<number>)]).toStrictEqual([2, 1])
  })

  it('keep lastIndex of an expression', () => {
    const expression = /a/g
    expression.lastIndex = 3
    expect((roundTrip(expression) as RegExp).lastIndex).toBe(3)
  })

  it('keep an object without a prototype without one', () => {
    expect(Object.getPrototypeOf(roundTrip(Object.create(null)))).toBeNull()
  })

  it('make two of an object that occurs twice', () => {
    const shared = { n: 1 }
    const [a, b] = roundTrip([shared, shared]) as object[]
    expect(a).toStrictEqual(b)
    expect(a).not.toBe(b)
  })

  it('take frozen and sealed values', () => {
    const value = Object.freeze({ list: Object.freeze([1]), map: Object.freeze(new Map([[1, 2]])) })
    expect(roundTrip(value)).toStrictEqual({ list: [1], map: new Map([[1, 2]]) })
  })

  it('take a Proxy of plain data as what it shows', () => {
    expect(roundTrip(new Proxy({ a: [1] }, {}))).toStrictEqual({ a: [1] })
    expect(roundTrip(new Proxy([1, 2], {}))).toStrictEqual([1, 2])
  })

  it('take 500 levels', () => {
    let value: unknown[] = []
    for (let i = 1; i < 500; i++) value = [value]
    expect(differenceOf(roundTrip(value), value)).toBeUndefined()
  })
})

describe('memory', () => {
  it('is not shared between the bytes and the value they were made of', () => {
    const value = new Uint8Array([1, 2, 3])
    const bytes = encodeValue(value)
    value.fill(9)
    expect(decodeValue(bytes)).toStrictEqual(new Uint8Array([1, 2, 3]))
  })

  it.each([
    ['a Uint8Array', (bytes: Uint8Array) => bytes],
    ['a Buffer', (bytes: Uint8Array) => Buffer.from(bytes)],
  ])('is not shared between a value and the bytes it came from, given as %s', (_name, as) => {
    const bytes = as(encodeValue([new Uint8Array([1, 2]), Buffer.from([3]), new Uint8Array([4]).buffer]))
    const back = decodeValue(bytes)
    bytes.fill(0)
    expect(back).toStrictEqual([new Uint8Array([1, 2]), Buffer.from([3]), new Uint8Array([4]).buffer])
  })

  it('of the bytes is no larger than they are', () => {
    const bytes = encodeValue(['flights.parquet', 3])
    expect(bytes.buffer.byteLength).toBe(bytes.length)
    expect(Object.keys(bytes)).toHaveLength(bytes.length)
  })

  it('of the bytes gets no properties when they are decoded', () => {
    const bytes = encodeValue('x')
    decodeValue(bytes)
    expect(Object.keys(bytes)).toHaveLength(bytes.length)
  })

  it('may be shared memory where the bytes lie', () => {
    const source = encodeValue({ text: 'x'.repeat(300), wide: '\uD800', bytes: new Uint8Array([1]) })
    const shared = new Uint8Array(new SharedArrayBuffer(source.length))
    shared.set(source)
    const back = decodeValue(shared) as { bytes: Uint8Array }
    expect(back).toStrictEqual({ text: 'x'.repeat(300), wide: '\uD800', bytes: new Uint8Array([1]) })
    expect(back.bytes.buffer).toBeInstanceOf(ArrayBuffer)
  })
})

describe('cloneValue', () => {
  it('gives an equal value with memory of its own', () => {
    const value = { bytes: new Uint8Array([1]), list: [new Map([[1, { a: -0 }]])] }
    const clone = cloneValue(value)
    expect(clone).toStrictEqual(value)
    value.bytes[0] = 2
    expect(clone.bytes[0]).toBe(1)
  })

  it('passes the hooks on', () => {
    class Handle {}
    const handle = new Handle()
    const clone = cloneValue([handle], { replace: () => ({ tag: 'run', data: 'r1' }), revive: () => handle })
    expect(clone[0]).toBe(handle)
  })
})
