import assert from 'node:assert/strict'
import { CodecError } from '../base/errors.ts'
import type { PayloadCodec } from '../ports/payload-codec.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** A codec that a suite opens. @public */
export interface OpenedPayloadCodec extends Opened {
  readonly codec: PayloadCodec
  /** The same, made anew with the same options, as another process would. */
  readonly again: PayloadCodec
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Bytes that follow no pattern that a codec could use, the same each time. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = 1
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223
    bytes[i] = state >>> 24
  }
  return bytes
}

const payloads: Readonly<Record<string, Uint8Array>> = {
  nothing: new Uint8Array(),
  'one byte': Uint8Array.of(0),
  'every byte': Uint8Array.from({ length: 256 }, (_, byte) => byte),
  'a text': text(JSON.stringify({ name: 'zoë', tags: Array.from({ length: 100 }, (_, i) => `tag-${i}`) })),
  'one byte a million times': new Uint8Array(1_000_000).fill(7),
  noise: noise(300_000),
  'what looks encoded': Uint8Array.of(1, 3, 107, 101, 121, 0, 0, 0, 0, 0, 0),
}

function assertSame(got: unknown, expected: Uint8Array, what: string): void {
  assert.ok(got instanceof Uint8Array, `${what}: no bytes`)
  assert.equal(Buffer.compare(got, expected), 0, `${what}: other bytes`)
}

/** Decodes what may be damaged: bytes of any sort, or a CodecError. */
function assertNothingForeign(codec: PayloadCodec, bytes: Uint8Array, what: string): void {
  try {
    assert.ok(codec.decode(bytes) instanceof Uint8Array, `${what}: no bytes`)
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    assert.ok(error instanceof CodecError, `${what}: an error that is no CodecError`)
  }
}

/** What every payload codec is held to. @public */
export function payloadCodecConformance(make: () => Promise<OpenedPayloadCodec>): ConformanceCase[] {
  return casesOf(make, {
    async 'has a name that can be stored, the same each time it is made'({ codec, again }) {
      assert.match(codec.name, /^[a-z0-9-]{1,32}$/)
      assert.equal(again.name, codec.name)
    },
    async 'gives back every payload'({ codec }) {
      for (const [what, bytes] of Object.entries(payloads)) {
        assertSame(codec.decode(codec.encode(bytes)), bytes, what)
      }
    },
    async 'reads what another one made in the same way has written'({ codec, again }) {
      for (const [what, bytes] of Object.entries(payloads)) {
        assertSame(again.decode(codec.encode(bytes)), bytes, what)
      }
    },
    async 'decodes in any order, and as often as it is asked'({ codec }) {
      const all = Object.entries(payloads).map(([what, bytes]) => ({
        what,
        bytes,
        encoded: codec.encode(bytes),
      }))
      for (const { what, bytes, encoded } of [...all.toReversed(), ...all]) {
        assertSame(codec.decode(encoded), bytes, what)
      }
    },
    async 'is given and gives only the bytes of a view'({ codec }) {
      const around = text('xxcontentxx')
      const encoded = codec.encode(around.subarray(2, 9))
      assertSame(codec.decode(encoded), text('content'), 'a view that is encoded')
      const wider = Buffer.concat([Buffer.alloc(5, 255), encoded, Buffer.alloc(5, 255)])
      assertSame(
        codec.decode(wider.subarray(5, 5 + encoded.length)),
        text('content'),
        'a view that is decoded',
      )
    },
    async 'changes nothing that it is given, and keeps nothing of it'({ codec }) {
      for (const [what, bytes] of Object.entries(payloads)) {
        const given = bytes.slice()
        const encoded = codec.encode(given)
        assertSame(given, bytes, `${what}, when it was encoded`)
        given.fill(0xaa)
        const kept = encoded.slice()
        assertSame(codec.decode(encoded), bytes, `${what}, changed after it was encoded`)
        assertSame(encoded, kept, `${what}, when it was decoded`)
        codec.decode(encoded).fill(0xaa)
        assertSame(codec.decode(encoded), bytes, `${what}, decoded again`)
      }
    },
    async 'throws nothing but CodecError for damaged bytes'({ codec }) {
      for (const what of ['one byte', 'every byte', 'a text']) {
        const encoded = codec.encode(payloads[what] ?? new Uint8Array())
        for (let at = 0; at < encoded.length; at++) {
          const changed = encoded.slice()
          changed[at] = (changed[at] ?? 0) ^ 0xff
          assertNothingForeign(codec, changed, `${what}, byte ${at} changed`)
          assertNothingForeign(codec, encoded.slice(0, at), `${what}, cut off at ${at}`)
        }
      }
      for (const [what, bytes] of Object.entries(payloads))
        assertNothingForeign(codec, bytes, `plain: ${what}`)
    },
  })
}
