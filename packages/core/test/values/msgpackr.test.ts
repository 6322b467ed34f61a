/**
 * That nothing which others do to msgpackr, which is one for the whole process, changes what the codec does.
 */
import fc from 'fast-check'
import { addExtension, isNativeAccelerationEnabled, pack, Packr, unpack } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { CodecError } from '../../src/base/errors.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'
import { registerValue } from '../../src/values/registry.ts'
import { anyText, anyValue } from './arbitraries.ts'
import { differenceOf } from './same.ts'

const roundTrip = (value: unknown): unknown => decodeValue(encodeValue(value))

const codecError = new CodecError('MALFORMED_PAYLOAD', '')

function thrownBy(body: () => unknown): unknown {
  try {
    body()
  } catch (error) {
    return error
  }
  return undefined
}

describe('the codec', () => {
  // Importing msgpackr by its own name, as above, switches its native addon on for the whole process.
  it(`gives back all values with the native addon of msgpackr ${isNativeAccelerationEnabled ? 'on' : 'absent'}`, () => {
    fc.assert(
      fc.property(anyValue, anyText, (value, text) => {
        expect(differenceOf(roundTrip([text, value]), [text, value])).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })

  it('throws nothing but CodecError with it', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.nat(0xff), (value, at, byte) => {
        const bytes = encodeValue(value)
        bytes[at % bytes.length] = byte
        expect(thrownBy(() => decodeValue(bytes)) ?? codecError).toBeInstanceOf(CodecError)
      }),
      { numRuns: 2000 },
    )
  })

  it('may be used while msgpackr is at work, in its extensions', () => {
    class Inner {}
    const packr = new Packr()
    addExtension({
      Class: Inner,
      type: 99,
      write: () => encodeValue({ nested: 1 }),
      read: (bytes: Uint8Array) => decodeValue(bytes),
    })
    expect(packr.unpack(packr.pack({ a: 1, inner: new Inner(), b: 'x' }))).toStrictEqual({
      a: 1,
      inner: { nested: 1 },
      b: 'x',
    })
  })

  it('may be used inside the codec of a registered class', () => {
    class Sealed {
      bytes: Uint8Array

      constructor(value: unknown) {
        this.bytes = encodeValue(value)
      }
    }
    registerValue(Sealed, {
      name: 'Sealed',
      encode: ({ bytes }) => encodeValue(decodeValue(bytes)),
      decode: (bytes) => new Sealed(decodeValue(bytes)),
    })
    const value = { a: [new Sealed({ n: 1 }), 'x'], b: new Sealed([new Sealed(1)]) }
    expect(differenceOf(roundTrip(value), value)).toBeUndefined()
  })

  it('is not changed by extensions for the classes it writes', () => {
    const values = [
      { a: 1 },
      [1],
      'x',
      undefined,
      5n,
      new Uint8Array([1]),
      Buffer.from([2]),
      new Date(0),
      new Map([[1, 2]]),
    ]
    const before = values.map((value) => encodeValue(value))
    let type = 100
    for (const cls of [Object, Array, Uint8Array, Buffer, Date, Map]) {
      addExtension({ Class: cls, type: type++, write: () => 'hijacked', read: () => 'hijacked' })
    }
    addExtension({ type: 0, read: () => 'hijacked' })
    // The extensions work where they are asked for …
    expect(unpack(pack(Buffer.from([2])))).toBe('hijacked')
    // … and here they are not.
    expect(values.map((value) => encodeValue(value))).toStrictEqual(before)
    expect(before.map((bytes) => decodeValue(bytes))).toStrictEqual(values)
  })

  it('gives the memory of a large value back', () => {
    const large = 'x'.repeat(20_000_000)
    const bytes = encodeValue(large)
    expect(bytes.buffer.byteLength).toBe(bytes.length)
    const packr = new Packr()
    expect(packr.pack(1).buffer.byteLength).toBeLessThan(100_000)
  })
})
