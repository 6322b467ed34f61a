import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/base/errors.ts'
import { canonicalHash } from '../../src/values/canonical.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'

class Future {
  readonly id: string

  constructor(id: string) {
    this.id = id
  }

  then(): void {}
}
class Wrapper {
  readonly inner: unknown

  constructor(inner: unknown) {
    this.inner = inner
  }
}

function replace(leaf: object): { tag: string; data: unknown } | undefined {
  if (leaf instanceof Future) return { tag: 'run', data: leaf.id }
  return leaf instanceof Wrapper ? { tag: 'wrapped', data: leaf.inner } : undefined
}

function revive(tag: string, data: unknown): unknown {
  return tag === 'run' ? new Future(data as string) : new Wrapper(data)
}

function thrownBy(body: () => unknown): unknown {
  try {
    body()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe('replace and revive', () => {
  it('let an object stand for what is behind it', () => {
    const value = { parts: [new Future('r1'), 2], map: new Map([[1, new Wrapper({ f: new Future('r2') })]]) }
    expect(decodeValue(encodeValue(value, { replace }), { revive })).toStrictEqual(value)
  })

  it('go into the hash by tag and data', () => {
    const hash = (value: unknown): string => canonicalHash(value, { replace })
    expect(hash([new Future('r1')])).toBe(hash([new Future('r1')]))
    expect(hash([new Future('r1')])).not.toBe(hash([new Future('r2')]))
    expect(hash([new Future('r1')])).not.toBe(hash([new Wrapper('r1')]))
    expect(hash([new Future('r1')])).not.toBe(hash(['r1']))
  })

  it('are asked for every object that is no plain container, before anything else', () => {
    const asked: string[] = []
    const value = [
      {},
      Object.create(null),
      new Map(),
      new Set(),
      [],
      new Date(0),
      /a/,
      new Error('x'),
      new Uint8Array(),
    ]
    encodeValue([...value, new Future('r')], {
      replace: (leaf) => {
        asked.push(leaf.constructor.name)
        return { tag: 'any', data: null }
      },
    })
    expect(asked).toStrictEqual(['Date', 'RegExp', 'Error', 'Uint8Array', 'Future'])
  })

  it('name the place inside the data', () => {
    const error = thrownBy(() => encodeValue([new Wrapper({ f: () => 1 })], { at: 'args', replace }))
    expect(error).toMatchObject({ code: 'NOT_ENCODABLE', details: { path: 'args[0]<wrapped>.f' } })
  })

  it('refuse data that leads back to the object', () => {
    const same = (leaf: object) => ({ tag: 'same', data: leaf })
    expect(thrownBy(() => encodeValue(new Date(0), { replace: same }))).toMatchObject({
      code: 'NOT_ENCODABLE',
      details: { path: 'value<same>' },
    })
  })

  it('refuse what is not replaced as ever', () => {
    expect(thrownBy(() => encodeValue([Promise.resolve()], { replace }))).toMatchObject({
      code: 'NOT_ENCODABLE',
      details: { path: 'value[0]' },
    })
  })

  it('pass on an error of Troupe that they throw', () => {
    const own = new UsageError('NATIVE_PROMISE', 'await it')
    const throwIt = (): never => {
      throw own
    }
    expect(thrownBy(() => encodeValue([new Date(0)], { replace: throwIt }))).toBe(own)
    expect(thrownBy(() => canonicalHash([new Date(0)], { replace: throwIt }))).toBe(own)
    const bytes = encodeValue([new Future('r1')], { replace })
    expect(thrownBy(() => decodeValue(bytes, { revive: throwIt }))).toBe(own)
  })

  it('need each other', () => {
    const bytes = encodeValue([new Future('r1')], { replace })
    expect(thrownBy(() => decodeValue(bytes))).toMatchObject({
      code: 'MALFORMED_PAYLOAD',
      details: { tag: 'run' },
    })
  })
})
