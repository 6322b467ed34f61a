/** Entries as bytes: what any journal on disk or on the wire holds. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodecError } from '../../src/base/errors.ts'
import type { Entry } from '../../src/journal/entries.ts'
import { packEntries, unpackEntries } from '../../src/journal/records.ts'
import type { PayloadCodec } from '../../src/ports/payload-codec.ts'
import { everyEntry, note } from '../../src/testing/journal-entries.ts'
import { anyEntry } from './any-entry.ts'

const mask = (name: string, with_: number): PayloadCodec => ({
  name,
  encode: (bytes) => Uint8Array.from([with_, ...bytes.map((byte) => byte ^ with_)]),
  decode: (bytes) => bytes.slice(1).map((byte) => byte ^ with_),
})
const noBlobs = (): undefined => undefined
const all = { codecs: [], largeValue: Number.POSITIVE_INFINITY }

function codeOf(body: () => unknown): string | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof CodecError) return error.code
    throw error
  }
  return undefined
}

/** As it is stored and found again. */
function again(entries: readonly Entry[], codecs: readonly PayloadCodec[], largeValue: number): Entry[] {
  const { bytes, blobs } = packEntries(entries, { codecs, largeValue })
  const stored = new Map(blobs.map((blob) => [blob.name, blob.bytes]))
  return unpackEntries(bytes, { codecs, blob: (name) => stored.get(name) })
}

describe('entries as bytes', () => {
  it('come back as they were, of every kind', () => {
    const entries = everyEntry('a-flow-run')
    expect(again(entries, [], 1_000_000)).toStrictEqual(entries)
    for (const entry of entries) expect(again([entry], [], 1000)).toStrictEqual([entry])
    expect(again([], [], 1000)).toStrictEqual([])
  })

  it('come back as they were, whatever is in them, and whichever values are large', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 8 }), fc.nat(40), (entries, largeValue) => {
        expect(again(entries, [], largeValue)).toStrictEqual(entries)
        expect(again(entries, [mask('one', 1), mask('two', 2)], largeValue)).toStrictEqual(entries)
      }),
      { numRuns: 1000 },
    )
  })

  it('share no memory with what was packed', () => {
    const payload = Uint8Array.of(1, 2, 3)
    const entry: Entry = { kind: 'message', at: 1, id: 'a', for: 'input', name: undefined, payload }
    const { bytes } = packEntries([entry], all)
    payload.fill(9)
    expect(unpackEntries(bytes, { codecs: [], blob: noBlobs })).toStrictEqual([
      { ...entry, payload: Uint8Array.of(1, 2, 3) },
    ])
  })

  it('are read from the middle of other bytes', () => {
    const entries = [note('a')]
    const { bytes } = packEntries(entries, all)
    const around = Buffer.concat([Buffer.alloc(7, 255), bytes, Buffer.alloc(7, 255)])
    const inside = around.subarray(7, 7 + bytes.length)
    expect(unpackEntries(inside, { codecs: [], blob: noBlobs })).toStrictEqual(entries)
  })
})

describe('a large value', () => {
  const payload = new Uint8Array(2000).fill(5)
  const entry: Entry = { kind: 'message', at: 1, id: 'a', for: 'input', name: undefined, payload }

  it('is kept once beside the record, under the hash of its content', () => {
    const { bytes, blobs } = packEntries([entry, entry], { codecs: [mask('one', 1)], largeValue: 1999 })
    expect(blobs.map(({ name }) => name)).toStrictEqual([
      '0da9d374d8e32ce5b860c0be26cf759f43cd4ee606446efd36718a7ec7bbfdee',
    ])
    expect(bytes.length).toBeLessThan(200)
    expect(packEntries([entry], { codecs: [], largeValue: 2000 }).blobs).toStrictEqual([])
  })

  it('that is missing, damaged or another one is named', () => {
    const { bytes, blobs } = packEntries([entry], { codecs: [], largeValue: 10 })
    const [blob] = blobs
    const other = packEntries([{ ...entry, payload: new Uint8Array(2000) }], { codecs: [], largeValue: 10 })
    const damaged = blob?.bytes.slice() ?? new Uint8Array()
    damaged[100] = 1
    for (const stored of [undefined, damaged, other.blobs[0]?.bytes, new Uint8Array()]) {
      const read = (): unknown => unpackEntries(bytes, { codecs: [], blob: () => stored })
      expect(codeOf(read)).toBe('MALFORMED_PAYLOAD')
      expect(read).toThrow(blob?.name)
    }
  })
})

