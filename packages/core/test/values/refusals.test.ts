import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { CodecError } from '../../src/base/errors.ts'
import { canonicalHash } from '../../src/values/canonical.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'

/** The error that both the codec and the hash must throw. */
function refusalOf(value: unknown, at?: string): CodecError {
  const options = at === undefined ? {} : { at }
  const [first, second] = [() => encodeValue(value, options), () => canonicalHash(value, options)].map(
    thrownBy,
  )
  expect(first).toBeInstanceOf(CodecError)
  expect((second as CodecError).message).toBe((first as CodecError).message)
  return first as CodecError
}

function thrownBy(body: () => unknown): unknown {
  try {
    body()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

class Money {
  cents = 5
}
class LaterDate extends Date {}
class List extends Array<number> {}
class Dictionary extends Map<string, number> {}
class Bytes extends Uint8Array {}

const cyclic: { list: unknown[] } = { list: [] }
cyclic.list.push({ back: cyclic })

const selfMap = new Map<string, unknown>()
selfMap.set('me', selfMap)

function detached(): ArrayBuffer {
  const buffer = new ArrayBuffer(8)
  structuredClone(buffer, { transfer: [buffer] })
  return buffer
}

function viewOfDetached(cls: new (buffer: ArrayBuffer) => object = Uint8Array): object {
  const buffer = new ArrayBuffer(8)
  const view = new cls(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  return view
}

function resizable(): ArrayBuffer {
  const cls = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer
  return new cls(8, { maxByteLength: 16 })
}

function deep(levels: number): unknown {
  let value: unknown = []
  for (let i = 1; i < levels; i++) value = [value]
  return value
}

const withExtra = <T extends object>(value: T): T => Object.assign(value, { extra: 1 })
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
const throwing = new Proxy(
  {},
  {
    ownKeys() {
      throw new RangeError('no keys')
    },
  },
)

const await_ = /await the promise first/
const register = /register the class with registerValue/

// name, value, path, what the message must say
const cases: [string, unknown, string, RegExp][] = [
  ['a function', () => 1, 'value', /it is a function; pass data/],
  ['a class', Money, 'value', /it is a function/],
  ['a function in an object', { f() {} }, 'value.f', /function/],
  ['a symbol', [Symbol('s')], 'value[0]', /it is a symbol; use a string/],
  ['a symbol as a key', { a: { [Symbol('s')]: 1 } }, 'value.a[Symbol(s)]', /use a string as its key/],
  ['a promise', [1, Promise.resolve(1)], 'value[1]', await_],
  ['a foreign thenable', { a: { then: () => undefined } }, 'value.a', await_],
  [
    'a thenable of a class',
    new (class {
      then() {}
    })(),
    'value',
    await_,
  ],
  ['a WeakMap', { a: new WeakMap() }, 'value.a', /a WeakMap, whose entries can't be listed; use a Map/],
  ['a WeakSet', { a: new WeakSet() }, 'value.a', /WeakSet/],
  ['a WeakRef', { a: new WeakRef({}) }, 'value.a', /WeakRef/],
  ['an instance', { price: new Money() }, 'value.price', /it is an instance of Money; register the class/],
  ['an instance of a class without a name', [new (class {})()], 'value[0]', /a class without a name/],
  ['an object with a prototype of its own', Object.create({ a: 1 }), 'value', register],
  ['a subclass of Date', [new LaterDate()], 'value[0]', /an instance of LaterDate/],
  ['a subclass of Array', List.of(1), 'value', /an instance of List/],
  ['a subclass of Map', new Dictionary(), 'value', /an instance of Dictionary/],
  ['a subclass of Uint8Array', new Bytes(1), 'value', /an instance of Bytes/],
  ['a generator', (function* () {})(), 'value', register],
  ['an AbortSignal', [new AbortController().signal], 'value[0]', /an instance of AbortSignal/],
  ['URLSearchParams', new URLSearchParams(), 'value', /an instance of URLSearchParams/],
  ['new Number', [new Number(1)], 'value[0]', /new Number.*pass the primitive/],
  [
    'an accessor',
    {
      a: {
        get b() {
          return 1
        },
      },
    },
    'value.a.b',
    /an accessor property; pass its value/,
  ],
  ['a setter', { set b(_v: number) {} }, 'value.b', /an accessor property/],
  [
    'a property not enumerable',
    Object.defineProperty({}, 'h', { value: 1 }),
    'value.h',
    /make it enumerable/,
  ],
  // oxlint-disable-next-line no-sparse-arrays
  ['a hole', [1, , 3], 'value[1]', /a hole in an array; use undefined or null/],
  ['a list of holes', Object.assign([], { length: 1e9 }), 'value[0]', /a hole/],
  ['a list with a property', withExtra([1]), 'value.extra', /an extra property/],
  ['a match', /b/.exec('abc'), 'value.index', /an extra property/],
  ['a template', ((t: TemplateStringsArray) => t)`a`, 'value.raw', /an extra property/],
  ['a long list with a property', withExtra(Array.from({ length: 100 }, () => 1)), 'value.extra', /extra/],
  ['a list with a symbol', Object.assign([1], { [Symbol.for('x')]: 1 }), 'value[Symbol(x)]', /extra/],
  ['a Map with a property', withExtra(new Map()), 'value.extra', /extra/],
  ['a Set with a property', withExtra(new Set()), 'value.extra', /extra/],
  ['a Date with a property', [withExtra(new Date(0))], 'value[0].extra', /extra/],
  ['an expression with a property', withExtra(/a/), 'value.extra', /extra/],
  ['a URL with a property', withExtra(new URL('http://a')), 'value.extra', /extra/],
  ['an ArrayBuffer with a property', withExtra(new ArrayBuffer(1)), 'value.extra', /extra/],
  ['shared memory', { m: new SharedArrayBuffer(4) }, 'value.m', /shared between threads; pass a copy/],
  [
    'a view of shared memory',
    { m: new Uint8Array(new SharedArrayBuffer(4)) },
    'value.m',
    /shared between threads/,
  ],
  ['a detached buffer', { m: detached() }, 'value.m', /a detached ArrayBuffer/],
  ['a view of a detached buffer', { m: viewOfDetached() }, 'value.m', /a detached ArrayBuffer/],
  ['a DataView of a detached buffer', { m: viewOfDetached(DataView) }, 'value.m', /a detached ArrayBuffer/],
  ['a resizable buffer', [resizable()], 'value[0]', /a resizable ArrayBuffer; pass a copy/],
  ['a cycle', cyclic, 'value.list[0].back', /it is the object at `value` again \(a cycle\); pass an id/],
  ['a Map inside itself', selfMap, 'value.get("me")', /cycle/],
  ['501 levels', deep(501), `value${'[0]'.repeat(500)}`, /more than 500 levels deep/],
  ['a Proxy that throws', { p: throwing }, 'value.p', /an object that throws when it is read/],
  ['a revoked Proxy', { p: revoked() }, 'value.p', /throws when it is read/],
  [
    'a key of a Map',
    new Map<unknown, unknown>([
      [1, 1],
      [Symbol('k'), 2],
    ]),
    'value.keys()[1]',
    /symbol/,
  ],
  [
    'a value of a Map',
    new Map<unknown, unknown>([['a b', { c: Symbol('k') }]]),
    'value.get("a b").c',
    /symbol/,
  ],
  ['a value of a Map by number', new Map<unknown, unknown>([[7n, Symbol('k')]]), 'value.get(7)', /symbol/],
  [
    'a value of a Map by object',
    new Map<unknown, unknown>([[{}, Symbol('k')]]),
    'value.values()[0]',
    /symbol/,
  ],
  ['a member of a Set', new Set<unknown>([1, Symbol('k')]), 'value.values()[1]', /symbol/],
  ['a key that is no name', { 'a-b': { '': Symbol('k') } }, 'value["a-b"][""]', /symbol/],
]

describe('encodeValue and canonicalHash', () => {
  it.each(cases)('refuse %s', (_name, value, path, message) => {
    const error = refusalOf(value)
    expect(error.code).toBe('NOT_ENCODABLE')
    expect(error.details).toStrictEqual({ path })
    expect(error.message).toMatch(message)
    expect(error.message).toContain(`\`${path}\``)
  })

  it('name the place from the root they are given', () => {
    const args = ['f.csv', { items: [1, 2, 3, { when: () => 0 }] }]
    expect(refusalOf(args, 'args').details).toStrictEqual({ path: 'args[1].items[3].when' })
    expect(refusalOf(args, 'args').message).toBe(
      "can't encode `args[1].items[3].when`: it is a function; pass data, and define the function where it is used",
    )
  })

  it('name the first place that is wrong after many that are not', () => {
    const value = { a: [[{ b: 1 }], new Map([[1, [2]]]), new Set([[3]])], c: [0, Symbol('s')] }
    expect(refusalOf(value).details).toStrictEqual({ path: 'value.c[1]' })
  })

  it('keep what a Proxy threw as the cause', () => {
    expect(refusalOf([throwing]).cause).toMatchObject({ name: 'RangeError', message: 'no keys' })
  })

  it('call no accessor', () => {
    let called = false
    const value = {
      get a() {
        called = true
        return 1
      },
    }
    refusalOf(value)
    expect(called).toBe(false)
  })

  it('do not ask a container how to walk it', () => {
    const map = new Map([[1, 2]])
    Object.defineProperty(map, 'entries', { value: () => [[3, 4]].values() })
    expect(refusalOf(map).details).toStrictEqual({ path: 'value.entries' })
  })

  it('do not run out of stack', () => {
    let value: unknown[] = []
    for (let i = 0; i < 100_000; i++) value = [value]
    expect(refusalOf(value).code).toBe('NOT_ENCODABLE')
  })

  it('take classes of another realm for ours', () => {
    const foreign: unknown = runInNewContext(
      '({ list: [1], map: new Map([[1, 2]]), set: new Set([1]), date: new Date(5), exp: /a/g, ' +
        'bytes: new Uint8Array([1]), buffer: new Uint8Array([2]).buffer, view: new DataView(new ArrayBuffer(1)), ' +
        'error: new TypeError("x") })',
    )
    expect(decodeValue(encodeValue(foreign))).toStrictEqual({
      list: [1],
      map: new Map([[1, 2]]),
      set: new Set([1]),
      date: new Date(5),
      exp: /a/g,
      bytes: new Uint8Array([1]),
      buffer: new Uint8Array([2]).buffer,
      view: new DataView(new ArrayBuffer(1)),
      error: new TypeError('x'),
    })
  })

  it('refuse subclasses of another realm, and classes that only have the name of a built-in one', () => {
    const [foreign, { date }] = runInNewContext(
      '[new (class Map extends globalThis.Map {})(), { date: new (class Date extends globalThis.Date {})() }]',
    ) as [object, { date: object }]
    expect(refusalOf(foreign).message).toMatch(/an instance of Map/)
    expect(refusalOf(date).message).toMatch(/an instance of Date/)
    expect(refusalOf(new (class Map {})()).message).toMatch(/an instance of Map/)
  })
})
