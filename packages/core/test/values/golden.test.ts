/**
 * What is written today must be readable for ever, and a call recorded today must have the same identity for
 * ever. Where a test here fails, the format has changed: give it a new number, keep reading the old one, and
 * add to the file instead of changing it.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { JournalError } from '../../src/base/errors.ts'
import { canonicalHash } from '../../src/values/canonical.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'
import { registerValue } from '../../src/values/registry.ts'
import { recordOf } from './arbitraries.ts'

class Golden {
  readonly carat: number

  constructor(carat: number) {
    this.carat = carat
  }
}
registerValue(Golden, { name: 'Golden', encode: ({ carat }) => carat, decode: (carat) => new Golden(carat) })

class Handle {
  readonly id = 'r1'
}
const replace = (leaf: object) => (leaf instanceof Handle ? { tag: 'run', data: leaf.id } : undefined)
const revive = (): Handle => new Handle()

const withStack = <T extends Error>(error: T): T => Object.assign(error, { stack: 'the stack' })
const bytes = (): ArrayBuffer => new Uint8Array([0, 0, 128, 63, 0, 0, 0, 192]).buffer

const values: Record<string, unknown> = {
  arguments: ['flights.parquet', 3],
  json: {
    a: [null, true, false, 'é€😀', -1, 127, 128, 65_536, 4_294_967_296, 1.5, -1.5],
    b: { c: {} },
    d: [],
  },
  numbers: [NaN, Infinity, -Infinity, -0, 5e-324, 9_007_199_254_740_991, -2_147_483_649],
  undefined: [undefined, { a: undefined }],
  bigints: [0n, -1n, 2n ** 64n, -(2n ** 100n)],
  dates: [new Date(0), new Date(1_700_000_000_123), new Date(NaN)],
  map: new Map<unknown, unknown>([
    ['a', 1],
    [{ b: 1 }, new Map()],
  ]),
  set: new Set<unknown>([3, 'a', [1]]),
  bytes: [
    bytes(),
    new DataView(bytes()),
    Buffer.from(bytes()),
    new Uint8Array(bytes()),
    new Float32Array(bytes()),
    new BigInt64Array(bytes()),
  ],
  'typed arrays': [
    Int8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float64Array,
    BigUint64Array,
  ].map((cls) => new cls(bytes())),
  texts: ['\uD800', '\uFEFFa', 'x'.repeat(300), { '\uDC00': 1 }],
  'without a prototype': Object.assign(Object.create(null), { a: 1 }),
  'key __proto__': recordOf([['__proto__', 1]], Object.prototype),
  'expression and URL': [/a(?<b>.)/giu, new URL('https://example.org/a?b=c#d')],
  errors: [
    withStack(Object.assign(new TypeError('boom', { cause: 'why' }), { code: 'E1' })),
    withStack(new AggregateError([1], 'several')),
    withStack(new JournalError('JOURNAL_CONFLICT', 'taken', { details: { position: 7 } })),
  ],
  'registered class': new Golden(24),
  reference: [new Handle()],
}

interface Frozen {
  readonly bytes: string
  readonly hash: string
}
const file = new URL('golden/values-1.json', import.meta.url)
const frozen = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Frozen>

describe('format 1', () => {
  it('has a golden record for each value, and no other', () => {
    expect(Object.keys(frozen)).toStrictEqual(Object.keys(values))
  })

  it.each(Object.entries(values))('writes, reads and hashes as ever: %s', (name, value) => {
    const golden = frozen[name]
    expect({
      bytes: Buffer.from(encodeValue(value, { replace })).toString('hex'),
      hash: canonicalHash(value, { replace }),
    }).toStrictEqual(golden)
    expect(decodeValue(Buffer.from(golden?.bytes ?? '', 'hex'), { revive })).toStrictEqual(value)
  })
})
