import { describe, expect, it } from 'vitest'
import { CodecError, RunError, UsageError } from '../../src/base/errors.ts'
import { canonicalHash } from '../../src/values/canonical.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'
import { registerValue } from '../../src/values/registry.ts'

const roundTrip = (value: unknown): unknown => decodeValue(encodeValue(value))

function thrownBy(body: () => unknown): unknown {
  try {
    body()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

class Money {
  readonly #cents: number

  constructor(cents: number) {
    this.#cents = cents
  }

  get cents(): number {
    return this.#cents
  }
}
registerValue(Money, {
  name: 'Money',
  encode: ({ cents }) => ({ cents }),
  decode: ({ cents }) => new Money(cents),
})

class Order {
  readonly prices: Money[]

  constructor(prices: Money[]) {
    this.prices = prices
  }
}
registerValue(Order, { name: 'Order', encode: ({ prices }) => prices, decode: (prices) => new Order(prices) })

class Refused extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(`refused: ${reason}`)
    this.reason = reason
  }
}
registerValue(Refused, {
  name: 'Refused',
  encode: ({ reason }) => reason,
  decode: (reason) => new Refused(reason),
})

describe('registerValue', () => {
  it('lets instances of a class be values, private fields and all', () => {
    const back = roundTrip({ price: new Money(250) }) as { price: Money }
    expect(back.price).toBeInstanceOf(Money)
    expect(back.price.cents).toBe(250)
  })

  it('lets registered instances hold others', () => {
    const back = roundTrip(new Order([new Money(1), new Money(2)])) as Order
    expect(back.prices.map(({ cents }) => cents)).toStrictEqual([1, 2])
  })

  it('goes before the class of an error', () => {
    const back = roundTrip([new Refused('late')]) as [Refused]
    expect(back[0]).toBeInstanceOf(Refused)
    expect(back[0].reason).toBe('late')
  })

  it('counts for the hash with the name and what is encoded', () => {
    expect(canonicalHash(new Money(1))).toBe(canonicalHash(new Money(1)))
    expect(canonicalHash(new Money(1))).not.toBe(canonicalHash(new Money(2)))
    expect(canonicalHash(new Money(1))).not.toBe(canonicalHash({ cents: 1 }))
  })

  it('does not count for a subclass', () => {
    class Tax extends Money {}
    expect(thrownBy(() => encodeValue({ tax: new Tax(1) }))).toMatchObject({
      code: 'NOT_ENCODABLE',
      details: { path: 'value.tax' },
    })
  })

  it('replaces the codec of a class that is registered again', () => {
    class Point {
      x = 1
    }
    registerValue(Point, { name: 'Point', encode: () => 1, decode: () => new Point() })
    registerValue(Point, {
      name: 'Point',
      encode: ({ x }) => x,
      decode: (x) => Object.assign(new Point(), { x }),
    })
    expect(roundTrip(Object.assign(new Point(), { x: 7 }))).toStrictEqual(
      Object.assign(new Point(), { x: 7 }),
    )
  })

  it('writes the newest of several names and reads all', () => {
    class Renamed {}
    const codec = { encode: () => null, decode: () => new Renamed() }
    registerValue(Renamed, { name: 'OldName', ...codec })
    const old = encodeValue(new Renamed())
    registerValue(Renamed, { name: 'NewName', ...codec })
    expect(Buffer.from(encodeValue(new Renamed())).includes('NewName')).toBe(true)
    expect(decodeValue(old)).toBeInstanceOf(Renamed)
  })

  it('takes classes whose constructor is private and classes that are abstract', () => {
    abstract class Shape {
      abstract area(): number
    }
    class Secret {
      private constructor() {}
      static make(): Secret {
        return new Secret()
      }
    }
    registerValue(Shape, { name: 'Shape', encode: (shape) => shape.area(), decode: () => expect.fail() })
    registerValue(Secret as never, { name: 'Secret', encode: () => 1, decode: () => Secret.make() })
    expect(roundTrip(Secret.make())).toBeInstanceOf(Secret)
  })

  it('keeps one registry for all copies of Troupe in a process', () => {
    const registry = (globalThis as Record<symbol, unknown>)[Symbol.for('@troupe/core/values')]
    expect((registry as { byName: Map<string, { cls: unknown }> }).byName.get('Money')?.cls).toBe(Money)
  })

  const codec = { encode: () => 1, decode: () => expect.fail() }
  const misuses: [string, () => void, RegExp][] = [
    [
      'the name of another class',
      () => registerValue(class {}, { name: 'Money', ...codec }),
      /"Money" is taken/,
    ],
    ['an empty name', () => registerValue(class {}, { name: '', ...codec }), /`name` to be a string/],
    ['no class', () => registerValue((() => 1) as never, { name: 'Arrow', ...codec }), /expected a class/],
    ['Map', () => registerValue(Map, { name: 'Map', ...codec }), /encoded as they are/],
    ['Object', () => registerValue(Object, { name: 'Object', ...codec }), /encoded as they are/],
    ['Buffer', () => registerValue(Buffer as never, { name: 'Buffer', ...codec }), /encoded as they are/],
    ['TypeError', () => registerValue(TypeError, { name: 'TypeError', ...codec }), /encoded as they are/],
    ['RunError', () => registerValue(RunError, { name: 'RunError', ...codec }), /encoded as they are/],
  ]
  it.each(misuses)('refuses %s', (_name, body, message) => {
    const error = thrownBy(body) as UsageError
    expect(error).toBeInstanceOf(UsageError)
    expect(error.code).toBe('INVALID_OPTION')
    expect(error.message).toMatch(message)
  })
})

