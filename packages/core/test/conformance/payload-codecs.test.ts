import { compression, encryption, type PayloadCodec } from '@troupe/core'
import { payloadCodecConformance } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const key = new Uint8Array(32).fill(7)

const codecs: readonly [string, () => PayloadCodec][] = [
  ['compression()', () => compression()],
  ['compression of everything, as far as it goes', () => compression({ threshold: 0, level: 9 })],
  ['compression, the fastest', () => compression({ threshold: 1, level: 1 })],
  ['encryption with one key', () => encryption({ key })],
  ['encryption with several', () => encryption({ keys: { old: key, new: key }, current: 'new' })],
]

describe.each(codecs)('%s', (_, make) => {
  it.each(
    payloadCodecConformance(async () => ({ codec: make(), again: make() })).map(
      ({ name, run }) => [name, run] as const,
    ),
  )('%s', async (_name, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('the suite', () => {
  const plain: PayloadCodec = {
    name: 'plain',
    encode: (bytes) => bytes.slice(),
    decode: (bytes) => bytes.slice(),
  }

  it('takes a codec that does nothing', async () => {
    const cases = payloadCodecConformance(async () => ({ codec: plain, again: plain }))
    await expect(Promise.all(cases.map(({ run }) => run()))).resolves.toHaveLength(cases.length)
  })

  let last = new Uint8Array()
  it.each<[string, Partial<PayloadCodec>, Partial<PayloadCodec>?]>([
    ['has a name that can not be stored', { name: 'Plain Text' }],
    ['changes its name', {}, { name: 'plain-2' }],
    ['gives other bytes', { decode: (bytes) => bytes.map((byte) => byte & 0x7f) }],
    [
      'loses bytes that are nothing',
      { decode: (bytes) => (bytes.length === 0 ? Uint8Array.of(0) : bytes.slice()) },
    ],
    ['is not read by another one', {}, { decode: (bytes) => bytes.map((byte) => byte ^ 1) }],
    [
      'decodes only what it encoded last',
      {
        encode: (bytes) => (last = bytes.slice()),
        decode: () => last.slice(),
      },
    ],
    ['encodes all of the buffer behind a view', { encode: (bytes) => new Uint8Array(bytes.buffer.slice(0)) }],
    ['decodes all of the buffer behind a view', { decode: (bytes) => new Uint8Array(bytes.buffer.slice(0)) }],
    ['keeps what it is given to encode', { encode: (bytes) => bytes }],
    ['keeps what it is given to decode', { decode: (bytes) => bytes }],
    ['changes what it is given', { encode: (bytes) => [bytes.slice(), bytes.fill(1)][0] ?? bytes }],
    [
      'throws errors of other classes for damaged bytes',
      {
        encode: (bytes) => Uint8Array.from([42, ...bytes]),
        decode: (bytes) => {
          if (bytes[0] !== 42) throw new RangeError('no 42')
          return bytes.slice(1)
        },
      },
    ],
  ])('refuses a codec that %s', async (_, broken, brokenAgain = {}) => {
    const codec = { ...plain, ...broken }
    const cases = payloadCodecConformance(async () => ({ codec, again: { ...codec, ...brokenAgain } }))
    const ends = await Promise.allSettled(cases.map(({ run }) => run()))
    expect(ends.map(({ status }) => status)).toContain('rejected')
  })
})
