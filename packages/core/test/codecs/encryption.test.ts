import { createDecipheriv, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { CodecError, encryption, type EncryptionOptions } from '@troupe/core'
import { describe, expect, it } from 'vitest'

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7)
const other = Uint8Array.from({ length: 32 }, (_, i) => 255 - i)
const secret = Buffer.from('the account is 1234567890')

function errorOf(body: () => unknown): CodecError {
  try {
    body()
  } catch (error) {
    if (error instanceof CodecError) return error
    throw error
  }
  throw new TypeError('nothing was thrown')
}

const made = (options: unknown) => (): unknown => encryption(options as EncryptionOptions)

describe('encryption', () => {
  it('hides the payload, differently each time', () => {
    const codec = encryption({ key })
    const [one, two] = [codec.encode(secret), codec.encode(secret)]
    expect(Buffer.from(one).includes('1234567890')).toBe(false)
    expect(Buffer.compare(one, two)).not.toBe(0)
    expect(Buffer.from(codec.decode(one))).toStrictEqual(secret)
  })

  it('is AES-256-GCM, with the id of the key in clear and authenticated', () => {
    const bytes = Buffer.from(encryption({ keys: { spring: key }, current: 'spring' }).encode(secret))
    const head = Buffer.concat([Buffer.of(1, 6), Buffer.from('spring')])
    expect(bytes.subarray(0, 8)).toStrictEqual(head)
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(8, 20))
    decipher.setAAD(head)
    decipher.setAuthTag(bytes.subarray(-16))
    const plain = Buffer.concat([decipher.update(bytes.subarray(20, -16)), decipher.final()])
    expect(plain).toStrictEqual(secret)
  })

  it('reads what was written by the first version', () => {
    const frozen =
      '01036b657900112233445566778899aabb3e9b361f1885f2e7a6e1f091f355114ecd1dc30cec33af3d575a7568b27c049cadb7e2d0b5424d8a09'
    expect(Buffer.from(encryption({ key }).decode(Buffer.from(frozen, 'hex')))).toStrictEqual(secret)
  })

  it('goes on with a new key, and reads what the old ones encrypted', () => {
    const before = encryption({ key }).encode(secret)
    const rotated = encryption({ keys: { key, 'key-2': other }, current: 'key-2' })
    const after = rotated.encode(secret)
    expect(Buffer.from(rotated.decode(before))).toStrictEqual(secret)
    expect(Buffer.from(rotated.decode(after))).toStrictEqual(secret)
    const error = errorOf(() => encryption({ key }).decode(after))
    expect(error).toMatchObject({ code: 'DECRYPTION_FAILED', details: { key: 'key-2' } })
    expect(error.message).toMatch(/the key "key-2", which is not configured here; give that key/)
  })

  it('fails with DECRYPTION_FAILED where the key of that id is another one', () => {
    const error = errorOf(() => encryption({ key: other }).decode(encryption({ key }).encode(secret)))
    expect(error).toMatchObject({ code: 'DECRYPTION_FAILED', details: { key: 'key' } })
    expect(error.message).toMatch(/the key "key" that is configured here is not the one.*give `encryption`/)
  })

  it('gives nothing for bytes of which one was changed, or that were cut off', () => {
    const codec = encryption({ keys: { key, kez: key }, current: 'key' })
    const bytes = codec.encode(secret)
    for (let at = 0; at < bytes.length; at++) {
      for (const bits of [1, 2, 3, 0xff]) {
        const changed = bytes.slice()
        changed[at] = (changed[at] ?? 0) ^ bits
        const { code } = errorOf(() => codec.decode(changed))
        expect(['DECRYPTION_FAILED', 'MALFORMED_PAYLOAD', 'UNSUPPORTED_FORMAT']).toContain(code)
      }
      const { code } = errorOf(() => codec.decode(bytes.slice(0, at)))
      expect(['DECRYPTION_FAILED', 'MALFORMED_PAYLOAD']).toContain(code)
    }
    // Also where another key has the same bytes: "kez" is one bit from "key".
    const renamed = bytes.slice()
    renamed[4] = 'z'.charCodeAt(0)
    expect(errorOf(() => codec.decode(renamed))).toMatchObject({ details: { key: 'kez' } })
    expect(errorOf(() => codec.decode(Buffer.concat([bytes, Buffer.of(0)]))).code).toBe('DECRYPTION_FAILED')
  })

  it('says that a newer version wrote what it does not know', () => {
    const error = errorOf(() => encryption({ key }).decode(Uint8Array.of(2, 3, 4)))
    expect(error.code).toBe('UNSUPPORTED_FORMAT')
    expect(error.message).toMatch(/upgrade/)
  })

  it('takes keys as bytes, hexadecimal and base64', () => {
    const bytes = encryption({ key }).encode(secret)
    const text = Buffer.from(key)
    for (const form of [
      text,
      text.toString('hex'),
      text.toString('hex').toUpperCase(),
      text.toString('base64'),
      text.toString('base64url'),
    ]) {
      expect(Buffer.from(encryption({ key: form }).decode(bytes))).toStrictEqual(secret)
    }
  })

  it('is untouched by what becomes of the bytes of the key', () => {
    const mine = key.slice()
    const codec = encryption({ key: mine })
    mine.fill(0)
    expect(Buffer.from(encryption({ key }).decode(codec.encode(secret)))).toStrictEqual(secret)
  })

  it('refuses what is no key, and says what it expects and how to make one', () => {
    for (const [wrong, got] of [
      [new Uint8Array(31), /got 31 bytes/],
      [new Uint8Array(33), /got 33 bytes/],
      ['secret', /got a text of 6 characters/],
      ['z'.repeat(64), /got a text of 64 characters/],
      [undefined, /got a undefined/],
      [null, /got null/],
      [5, /got a number/],
    ] as const) {
      expect(made({ key: wrong })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(got) as string }),
      )
      expect(made({ keys: { a: wrong }, current: 'a' })).toThrow(
        /`keys\.a` must be a key of 256 bits.*randomBytes/,
      )
    }
  })

  it.each([
    [{ keys: { a: key }, current: 'b' }, /`current` must be the id of one of `keys`: "a"; got "b"/],
    [{ keys: {}, current: 'b' }, /there are none/],
    [{ keys: { a: key } }, /`current`/],
    [{ keys: { 'a key': key }, current: 'a key' }, /an id is 1 to 64 of/],
    [{ keys: { ['a'.repeat(65)]: key }, current: 'a' }, /an id is 1 to 64 of/],
    [{ keys: 5, current: 'a' }, /`keys` must be an object/],
    [{ key, keys: { a: key } }, /no option `keys`/],
    [{ keys: { a: key }, current: 'a', algorithm: 'rot13' }, /no option `algorithm`/],
    [undefined, /needs `key`, or `keys` and `current`/],
  ])('refuses options that can not be: %#', (options, message) => {
    expect(made(options)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) as string }),
    )
  })

  it('shows no key, neither in messages nor when it is inspected', () => {
    const text = randomBytes(32).toString('hex')
    const codec = encryption({ key: text })
    const shown = [
      inspect(codec, { depth: 9, showHidden: true }),
      errorOf(() => codec.decode(encryption({ key: other }).encode(secret))),
      ...[
        { key: text.slice(1) },
        { keys: { a: text }, current: text },
        { keys: { a: text.slice(2) }, current: 'a' },
      ].map((options) => {
        try {
          return encryption(options)
        } catch (error) {
          return error
        }
      }),
    ].map((value) => inspect(value, { depth: 9 }))
    for (const words of shown) expect(words).not.toContain(text.slice(10, 30))
  })
})