describe('the codec of a registered class', () => {
  class Faulty {}
  let given: unknown
  registerValue(Faulty, {
    name: 'Faulty',
    encode: (self): unknown => {
      if (given instanceof Error) throw given
      return given === 'self' ? self : given
    },
    decode: () => {
      throw new RangeError('no way back')
    },
  })
  const encodeGiven = (value: unknown): Uint8Array => {
    given = value
    return encodeValue({ faulty: [new Faulty()] })
  }

  it('is named where what it gives cannot be encoded', () => {
    expect(thrownBy(() => encodeGiven({ a: Symbol('s') }))).toMatchObject({
      code: 'NOT_ENCODABLE',
      details: { path: 'value.faulty[0]<Faulty>.a' },
    })
  })

  it('is named where it gives the instance itself', () => {
    const error = thrownBy(() => encodeGiven('self')) as CodecError
    expect(error.details).toStrictEqual({ path: 'value.faulty[0]<Faulty>' })
    expect(error.message).toMatch(/cycle/)
  })

  it('is named where it throws, also an error of Troupe', () => {
    for (const cause of [new TypeError('broken'), new RunError('RUN_FAILED', 'broken')]) {
      const error = thrownBy(() => encodeGiven(cause)) as CodecError
      expect(error).toMatchObject({ code: 'NOT_ENCODABLE', details: { path: 'value.faulty[0]' } })
      expect(error.message).toMatch(/"Faulty", whose `encode` threw/)
      expect(error.cause).toBe(cause)
    }
  })

  it('is named where its decode throws', () => {
    const error = thrownBy(() => decodeValue(encodeGiven(1))) as CodecError
    expect(error).toMatchObject({ code: 'MALFORMED_PAYLOAD', details: { name: 'Faulty' } })
    expect(error.cause).toStrictEqual(new RangeError('no way back'))
  })

  it('is asked for where it is missing', () => {
    const bytes = Buffer.from(encodeValue([new Money(1)]))
    bytes.write('Honey', bytes.indexOf('Money'))
    const error = thrownBy(() => decodeValue(bytes)) as CodecError
    expect(error).toMatchObject({ code: 'MALFORMED_PAYLOAD', details: { name: 'Honey' } })
    expect(error.message).toMatch(/"Honey"; register the class with registerValue/)
  })
})
