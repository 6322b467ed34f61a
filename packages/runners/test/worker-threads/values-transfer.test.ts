import { transfer, type RunHandle } from '@troupe/core'
import { afterAll, describe, expect, it } from 'vitest'
import { code, errorOf, onThreads, range, thrownBy, type Stage } from './support.ts'
import { ends, endsAtGate, keepsBuffer, sizeOf, spinsOnce } from './tasks/crashes.ts'
import {
  givesBelow,
  givesTwice,
  keepsOn,
  make,
  makeBuffer,
  makeInside,
  passOn,
  seeBuffer,
  seeInside,
  seenIn,
  spoils,
  type Seen,
} from './tasks/values.ts'

const stage = onThreads({ threads: 2 })
afterAll(() => stage[Symbol.asyncDispose]())

const views: readonly (readonly [string, () => ArrayBuffer | ArrayBufferView])[] = [
  ['ArrayBuffer', () => Uint8Array.of(1, 2, 3, 4).buffer],
  ['Buffer', () => Buffer.from(Uint8Array.of(1, 2, 3, 4).buffer)],
  ['DataView', () => new DataView(Uint8Array.of(1, 2, 3, 4).buffer)],
  ['Int8Array', () => Int8Array.of(1, -2)],
  ['Uint8Array', () => Uint8Array.of(1, 2)],
  ['Uint8ClampedArray', () => Uint8ClampedArray.of(1, 2)],
  ['Int16Array', () => Int16Array.of(1, -2)],
  ['Uint16Array', () => Uint16Array.of(1, 2)],
  ['Int32Array', () => Int32Array.of(1, -2)],
  ['Uint32Array', () => Uint32Array.of(1, 2)],
  ['Float32Array', () => Float32Array.of(0.5, 2)],
  ['Float64Array', () => Float64Array.of(0.5, 2)],
  ['BigInt64Array', () => BigInt64Array.of(1n, -2n)],
  ['BigUint64Array', () => BigUint64Array.of(1n, 2n)],
]
const megabytes = 64

const bufferOf = (view: ArrayBuffer | ArrayBufferView): ArrayBufferLike =>
  ArrayBuffer.isView(view) ? view.buffer : view

describe('buffers as arguments', () => {
  it.each(views)('%s: passed as it is, it is whole here afterwards', async (_, makeView) => {
    const view = makeView()
    const before = seenIn(view)
    expect(await stage.run(() => seeBuffer(view))).toEqual(before)
    expect(seenIn(view)).toEqual(before)
  })

  it.each(views)(
    '%s: given away, it is detached here at once and reaches the body as what it was',
    async (_, makeView) => {
      const view = makeView()
      const before = seenIn(view)
      const seen = await stage.run(() => {
        const call = seeBuffer(transfer(view))
        expect(bufferOf(view).byteLength).toBe(0)
        return call
      })
      expect(seen).toEqual(before)
    },
  )

  it('are given away from within lists and objects', async () => {
    const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)]
    const seen = await stage.run(() => seeInside([{ rows: transfer(a) }, { rows: transfer(b) }]))
    expect(seen).toEqual([
      { kind: 'Uint8Array', byteLength: 2, first: '1', last: '2' },
      { kind: 'Uint8Array', byteLength: 3, first: '3', last: '5' },
    ])
    expect([a.byteLength, b.byteLength]).toEqual([0, 0])
  })

  it('given away twice are refused at the second call', async () => {
    const bytes = Uint8Array.of(1, 2)
    const errors = await stage.run(async () => {
      const given = transfer(bytes)
      await seeBuffer(given)
      return [thrownBy(() => transfer(bytes)), thrownBy(() => seeBuffer(given))] as Error[]
    })
    expect(errors[0]).toEqual(code('INVALID_OPTION', /was not given away/))
    expect(errors[1]).toMatchObject({ code: 'INVALID_OPTION', details: { path: 'args[0]' } })
  })

  it('are given away by a body in a thread to tasks that it calls', async () => {
    const of = (byteLength: number, first: string, last: string): Seen => ({
      kind: 'Uint8Array',
      byteLength,
      first,
      last,
    })
    expect(await stage.run(() => givesBelow())).toEqual({
      seen: [of(2, '1', '2'), [of(3, '3', '5')]],
      left: [0, 0],
    })
  })

  it('given away twice by a body in a thread are refused at the second call, too', async () => {
    const [seen, error] = (await stage.run(() => givesTwice())) as [Seen, unknown]
    expect(seen.byteLength).toBe(2)
    expect(error).toEqual(code('INVALID_OPTION', /given away|gave/))
  })

  it.each([
    ['a view of a part', () => new Uint8Array(8).subarray(2), /6 of 8 bytes/],
    ['a Buffer from the shared pool', () => Buffer.from('pooled'), /6 of \d+ bytes/],
    ['shared memory', () => new SharedArrayBuffer(8), /SharedArrayBuffer|object/i],
    ['a view of shared memory', () => new Uint8Array(new SharedArrayBuffer(8)), /Uint8Array|object/i],
    ['a list', () => [1, 2], /ArrayBuffer or a view/],
    ['a text', () => 'bytes', /ArrayBuffer or a view/],
    ['nothing', () => undefined, /ArrayBuffer or a view/],
  ])('%s can not be given away', (_, makeValue, message) => {
    const given = makeValue() as unknown as ArrayBuffer
    expect(thrownBy(() => transfer(given))).toEqual(code('INVALID_OPTION', message))
  })

  it('an empty one can be given away', async () => {
    expect(await stage.run(() => seeBuffer(transfer(new ArrayBuffer(0))))).toMatchObject({
      kind: 'ArrayBuffer',
      byteLength: 0,
    })
  })

  it(`${megabytes} MiB go there and back, given away each way`, async () => {
    const bytes = new Uint8Array(megabytes * 2 ** 20)
    bytes[1] = 1
    bytes[bytes.length - 2] = 2
    const back = await stage.run(() => passOn(transfer(bytes)))
    expect(bytes.byteLength).toBe(0)
    expect(back).toBeInstanceOf(Uint8Array)
    expect([back.length, back[0], back[1], back.at(-2), back.at(-1)]).toEqual([
      megabytes * 2 ** 20,
      11,
      1,
      2,
      22,
    ])
  })

  it(`${megabytes} MiB go there and back as copies`, async () => {
    const bytes = new Uint8Array(megabytes * 2 ** 20).fill(9)
    expect(await stage.run(() => seeBuffer(bytes))).toMatchObject({
      first: '9',
      last: '9',
      byteLength: bytes.length,
    })
    expect(bytes.at(-1)).toBe(9)
  })

  it('a value of 64 MiB is handed from the thread that made it to another', async () => {
    const seen = await stage.run(() => seeBuffer(makeBuffer('Uint8Array', megabytes * 2 ** 20)))
    expect(seen).toEqual({ kind: 'Uint8Array', byteLength: megabytes * 2 ** 20, first: '7', last: '7' })
  })
})

