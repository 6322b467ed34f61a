/** What values are on either side. Both the tests and their threads load it, with its classes. */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { currentTaskRun, registerValue, sleep, task, transfer } from '@troupe/core'

export class Money {
  readonly #cents: number

  constructor(cents: number) {
    this.#cents = cents
  }

  get cents(): number {
    return this.#cents
  }
}
registerValue(Money, {
  name: 'test/Money',
  encode: ({ cents }) => ({ cents }),
  decode: ({ cents }) => new Money(cents),
})

export class Refused extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(`refused: ${reason}`)
    this.reason = reason
  }
}
registerValue(Refused, {
  name: 'test/Refused',
  encode: ({ reason }) => reason,
  decode: (reason) => new Refused(reason),
})

/** Registered by nobody. */
export class Plain {
  readonly x = 1
}

class Unknown extends RangeError {
  readonly where = { line: 7 }
  override readonly name = 'Unknown'
}

class Mute extends Error {
  readonly secret = 1
}
registerValue(Mute, {
  name: 'test/Mute',
  encode: (): string => {
    throw new TypeError('it does not want to be written')
  },
  decode: () => new Mute(),
})

/** Values that can be written, made anew where it is asked. */
export const makers: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  'negative zero': () => -0,
  'numbers at the limits': () => [Number.NaN, Number.NEGATIVE_INFINITY, Number.MIN_VALUE, 2 ** 53],
  bigints: () => [-1n, 2n ** 90n],
  'texts of all kinds': () => ['', 'ä☃😀', '\uD800 alone', 'x'.repeat(20_000)],
  'a list with undefined': () => [undefined, 1, undefined],
  'an object with undefined': () => ({ a: undefined, b: { c: [] } }),
  'an object without prototype': () => Object.assign(Object.create(null) as object, { a: 1 }),
  dates: () => [new Date(0), new Date(Number.NaN)],
  'maps and sets': () => new Map<unknown, unknown>([[{ k: 1 }, new Set([new Map([[1, 2]])])]]),
  'regular expressions': () => /a\/b/giu,
  urls: () => new URL('https://user@example.org:8080/path?q=1#here'),
  'an ArrayBuffer': () => Uint8Array.of(1, 2, 3).buffer,
  'typed arrays': () => [
    Int8Array.of(-1),
    Uint8ClampedArray.of(255),
    Int16Array.of(-300),
    Uint16Array.of(60_000),
    Int32Array.of(-70_000),
    Uint32Array.of(4_000_000_000),
    Float32Array.of(0.5),
    Float64Array.of(0.1),
    BigInt64Array.of(-1n),
    BigUint64Array.of(2n ** 63n),
  ],
  'a view of a part': () => Uint8Array.of(1, 2, 3, 4).subarray(1, 3),
  'a Buffer': () => Buffer.from('text'),
  'a DataView': () => new DataView(Uint8Array.of(1, 2, 3, 4).buffer),
  'an instance of a registered class': () => ({ price: new Money(250) }),
  'an error as a value': () => new TypeError('no failure', { cause: new Refused('inside') }),
}

/** What bodies throw. */
const thrown: Readonly<Record<string, () => unknown>> = {
  'built-in': () => new RangeError('out of range', { cause: new TypeError('below', { cause: 'a text' }) }),
  registered: () => new Refused('no money'),
  'below a built-in': () => Object.assign(new Error('above'), { cause: new Refused('inside') }),
  unregistered: () => new Unknown('what is this'),
  'of Node': () => {
    readFileSync('/there/is/no/such/file')
    return undefined
  },
  several: () => new AggregateError([new TypeError('one'), new Refused('two')], 'both'),
  dom: () => new DOMException('stopped', 'AbortError'),
  'with fields': () =>
    Object.assign(new Error('x'), { code: 'E_X', status: 404, fn: () => 1, list: [new Plain(), 'kept'] }),
  'with a cycle': () => {
    const error = new Error('round')
    return Object.assign(error, { self: { error } })
  },
  'refused by its class': () => new Mute('still said'),
  'a text': () => 'just a text',
  'an object': () => ({ status: 500 }),
  nothing: () => undefined,
  'a function': () => function named() {},
  'a symbol': () => Symbol('sign'),
  'an instance': () => new Plain(),
}

export const make = task('values/make', (kind: string): unknown => makers[kind]?.())

/** What it is given, and what that looks like in the thread. */
export const look = task('values/look', (value: unknown): { value: unknown; seen: string } => ({
  value,
  seen: show(value),
}))

