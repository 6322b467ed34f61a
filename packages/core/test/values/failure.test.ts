import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RunError } from '../../src/base/errors.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'
import { toError, toFailure } from '../../src/values/failure.ts'
import type { Failure } from '../../src/values/failure.ts'
import { registerValue } from '../../src/values/registry.ts'
import { anyValue } from './arbitraries.ts'
import { differenceOf } from './same.ts'

const roundTrip = (error: unknown): unknown => toError(toFailure(error))

class Declined extends Error {
  readonly card: string
  socket: unknown

  constructor(card: string) {
    super(`declined: ${card}`)
    this.card = card
  }
}
let declinedFails = false
registerValue(Declined, {
  name: 'Declined',
  encode: ({ card }) => {
    if (declinedFails) throw new Error('no')
    return card
  },
  decode: (card) => new Declined(card),
})

describe('toFailure', () => {
  it('says what was thrown without decoding', () => {
    const error = Object.assign(new RangeError('too far'), { code: 'E_FAR' })
    expect(toFailure(error)).toStrictEqual({
      name: 'RangeError',
      message: 'too far',
      code: 'E_FAR',
      encoded: encodeValue(error),
    })
  })

  it('names a class that has set no name', () => {
    class Unnamed extends Error {}
    expect(toFailure(new Unnamed('x')).name).toBe('Unnamed')
    expect(toFailure(Object.assign(new Unnamed('x'), { name: 'Named' })).name).toBe('Named')
    expect(toFailure(new (class extends Error {})('x')).name).toBe('Error')
  })

  it('can itself be encoded', () => {
    const failure = toFailure(new Declined('1234'))
    expect(decodeValue(encodeValue(failure))).toStrictEqual(failure)
  })

  it('gives back what was thrown, with its class, chain of causes and fields', () => {
    const error = new RunError('RUN_FAILED', 'failed', {
      cause: new TypeError('why', { cause: { n: 1 } }),
      details: { runId: 'r1' },
    })
    const back = roundTrip(error) as RunError
    expect(back).toBeInstanceOf(RunError)
    expect(back).toStrictEqual(error)
    expect(back.details).toStrictEqual({ runId: 'r1' })
    expect(back.cause).toBeInstanceOf(TypeError)
    expect(back.stack).toBe(error.stack)
  })

  it('loses only what cannot be encoded', () => {
    const error = Object.assign(
      new RunError('RUN_FAILED', 'failed', { details: { runId: 'r1', f: () => 1 } }),
      {
        socket: Symbol('s'),
        n: 1,
      },
    )
    const back = roundTrip(error) as RunError & { n: number }
    expect(back.details).toStrictEqual({ runId: 'r1' })
    expect(back.n).toBe(1)
    expect('socket' in back).toBe(false)
  })

  it('gives back whatever was thrown', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(differenceOf(roundTrip(value), value)).toBeUndefined()
      }),
    )
  })

  it.each([
    ['a text', 'boom', { name: 'string', message: 'boom' }],
    ['a number', 5, { name: 'number', message: '5' }],
    ['nothing', undefined, { name: 'undefined', message: 'undefined' }],
    ['an object', { a: 1 }, { name: 'object', message: '{ a: 1 }' }],
  ])('describes %s', (_name, thrown, expected) => {
    expect(toFailure(thrown)).toMatchObject(expected)
  })

  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a promise', Promise.resolve()],
    ['an instance', new (class Money {})()],
  ])('makes an error of %s', (_name, thrown) => {
    expect(toFailure(thrown)).toMatchObject({ name: 'RunError', code: 'NON_ERROR_THROWN' })
    expect(roundTrip(thrown)).toMatchObject({
      code: 'NON_ERROR_THROWN',
      message: expect.stringMatching(/throw an Error/),
    })
  })

  it('never throws', () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    const hostile = new Proxy(new Error('x'), {
      get() {
        throw new Error('get')
      },
      ownKeys() {
        throw new Error('ownKeys')
      },
    })
    const odd = Object.assign(new Error('x'), { message: Symbol('s'), name: 5 })
    const bare = Object.setPrototypeOf(new Error('bare'), null) as unknown
    for (const thrown of [proxy, hostile, odd, bare, Object.create(Error.prototype)]) {
      const failure = toFailure(thrown)
      expect(failure.name).toBeTypeOf('string')
      expect(failure.message).toBeTypeOf('string')
      expect(toError(failure)).toBeInstanceOf(Error)
    }
  })

  it('keeps an error whose registered class fails as an ordinary one', () => {
    declinedFails = true
    try {
      const back = roundTrip(new Declined('1234')) as Declined
      expect(back).not.toBeInstanceOf(Declined)
      expect(back).toMatchObject({ message: 'declined: 1234', card: '1234' })
    } finally {
      declinedFails = false
    }
  })
})

describe('toError', () => {
  it('gives back a registered class', () => {
    const back = roundTrip(new Declined('1234')) as Declined
    expect(back).toBeInstanceOf(Declined)
    expect(back.card).toBe('1234')
  })

  it('gives a plain error with name, message, code and stack where the class is not known', () => {
    const error = Object.assign(new Declined('1234'), { code: 'E_CARD' })
    const failure = toFailure(error)
    const encoded = Buffer.from(failure.encoded ?? [])
    encoded.write('Unknown1', encoded.indexOf('Declined'))
    const back = toError({ ...failure, encoded }) as Error & { code: string }
    expect(Object.getPrototypeOf(back)).toBe(Error.prototype)
    expect(back).toMatchObject({ name: 'Declined', message: 'declined: 1234', code: 'E_CARD' })
    expect(back.stack).toBe(error.stack)
    expect(back.cause).toMatchObject({ code: 'MALFORMED_PAYLOAD', details: { name: 'Unknown1' } })
  })

  it('never throws', () => {
    const failure: Failure = { name: 'TypeError', message: 'x' }
    expect(toError(failure)).toMatchObject({ name: 'TypeError', message: 'x' })
    expect('cause' in (toError(failure) as Error)).toBe(false)
    fc.assert(
      fc.property(fc.uint8Array(), (encoded) => {
        toError({ ...failure, encoded })
      }),
    )
    expect(toError({ ...failure, encoded: new Uint8Array([9]) })).toMatchObject({
      name: 'TypeError',
      cause: { code: 'UNSUPPORTED_FORMAT' },
    })
  })
})