describe('damaged bytes', () => {
  const entries = everyEntry('a-flow-run').filter(
    (entry) => entry.kind !== 'submitted' || (entry.inputs as Uint8Array).length < 1000,
  )
  const { bytes } = packEntries(entries, all)

  it('are refused whichever byte was changed', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const bits of [1, 0x80, 0xff]) {
        const damaged = bytes.slice()
        damaged[at] = (damaged[at] ?? 0) ^ bits
        const code = codeOf(() => unpackEntries(damaged, { codecs: [], blob: noBlobs }))
        expect(code).toBe(at === 0 && damaged[0] !== 0 ? 'UNSUPPORTED_FORMAT' : 'MALFORMED_PAYLOAD')
      }
    }
  })

  it('are MALFORMED_PAYLOAD at each length, and with more behind', () => {
    for (let end = 0; end < bytes.length; end++) {
      const cut = bytes.slice(0, end)
      expect(codeOf(() => unpackEntries(cut, { codecs: [], blob: noBlobs }))).toBe('MALFORMED_PAYLOAD')
    }
    const longer = Buffer.concat([bytes, Buffer.of(0)])
    expect(codeOf(() => unpackEntries(longer, { codecs: [], blob: noBlobs }))).toBe('MALFORMED_PAYLOAD')
  })

  it('are refused also where their checksum fits them', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 3 }), fc.nat(), fc.nat(0xff), (some, at, byte) => {
        const codec = mask('one', 1)
        // A codec that damages: the checksum is taken after it.
        const damaging = {
          ...codec,
          encode: (plain: Uint8Array) => {
            const damaged = plain.slice()
            damaged[at % damaged.length] = byte
            return codec.encode(damaged)
          },
        }
        const packed = packEntries(some, { ...all, codecs: [damaging] })
        // What comes of it may by chance be entries, but never a foreign error.
        const code = codeOf(() => unpackEntries(packed.bytes, { codecs: [codec], blob: noBlobs }))
        expect(['MALFORMED_PAYLOAD', undefined]).toContain(code)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('a record', () => {
  it('of a codec that is not configured names it', () => {
    const { bytes } = packEntries([note('a')], { ...all, codecs: [mask('one', 1), mask('two', 2)] })
    const read = (codecs: readonly PayloadCodec[]) => (): unknown =>
      unpackEntries(bytes, { codecs, blob: noBlobs })
    expect(codeOf(read([mask('one', 1)]))).toBe('UNSUPPORTED_FORMAT')
    expect(read([mask('one', 1)])).toThrow('"two"')
    // The order in which they are configured now does not matter, nor do others.
    expect(read([mask('three', 3), mask('two', 2), mask('one', 1)])()).toStrictEqual([note('a')])
  })

  it('that a codec can not decode is MALFORMED_PAYLOAD, whatever it throws', () => {
    const { bytes } = packEntries([note('a')], { ...all, codecs: [mask('one', 1)] })
    const failing = {
      ...mask('one', 1),
      decode: () => {
        throw new RangeError('no')
      },
    }
    expect(codeOf(() => unpackEntries(bytes, { codecs: [failing], blob: noBlobs }))).toBe('MALFORMED_PAYLOAD')
  })

  it('is refused where codecs can not be told apart or named', () => {
    for (const codecs of [
      [mask('one', 1), mask('one', 2)],
      [mask('', 1)],
      [mask('Ä', 1)],
      [mask('x'.repeat(33), 1)],
    ]) {
      expect(() => packEntries([note('a')], { ...all, codecs })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }) as Error,
      )
    }
  })

  it('with a value that is not encoded is a defect', () => {
    const entry: Entry = { kind: 'message', at: 1, id: 'a', for: 'input', name: undefined, payload: 5 }
    expect(() => packEntries([entry], all)).toThrow(expect.objectContaining({ code: 'INTERNAL' }) as Error)
  })
})
