import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as base from '../../src/base/errors.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'
import { anyValue } from './arbitraries.ts'
import { differenceOf } from './same.ts'

type AnyError = Error & Record<string, unknown>

const roundTrip = (value: unknown): AnyError => decodeValue(encodeValue(value)) as AnyError

function thrownBy(body: () => unknown): AnyError {
  try {
    body()
  } catch (error) {
    return error as AnyError
  }
  throw new Error('nothing was thrown')
}

class HttpError extends TypeError {
  readonly status: number

  constructor(status: number, options?: ErrorOptions) {
    super(`status ${status}`, options)
    this.name = 'HttpError'
    this.status = status
  }
}

const builtIn = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError]

describe('an error', () => {
  it.each(builtIn.map((cls) => [cls.name, cls]))('of class %s comes back as one', (_name, cls) => {
    const error = new cls('boom', { cause: { n: 1 } })
    const back = roundTrip(error)
    expect(Object.getPrototypeOf(back)).toBe(cls.prototype)
    expect(back).toStrictEqual(error)
    expect(back.stack).toBe(error.stack)
    expect(Object.getOwnPropertyNames(back).toSorted()).toStrictEqual(
      Object.getOwnPropertyNames(error).toSorted(),
    )
    expect(Object.keys(back)).toStrictEqual([])
  })

  it('of class AggregateError comes back with its errors', () => {
    const error = new AggregateError([new RangeError('a'), 'b', 3], 'two')
    const back = roundTrip(error)
    expect(back).toBeInstanceOf(AggregateError)
    expect(back['errors']).toStrictEqual([new RangeError('a'), 'b', 3])
    expect(back).toStrictEqual(error)
    expect(Object.keys(back)).toStrictEqual([])
  })

  it('of class DOMException comes back as one', () => {
    const { reason } = AbortSignal.abort() as { reason: AnyError }
    const back = roundTrip(reason)
    expect(back).toBeInstanceOf(DOMException)
    expect({ ...pick(back) }).toStrictEqual(pick(reason))
    expect(roundTrip(new DOMException())).toMatchObject({ name: 'Error', message: '' })
  })

  it('of class UsageError and the other classes of Troupe comes back as one', () => {
    const classes = [base.UsageError, base.RunError, base.CodecError, base.JournalError, base.TroupeError]
    for (const cls of classes) {
      const error = new cls('RUN_FAILED', 'failed', {
        cause: new TypeError('x'),
        details: { runId: 'r1', n: [1] },
      })
      const back = roundTrip(error)
      expect(Object.getPrototypeOf(back)).toBe(cls.prototype)
      expect(back).toMatchObject({ name: cls.name, code: 'RUN_FAILED', message: 'failed' })
      expect(back['details']).toStrictEqual({ runId: 'r1', n: [1] })
      expect(back.cause).toStrictEqual(new TypeError('x'))
      expect(back.stack).toBe(error.stack)
      expect(base.TroupeError.is(back, 'RUN_FAILED')).toBe(true)
    }
  })

  it('of class InternalError comes back with its message as it was', () => {
    const error = new base.InternalError('no entry')
    const back = roundTrip(error)
    expect(back).toBeInstanceOf(base.InternalError)
    expect(back.message).toBe(error.message)
  })

  it('of another copy of Troupe comes back as one of this copy', () => {
    class TroupeError extends Error {
      readonly code = 'RUN_FAILED'
      readonly details = { runId: 'r1' }
    }
    class RunError extends TroupeError {}
    const error = new RunError('x')
    Object.defineProperty(error, Symbol.for('@troupe/core/error'), { value: true })
    const back = roundTrip(error)
    expect(back).toBeInstanceOf(base.RunError)
    expect(back).toMatchObject({ code: 'RUN_FAILED', details: { runId: 'r1' } })
  })

  it('of a class that is not registered comes back as the nearest class that comes back', () => {
    const error = new HttpError(404, { cause: 'gone' })
    const back = roundTrip(error)
    expect(Object.getPrototypeOf(back)).toBe(TypeError.prototype)
    expect(back).toMatchObject({ name: 'HttpError', message: 'status 404', status: 404, cause: 'gone' })
    expect(back.stack).toBe(error.stack)
  })

  it('keeps a name and a code that only its class has', () => {
    class Odd extends Error {
      override get name() {
        return 'Odd'
      }
      get code() {
        return 'E_ODD'
      }
    }
    const back = roundTrip(new Odd('x'))
    expect(back).toMatchObject({ name: 'Odd', code: 'E_ODD' })
    expect(Object.keys(back)).toStrictEqual([])
  })

  it('keeps the code of a system error and its other fields', () => {
    const error = thrownBy(() => readFileSync('/nowhere/at/all'))
    const back = roundTrip(error)
    expect(back).toStrictEqual(error)
    expect(Object.entries(back)).toStrictEqual(Object.entries(error))
    expect(back['code']).toBe('ENOENT')
  })

  it('keeps a chain of causes', () => {
    const error = new Error('a', { cause: new RangeError('b', { cause: new HttpError(500) }) })
    expect(roundTrip(error)).toStrictEqual(
      new Error('a', {
        cause: new RangeError('b', {
          cause: Object.assign(new TypeError('status 500'), { status: 500, name: 'HttpError' }),
        }),
      }),
    )
  })

  it('keeps a cause that is undefined, and has none where it had none', () => {
    expect('cause' in roundTrip(new Error('x', { cause: undefined }))).toBe(true)
    expect('cause' in roundTrip(new Error('x'))).toBe(false)
  })

  it('without a stack does not get one from the decoder', () => {
    const error = new Error('x')
    delete error.stack
    expect(roundTrip(error).stack).toBeUndefined()
  })

  it('leaves the limit of stack traces as it was', () => {
    const { stackTraceLimit } = Error
    roundTrip(new Error('x'))
    expect(Error.stackTraceLimit).toBe(stackTraceLimit)
  })

  it('keeps an odd message and odd names of fields', () => {
    const error = Object.assign(new Error('x'), { message: 5, ['__proto__x']: 1, stack: ['a'] })
    Object.defineProperty(error, '__proto__', { value: { polluted: true }, enumerable: true })
    const back = roundTrip(error)
    expect(back).toMatchObject({ message: 5, stack: ['a'] })
    expect(Object.getOwnPropertyDescriptor(back, '__proto__')?.value).toStrictEqual({ polluted: true })
    expect(back['polluted']).toBeUndefined()
  })

  it('of every built-in class with fields comes back, whatever they hold', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...builtIn),
        fc.string(),
        anyValue,
        anyValue,
        (cls, message, cause, field) => {
          const error = Object.assign(new cls(message, { cause }), { field })
          const back = roundTrip(error)
          expect(differenceOf(back, error)).toBeUndefined()
          expect(encodeValue(back)).toStrictEqual(encodeValue(error))
        },
      ),
    )
  })
})