export function show(value: unknown): string {
  const text = inspect(value, { depth: 10, maxStringLength: 50 })
  // The stack of an error that was made here differs by where it was made.
  return text.replaceAll(/( \{)?\n\s+(at|\.\.\. \d+ lines) .*/g, '')
}

export const fail = task('values/fail', (kind: string): never => {
  throw thrown[kind]?.()
})

export const failLater = task('values/fail-later', async (kind: string): Promise<never> => {
  await sleep(1)
  throw thrown[kind]?.()
})

export const misuse = task('values/misuse', (): unknown => sleep('soon' as never))

export const unencodable = task('values/unencodable', async (later: boolean): Promise<unknown> => {
  if (later) await sleep(1)
  return { rows: [1, { count: () => 1 }] }
})

export const instance = task('values/instance', (): unknown => [new Plain()])

/** A child whose failure its parent knows. */
export const failing = task('values/failing', (message: string): never => {
  throw new Refused(message)
})

export const rethrows = task('values/rethrows', async (message: string): Promise<unknown> => {
  try {
    return await failing(message)
  } catch (error) {
    throw error instanceof Refused ? error : new TypeError('it is another one')
  }
})

export const wraps = task('values/wraps', async (message: string): Promise<unknown> => {
  try {
    return await failing(message)
  } catch (cause) {
    throw new TypeError('around it', { cause })
  }
})

export const returnsError = task('values/returns-error', async (message: string): Promise<unknown> => {
  return failing(message).then(
    () => undefined,
    (error: unknown) => ({ found: error }),
  )
})

const sleeping = task('values/sleeping', async () => sleep('1m'))

/** Cancels its child, and lets its error through. */
export const cancelsChild = task('values/cancels-child', async (): Promise<void> => {
  const child = sleeping()
  void child.cancel('not needed')
  await child
})

// --- buffers ------------------------------------------------------------------------------------------------------------

export interface Seen {
  readonly kind: string
  readonly byteLength: number
  readonly first: string
  readonly last: string
}

/** What a view or a buffer holds, by its name and its ends. */
export function seenIn(given: unknown): Seen {
  if (!(given instanceof ArrayBuffer) && !ArrayBuffer.isView(given)) throw new TypeError('no buffer')
  const kind = Buffer.isBuffer(given) ? 'Buffer' : Object.prototype.toString.call(given).slice(8, -1)
  const bytes = ArrayBuffer.isView(given)
    ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
    : new Uint8Array(given)
  return { kind, byteLength: bytes.length, first: String(bytes[0]), last: String(bytes.at(-1)) }
}

export const seeBuffer = task('values/see-buffer', (given: unknown): Seen => seenIn(given))

export const seeInside = task('values/see-inside', (given: { rows: Uint8Array }[]): Seen[] =>
  given.map(({ rows }) => seenIn(rows)),
)

/** Changes what it got, and fails at first. */
export const spoils = task('values/spoils', (bytes: Uint8Array): Seen => {
  const seen = seenIn(bytes)
  bytes.fill(0)
  if (currentTaskRun().attempt === 1) throw new TypeError('once more')
  return seen
})

/** Gives back what it got, changed at both ends, without a copy. */
export const passOn = task('values/pass-on', (bytes: Uint8Array) => {
  bytes[0] = 11
  bytes[bytes.length - 1] = 22
  return transfer(bytes)
})

export const makeBuffer = task('values/make-buffer', (kind: string, length: number) => {
  const bytes = new Uint8Array(length).fill(7)
  switch (kind) {
    case 'ArrayBuffer':
      return transfer(bytes.buffer)
    case 'Buffer':
      return transfer(Buffer.from(bytes.buffer))
    case 'Float64Array':
      return transfer(new Float64Array(bytes.buffer))
    default:
      return transfer(bytes)
  }
})

export const makeInside = task('values/make-inside', () => ({
  name: 'two',
  parts: [transfer(Uint8Array.of(1, 2)), transfer(Uint8Array.of(3, 4, 5))],
}))

/** Uses a buffer after it gave it away. */
export const keepsOn = task('values/keeps-on', () => {
  const bytes = Uint8Array.of(1, 2, 3)
  const given = transfer(bytes)
  return { given, left: bytes.byteLength }
})

/** Gives buffers to tasks that it calls. */
export const givesBelow = task('values/gives-below', async () => {
  const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)]
  const calls = [seeBuffer(transfer(a)), seeInside([{ rows: transfer(b) }])] as const
  const left = [a.byteLength, b.byteLength]
  return { seen: [await calls[0], await calls[1]], left }
})

/** Tries to give one away twice. */
export const givesTwice = task('values/gives-twice', async (): Promise<unknown> => {
  const given = transfer(Uint8Array.of(1, 2))
  const first = seeBuffer(given)
  try {
    await seeBuffer(given)
  } catch (error) {
    return [await first, error]
  }
  return [await first, 'was taken']
})