describe('buffers as results', () => {
  it.each([['ArrayBuffer'], ['Buffer'], ['Float64Array'], ['Uint8Array']])(
    '%s: given away, it comes as what it was',
    async (kind) => {
      const made: unknown = await stage.run(() => makeBuffer(kind, 16))
      expect(seenIn(made)).toEqual({ kind, byteLength: 16, first: '7', last: '7' })
    },
  )

  it('come from within lists and objects', async () => {
    expect(await stage.run(() => makeInside())).toEqual({
      name: 'two',
      parts: [Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)],
    })
  })

  it('are gone in the thread when they are given away', async () => {
    expect(await stage.run(() => keepsOn())).toEqual({ given: Uint8Array.of(1, 2, 3), left: 0 })
  })

  it('of one task reach several others whole', async () => {
    const seen = await stage.run(() => {
      const made = makeBuffer('Uint8Array', 100_000)
      return range(4).map(() => seeBuffer(made))
    })
    expect(new Set(seen.map(({ byteLength, last }) => `${byteLength} ${last}`))).toEqual(
      new Set(['100000 7']),
    )
  })

  it('are not detached here by being handed on', async () => {
    const [bytes, seen] = await stage.run(async () => {
      const made = make('a Buffer') as PromiseLike<Buffer>
      const value = await made
      return [value, await seeBuffer(value)] as const
    })
    expect(seen.byteLength).toBe(bytes.length)
  })
})

describe('a buffer that was given away', () => {
  it('is whole for each attempt while there are retries left', async () => {
    const seen = await stage.run(() => spoils.with({ retries: 1 })(transfer(Uint8Array.of(1, 2, 3))))
    expect(seen).toEqual({ kind: 'Uint8Array', byteLength: 3, first: '1', last: '3' })
  })

  it('is whole for the body that gets it after it waited in a thread behind a long one', async () => {
    const seen = await stage.run(async () => {
      // Short bodies, so that more are given to the threads ahead.
      await Promise.all(seeBuffer.map(range(50).map(() => new Uint8Array(1))))
      const long = spinsOnce(50)
      const short = range(60).map((n) => seeBuffer(transfer(new Uint8Array(1000).fill(n))))
      return { long, short }
    })
    expect(seen.short.map(({ byteLength, last }: Seen) => `${byteLength} ${last}`)).toEqual(
      range(60).map((n) => `1000 ${n}`),
    )
  })

  it('is whole, or its run says that it is lost, where its thread went down before it began', async () => {
    await using own = onThreads({ threads: 1 })
    const { ended } = own.submit(() => [
      ...range(20).map(() => sizeOf(new Uint8Array(1))),
      ends('exit'),
      ...range(40).map((n) => sizeOf(transfer(new Uint8Array(1000 + n)))),
    ])
    const runs = (await ended).slice(21)
    const found = await Promise.all(runs.map((run) => run.result().catch((error: unknown) => error)))
    const lost = found.filter((value, n) => value !== 1000 + n)
    expect(lost).toEqual(lost.map(() => code('RUN_CRASHED', /moved/)))
  })

  describe('when another body brings its thread down', () => {
    const bodies = (own: Stage, options: { readonly retries?: number }) =>
      own.submit(() => [
        keepsBuffer.with(options)(transfer(Uint8Array.of(1, 2, 9))),
        endsAtGate(own.file(), own.file('go'), 'exit'),
      ])
    const fall = async (own: Stage): Promise<void> => {
      await Promise.all([own.heard('has it'), own.heard('culprit is there')])
      own.open('go 1')
    }

    it('is lost, and the run says so', async () => {
      await using own = onThreads({ threads: 1, bodiesPerThread: 2 })
      const { ended } = bodies(own, {})
      await fall(own)
      const [run] = await ended
      expect(await errorOf(run as PromiseLike<unknown>)).toEqual(code('RUN_CRASHED', /`transfer` moved/))
    })

    it('is whole for the next attempt where there are retries left', async () => {
      await using own = onThreads({ threads: 1, bodiesPerThread: 2 })
      const { ended } = bodies(own, { retries: 1 })
      await fall(own)
      const [run] = await ended
      expect(await run).toBe('3 9')
      expect(own.history(run as RunHandle<unknown>)).toBe(
        'Pending → Running → Recovering → Running → Completed',
      )
    })
  })
})