describe('an error that holds what cannot be encoded', () => {
  it('loses only that', () => {
    const error = Object.assign(new Error('x', { cause: () => 1 }), {
      code: 'E1',
      socket: new (class Socket {})(),
      [Symbol('hidden')]: 1,
      response: { status: 500, send() {}, headers: new Map([['a', 'b']]) },
      list: [1, () => 2, 3],
      map: new Map([[1, Symbol('s')]]),
    })
    const back = roundTrip(error)
    expect(back.cause).toBeUndefined()
    expect(Object.entries(back)).toStrictEqual([
      ['code', 'E1'],
      ['response', { status: 500, headers: new Map([['a', 'b']]) }],
      ['list', [1, undefined, 3]],
    ])
  })

  it('calls no accessor of its own, and survives those of its class that throw', () => {
    class Nasty extends Error {
      get code(): string {
        throw new Error('no code')
      }
    }
    const error = new Nasty('x')
    Object.defineProperty(error, 'field', { enumerable: true, get: () => expect.fail('called') })
    expect(roundTrip(error)).toMatchObject({ message: 'x' })
  })

  it('survives being its own cause', () => {
    const error = new Error('x') as AnyError
    error.cause = error
    error['self'] = { error, n: 1 }
    const back = roundTrip(error)
    expect('cause' in back).toBe(false)
    expect(back['self']).toStrictEqual({ n: 1 })
  })

  it('keeps the errors of an AggregateError in their places', () => {
    const back = roundTrip(new AggregateError([() => 1, new Error('b')], 'x'))
    expect(back['errors']).toStrictEqual([undefined, new Error('b')])
  })

  it('keeps the first 500 of a longer chain of causes', () => {
    let error = new Error('0')
    for (let i = 1; i < 1000; i++) error = new Error(String(i), { cause: error })
    let depth = 0
    for (let at: unknown = roundTrip(error); at instanceof Error; at = at.cause) depth++
    expect(depth).toBe(500)
  })

  it('takes back the bytes of what it loses', () => {
    const lost = { bytes: new Uint8Array(1000), text: '\uD800', f() {} }
    const error = Object.assign(new Error('x'), { map: new Map([[1, lost]]), kept: new Uint8Array([7]) })
    expect(encodeValue(error).length).toBeLessThan(encodeValue(new Error('x')).length + 100)
    expect(roundTrip(error)['kept']).toStrictEqual(new Uint8Array([7]))
  })

  it('does not double its work at every level', () => {
    let error: Error = new Error('innermost')
    for (let i = 0; i < 60; i++) error = Object.assign(new Error(`${i}`), { details: { error, f: () => 1 } })
    expect(roundTrip(error).message).toBe('59')
  })
})

function pick({ name, message, code, stack }: AnyError): object {
  return { name, message, code, stack }
}
