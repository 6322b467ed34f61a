import { flow, TroupeError, type RunHandle } from '@troupe/core'
import { afterAll, describe, expect, it } from 'vitest'
import { code, errorOf, onThreads, thrownBy } from './support.ts'
import * as tasks from './tasks/values.ts'
import { fail, failLater, look, make, makers, Money, Plain, Refused, show } from './tasks/values.ts'

const stage = onThreads({ threads: 2 })
afterAll(() => stage[Symbol.asyncDispose]())

const kinds = Object.keys(makers)

describe('values of bodies on threads', () => {
  it.each(kinds)('%s: a body gets it as it was given, and it comes back the same', async (kind) => {
    const value = makers[kind]?.()
    const given = (await stage.run(() => look(value))) as { value: unknown; seen: string }
    expect(given.seen).toBe(show(value))
    expect(given.value).toStrictEqual(value)
    expect(show(given.value)).toBe(show(value))
  })

  it.each(kinds)('%s: made by a body, it is the same here', async (kind) => {
    const value = makers[kind]?.()
    const made: unknown = await stage.run(() => make(kind))
    expect(made).toStrictEqual(value)
    expect(show(made)).toBe(show(value))
  })

  it('an instance of a registered class is one of it on both sides, private fields and all', async () => {
    const { value, seen } = (await stage.run(() => look([new Money(250)]))) as {
      value: Money[]
      seen: string
    }
    expect(value[0]).toBeInstanceOf(Money)
    expect(value[0]?.cents).toBe(250)
    expect(seen).toBe('[ Money {} ]')
  })

  it('a body gets a copy: what it changes is not changed here', async () => {
    const given = { list: [1, 2, 3], bytes: Uint8Array.of(1, 2) }
    const { value } = (await stage.run(() => look(given))) as { value: typeof given }
    value.list.push(4)
    expect(given).toStrictEqual({ list: [1, 2, 3], bytes: Uint8Array.of(1, 2) })
  })

  it('the value of a task is handed from thread to thread', async () => {
    const { value } = (await stage.run(() => look({ money: make('an instance of a registered class') }))) as {
      value: { money: { price: Money } }
    }
    expect(value.money.price.cents).toBe(250)
  })
})

describe('what can not be sent to a thread', () => {
  it.each([
    ['a function', [{ a: [0, () => 1] }], 'args[0].a[1]'],
    ['an instance of a class', ['x', new Plain()], 'args[1]'],
    ['a symbol', [{ deep: { er: Symbol('s') } }], 'args[0].deep.er'],
    ['shared memory', [[new SharedArrayBuffer(8)]], 'args[0][0]'],
    ['a promise', [{ p: Promise.resolve(1) }], undefined],
  ])('%s is refused at the call, with its path, and no run is created', async (_, args, path) => {
    const before = stage.transitions.length
    const error = await stage.run(() => thrownBy(() => (look as (...given: unknown[]) => unknown)(...args)))
    expect(TroupeError.is(error)).toBe(true)
    const { code: found, details } = error as TroupeError
    expect([found, details['path']]).toEqual(
      path === undefined ? ['NATIVE_PROMISE', details['path']] : ['NOT_ENCODABLE', path],
    )
    expect(stage.transitions.slice(before).filter(({ kind }) => kind === 'task')).toEqual([])
  })

  it('is refused by `map` at the call, too', async () => {
    const refused = await stage.run(() => thrownBy(() => look.map([1, new Plain(), 2])))
    expect(refused).toEqual(code('NOT_ENCODABLE', /args\[0\]/))
  })

  it.each([[false], [true]])(
    'as a result fails the run, with its path (returned later: %s)',
    async (later) => {
      const run = stage.start(async () => tasks.unencodable(later))
      const error = await errorOf(run)
      expect(error).toEqual(code('NOT_ENCODABLE'))
      expect((error as TroupeError).details['path']).toBe('result.rows[1].count')
    },
  )

  it('as a result is an instance of a class that nobody registered', async () => {
    const error = await errorOf(stage.run(() => tasks.instance()))
    expect(error).toEqual(code('NOT_ENCODABLE'))
    expect((error as TroupeError).details['path']).toBe('result[0]')
  })

  it('as the value of an upstream fails the run that needs it, and its body never begins', async () => {
    const inner = flow('gives-a-function', () => ({ fn: () => 1 }))
    const { ended } = stage.submit(() => [look(inner())])
    const [run] = await ended
    const error = await errorOf(run as PromiseLike<unknown>)
    expect(error).toEqual(code('NOT_ENCODABLE'))
    expect((error as TroupeError).details['path']).toBe('args[0].fn')
    expect(stage.history(run as RunHandle<unknown>)).toBe('Pending → Failed')
  })
})

