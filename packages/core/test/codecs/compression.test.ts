import { CodecError, compression, type CompressionOptions } from '@troupe/core'
import { describe, expect, it } from 'vitest'

const json = Buffer.from(
  JSON.stringify(
    Array.from({ length: 500 }, (_, id) => ({ id, name: 'a customer', paid: (id * 17.37) % 100 })),
  ),
)
const noise = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + 1, 2_654_435_761) >>> 13) ^ (i * i))

function codeOf(body: () => unknown): string | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof CodecError) return error.code
    throw error
  }
  return undefined
}

describe('compression', () => {
  it('makes payloads like JSON a fraction as long', () => {
    expect(compression().encode(json).length).toBeLessThan(json.length / 3)
    const size = (level: number): number => compression({ level }).encode(json).length
    expect(size(9)).toBeLessThan(size(1))
  })

  it('leaves what is smaller than the threshold as it is, behind one byte', () => {
    const encoded = compression({ threshold: json.length + 1 }).encode(json)
    expect(Buffer.from(encoded.subarray(1))).toStrictEqual(json)
    expect(compression({ threshold: json.length }).encode(json).length).toBeLessThan(json.length)
    const small = new Uint8Array(511).fill(1)
    expect(compression().encode(small)).toHaveLength(512)
    expect(compression().encode(new Uint8Array(512).fill(1)).length).toBeLessThan(50)
  })

  it('makes nothing longer by more than one byte, however little it can be compressed', () => {
    const codec = compression({ threshold: 0 })
    for (const length of [0, 1, 2, 3, 10, 100, 1000, 20_000]) {
      expect(codec.encode(noise(length)).length).toBeLessThanOrEqual(length + 1)
    }
  })

  it('reads what any level and threshold has written', () => {
    for (const level of [1, 5, 9]) {
      const encoded = compression({ level, threshold: 0 }).encode(json)
      expect(Buffer.from(compression({ threshold: 1_000_000 }).decode(encoded))).toStrictEqual(json)
    }
  })

  it('reads what was written by the first version', () => {
    const read = (hex: string): string =>
      Buffer.from(compression().decode(Buffer.from(hex, 'hex'))).toString()
    expect(read('011dcb48cdc9c957c8c04e0200')).toBe('hello hello hello hello hello')
    expect(read('00706c61696e')).toBe('plain')
  })

  it('takes no more memory than the length that is told, and believes no length that can not be', () => {
    const bomb = compression().encode(new Uint8Array(10_000_005))
    expect(bomb.length).toBeLessThan(11_000)
    const shorter = bomb.slice()
    shorter[1] = 0x80 // some bytes fewer than there are
    expect(codeOf(() => compression().decode(shorter))).toBe('MALFORMED_PAYLOAD')
    const huge = Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 3, 0)
    expect(codeOf(() => compression().decode(huge))).toBe('MALFORMED_PAYLOAD')
    expect(codeOf(() => compression().decode(Uint8Array.of(1, 0x80)))).toBe('MALFORMED_PAYLOAD')
    expect(codeOf(() => compression().decode(new Uint8Array()))).toBe('MALFORMED_PAYLOAD')
  })

  it('says that a newer version wrote what it does not know', () => {
    const decode = (): unknown => compression().decode(Uint8Array.of(2, 1, 2, 3))
    expect(codeOf(decode)).toBe('UNSUPPORTED_FORMAT')
    expect(decode).toThrow(/upgrade/)
  })

  it.each([
    [{ threshold: -1 }, /`threshold`.*at least 0, got -1/],
    [{ threshold: 1.5 }, /`threshold`/],
    [{ level: 0 }, /`level`.*from 1 to 9, got 0/],
    [{ level: 10 }, /`level`/],
    [{ treshold: 5 }, /no option `treshold`.*threshold, level/],
  ])('refuses %o', (options, message) => {
    expect(() => compression(options as CompressionOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) as string }),
    )
  })
})
