import {
  completed,
  ConcurrentTaskRunner,
  flow,
  inputs,
  task,
  transfer,
  unmapped,
  type TaskFuture,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, testEngine } from './support.ts'

/** What a view or a buffer holds, by its name and its bytes. */
function seen(given: unknown): string {
  if (!(given instanceof ArrayBuffer) && !ArrayBuffer.isView(given)) return 'no buffer'
  const kind = Buffer.isBuffer(given) ? 'Buffer' : Object.prototype.toString.call(given).slice(8, -1)
  const bytes = ArrayBuffer.isView(given)
    ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
    : new Uint8Array(given)
  return `${kind} ${[...bytes].join()}`
}

const bufferOf = (view: ArrayBuffer | ArrayBufferView): ArrayBufferLike =>
  ArrayBuffer.isView(view) ? view.buffer : view

const look = task('look', (given: unknown): string => seen(given))
const lookInside = task('look-inside', (given: { rows: Uint8Array }[]): string[] =>
  given.map(({ rows }) => seen(rows)),
)

const spread = task('spread', (n: number, bytes: Uint8Array): string => `${n} ${seen(bytes)}`)

const whole = (): ArrayBuffer => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer
const views: readonly (readonly [string, () => ArrayBuffer | ArrayBufferView])[] = [
  ['ArrayBuffer', whole],
  ['Buffer', () => Buffer.from(whole())],
  ['DataView', () => new DataView(whole())],
  ['Int8Array', () => new Int8Array(whole())],
  ['Uint8Array', () => new Uint8Array(whole())],
  ['Uint8ClampedArray', () => new Uint8ClampedArray(whole())],
  ['Int16Array', () => new Int16Array(whole())],
  ['Uint16Array', () => new Uint16Array(whole())],
  ['Int32Array', () => new Int32Array(whole())],
  ['Uint32Array', () => new Uint32Array(whole())],
  ['Float32Array', () => new Float32Array(whole())],
  ['Float64Array', () => new Float64Array(whole())],
  ['BigInt64Array', () => new BigInt64Array(whole())],
  ['BigUint64Array', () => new BigUint64Array(whole())],
]

describe.each([[true], [false]])('transfer in this process (values encoded: %s)', (strictValues) => {
  /** What the body of a flow comes to. */
  async function settled<R>(body: () => R) {
    await using engine = testEngine({ strictValues })
    return await engine.settle(flow({ name: 'moves', taskRunner: new ConcurrentTaskRunner() }, body)())
  }

  it.each(views)(
    'detaches the buffer of the sender at once; the body gets it as it was (%s)',
    async (name, make) => {
      const view = make()
      const found = await settled(() => {
        const call = look(transfer(view))
        expect(bufferOf(view).byteLength).toBe(0)
        return call
      })
      expect(found).toBe(`${name} 1,2,3,4,5,6,7,8`)
    },
  )

  it('may stand within lists, objects and maps', async () => {
    const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)]
    const found = await settled(() => lookInside([{ rows: transfer(a) }, { rows: transfer(b) }]))
    expect(found).toEqual(['Uint8Array 1', 'Uint8Array 2'])
    expect([a.byteLength, b.byteLength]).toEqual([0, 0])
    const inMap = task('in-map', (map: Map<string, Uint8Array>) => seen(map.get('k')))
    expect(await settled(() => inMap(new Map([['k', transfer(Uint8Array.of(3))]])))).toBe('Uint8Array 3')
  })

  it('may stand beside futures', async () => {
    const two = task('two', (a: unknown, b: unknown) => [a, seen(b)])
    expect(await settled(() => two(look(new ArrayBuffer(0)), transfer(Uint8Array.of(4))))).toEqual([
      'ArrayBuffer ',
      'Uint8Array 4',
    ])
  })

  it('of each item goes to its own run of a map', async () => {
    const found = await settled(() => look.map([1, 2, 3].map((n) => transfer(Uint8Array.of(n)))))
    expect(found).toEqual(['Uint8Array 1', 'Uint8Array 2', 'Uint8Array 3'])
  })

  it('gives a buffer away once: it is the argument of one call', async () => {
    const errors: unknown[] = []
    const value = await settled(async () => {
      const refused = async (call: () => unknown): Promise<void> =>
        void errors.push(await errorOf(Promise.resolve().then(call)))
      const given = transfer(Uint8Array.of(1))
      const first = look(given)
      await refused(() => look(given))
      const rows = transfer(Uint8Array.of(2))
      await refused(() => lookInside([{ rows }, { rows }]))
      await refused(() => spread.map([1, 2], unmapped(transfer(Uint8Array.of(3))) as never))
      return first
    })
    expect(value).toBe('Uint8Array 1')
    expect(errors).toMatchObject([
      { code: 'INVALID_OPTION', details: { path: 'args[0]' } },
      { code: 'INVALID_OPTION', details: { path: 'args[0][1].rows' } },
      { code: 'INVALID_OPTION', details: { path: 'args[1]' } },
    ])
  })

  it('is an argument of flows, and a result of theirs', async () => {
    const inner = flow('inner', (bytes: Uint8Array) => {
      bytes[0] = 9
      return transfer(bytes)
    })
    const bytes = Uint8Array.of(1, 2)
    const value = await settled(async () => seen(await inner(transfer(bytes))))
    expect([value, bytes.byteLength]).toEqual(['Uint8Array 9,2', 0])
  })

  it.each(views)(
    'of a result gives the value as it was, and detaches that of the body (%s)',
    async (name, make) => {
      let kept: ArrayBuffer | ArrayBufferView | undefined
      const makes = task('makes', () => transfer((kept = make())))
      const value: unknown = await settled(() => makes())
      expect(seen(value)).toBe(`${name} 1,2,3,4,5,6,7,8`)
      expect(bufferOf(kept as ArrayBuffer).byteLength).toBe(0)
    },
  )

  it('may stand within a result, beside futures, and in `completed`', async () => {
    const makes = task('makes-several', () => ({
      list: [transfer(Uint8Array.of(1)), transfer(Uint8Array.of(2))],
      later: look(Uint8Array.of(3)),
    }))
    expect(await settled(() => makes())).toEqual({
      list: [Uint8Array.of(1), Uint8Array.of(2)],
      later: 'Uint8Array 3',
    })
    const ends = task('ends', () => completed({ bytes: transfer(Uint8Array.of(4)) }))
    expect(await settled(() => ends())).toEqual({ bytes: Uint8Array.of(4) })
  })

  it('is a buffer for all that looks at arguments: names, schemas, keys', async () => {
    const asked: string[] = []
    const named = task(
      {
        name: 'named',
        runName: (bytes: Uint8Array) => `of ${bytes.byteLength}`,
        cacheKey: (bytes: Uint8Array) => {
          asked.push(seen(bytes))
          return undefined
        },
      },
      (bytes: Uint8Array) => seen(bytes),
    )
    const found = await settled(async () => {
      const run = named(transfer(Uint8Array.of(1, 2)))
      return [await run, run.runName]
    })
    expect(found).toEqual(['Uint8Array 1,2', 'of 2'])
    expect(asked).toEqual(['Uint8Array 1,2'])
  })

  it('is the same argument as an equal one for a cache', async () => {
    let count = 0
    const cached = task({ name: 'cached', cache: inputs() }, (bytes: Uint8Array) => {
      count++
      return seen(bytes)
    })
    const found = await settled(async () => [
      await cached(transfer(Uint8Array.of(1))),
      await cached(transfer(Uint8Array.of(1))),
      await cached(Uint8Array.of(1)),
      await cached(transfer(Uint8Array.of(2))),
    ])
    expect(found).toEqual(['Uint8Array 1', 'Uint8Array 1', 'Uint8Array 1', 'Uint8Array 2'])
    expect(count).toBe(2)
  })

  it('of an argument is there for each attempt', async () => {
    let attempts = 0
    const flaky = task({ name: 'flaky', retries: 1 }, (bytes: Uint8Array) => {
      if (++attempts === 1) throw new TypeError('once more')
      return seen(bytes)
    })
    expect(await settled(() => flaky(transfer(Uint8Array.of(1, 2))))).toBe('Uint8Array 1,2')
  })

  it('of an argument is there when an upstream is waited for', async () => {
    const found = await settled(() => look.with({ waitFor: look(0) })(transfer(Uint8Array.of(1))))
    expect(found).toBe('Uint8Array 1')
  })
})