describe('errors of bodies on threads', () => {
  it.each([[fail], [failLater]])('a built-in one comes with its causes and its stack (%o)', async (task) => {
    const error = await errorOf(stage.run(() => task('built-in')))
    expect(error).toBeInstanceOf(RangeError)
    const { message, stack, cause } = error as RangeError
    expect(message).toBe('out of range')
    expect(stack).toMatch(/^RangeError: out of range\n[^]*tasks\/values\.ts/)
    expect(cause).toBeInstanceOf(TypeError)
    expect((cause as TypeError).cause).toBe('a text')
  })

  it('one of a registered class comes as one of it', async () => {
    const error = await errorOf(stage.run(() => fail('registered')))
    expect(error).toBeInstanceOf(Refused)
    expect(error).toMatchObject({ message: 'refused: no money', reason: 'no money' })
  })

  it('one of a registered class comes as one of it from among causes and lists', async () => {
    const below = await errorOf(stage.run(() => fail('below a built-in')))
    expect((below as Error).cause).toBeInstanceOf(Refused)
    const several = await errorOf(stage.run(() => fail('several')))
    expect(several).toBeInstanceOf(AggregateError)
    const { errors, message } = several as AggregateError
    expect(message).toBe('both')
    expect(errors.map((error: Error) => error.constructor)).toEqual([TypeError, Refused])
  })

  it('one of a class that nobody registered keeps its name, its fields and its built-in class', async () => {
    const error = await errorOf(stage.run(() => fail('unregistered')))
    expect(error).toBeInstanceOf(RangeError)
    expect(error).toMatchObject({ name: 'Unknown', message: 'what is this', where: { line: 7 } })
  })

  it('one of Node keeps its code and its path', async () => {
    const error = await errorOf(stage.run(() => fail('of Node')))
    expect(error).toMatchObject({ code: 'ENOENT', syscall: 'open', path: '/there/is/no/such/file' })
  })

  it('a DOMException keeps its name', async () => {
    const error = await errorOf(stage.run(() => fail('dom')))
    expect(error).toBeInstanceOf(DOMException)
    expect(error).toMatchObject({ name: 'AbortError', message: 'stopped' })
  })

  it('what of one can not be sent is left out, and the rest is kept', async () => {
    const error = (await errorOf(stage.run(() => fail('with fields')))) as Error & Record<string, unknown>
    expect(error).toMatchObject({ message: 'x', code: 'E_X', status: 404 })
    expect('fn' in error).toBe(false)
    const round = await errorOf(stage.run(() => fail('with a cycle')))
    expect(round).toMatchObject({ message: 'round' })
  })

  it('one whose class refuses to write it keeps its message', async () => {
    const error = await errorOf(stage.run(() => fail('refused by its class')))
    expect(error).toMatchObject({ message: 'still said', secret: 1 })
  })

  it('one of Troupe keeps its code and its details', async () => {
    const error = await errorOf(stage.run(() => tasks.misuse()))
    expect(TroupeError.is(error, 'INVALID_DURATION')).toBe(true)
  })

  it.each([
    ['a text', 'just a text', /just a text/],
    ['an object', { status: 500 }, /status: 500/],
    ['nothing', undefined, /undefined/],
  ])('%s that was thrown is wrapped, and kept', async (kind, value, message) => {
    const error = await errorOf(stage.run(() => fail(kind)))
    expect(error).toEqual(code('NON_ERROR_THROWN', message))
    expect((error as TroupeError).details['thrown']).toEqual(value)
  })

  it.each([
    ['a function', /named/],
    ['a symbol', /sign/],
    ['an instance', /Plain/],
  ])('%s that was thrown and can not be sent is named', async (kind, message) => {
    expect(await errorOf(stage.run(() => fail(kind)))).toEqual(code('NON_ERROR_THROWN', message))
  })
})

describe('errors of runs that a body on a thread submitted', () => {
  it('the very error of a child, thrown on, counts as that child returned', async () => {
    const run = stage.start(() => tasks.rethrows('no'))
    const error = await errorOf(run)
    expect(error).toBeInstanceOf(Refused)
    const child = stage.transitions.find(
      ({ flowRunId, task }) => flowRunId === run.id && task === 'values/failing',
    )
    const found = await stage.engine.get(child?.runId ?? '')
    expect(await errorOf(found?.result() ?? Promise.resolve())).toBe(error)
  })

  it('the error of a cancelled child, let through, cancels the run', async () => {
    const { ended } = stage.submit(() => [tasks.cancelsChild()])
    const [run] = await ended
    expect(run?.state.name).toBe('Cancelled')
    expect(await errorOf(run as PromiseLike<unknown>)).toEqual(code('RUN_CANCELLED', /not needed/))
  })

  it('as a cause, it is the error of the child still', async () => {
    const error = await errorOf(stage.run(() => tasks.wraps('inside')))
    expect(error).toBeInstanceOf(TypeError)
    const { cause } = error as TypeError
    expect(cause).toBeInstanceOf(Refused)
    expect(cause).toMatchObject({ reason: 'inside' })
  })

  it('as a value, it is one', async () => {
    const value = (await stage.run(() => tasks.returnsError('told'))) as { found: unknown }
    expect(value.found).toBeInstanceOf(Refused)
  })
})