describe('transfer', () => {
  it.each([
    ['a view of a part', () => new Uint8Array(8).subarray(2), /6 of 8 bytes/],
    ['a Buffer from the shared pool', () => Buffer.from('pooled'), /6 of \d+ bytes/],
    ['shared memory', () => new SharedArrayBuffer(8), /ArrayBuffer or a view/],
    ['a view of shared memory', () => new Uint8Array(new SharedArrayBuffer(8)), /ArrayBuffer or a view/],
    ['memory of WebAssembly', memory, /can be detached/],
    ['a list', () => [1], /ArrayBuffer or a view/],
    ['nothing', () => undefined, /ArrayBuffer or a view/],
  ])('refuses %s', (_, make, message) => {
    expect(() => transfer(make() as unknown as ArrayBuffer)).toThrow(code('INVALID_OPTION', message) as Error)
  })

  it('refuses a buffer that was given away', () => {
    const bytes = Uint8Array.of(1)
    transfer(bytes)
    expect(() => transfer(bytes)).toThrow(code('INVALID_OPTION', /was not given away/) as Error)
    expect(() => transfer(bytes.buffer)).toThrow(code('INVALID_OPTION', /was not given away/) as Error)
  })

  it('takes what is empty', async () => {
    await using engine = testEngine()
    expect(await engine.settle(flow('empty', () => look(transfer(new Uint8Array(0))))())).toBe('Uint8Array ')
  })

  it('works outside of a run, too', async () => {
    await using engine = testEngine()
    const takes = flow('takes', (bytes: Uint8Array) => seen(bytes))
    const bytes = Uint8Array.of(1)
    expect(await engine.settle(engine.run(takes, transfer(bytes)))).toBe('Uint8Array 1')
    expect(bytes.byteLength).toBe(0)
  })
})

/** What the types of Node leave out. */
function memory(): ArrayBuffer {
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (options: { initial: number }) => { readonly buffer: ArrayBuffer } }
  }
  return new WebAssembly.Memory({ initial: 1 }).buffer
}

/** That its type is that of the value. */
export const typed = (): TaskFuture<string> => look(transfer(Uint8Array.of(1)))
