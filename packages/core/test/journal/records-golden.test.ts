/**
 * A journal written today must be readable for ever. Where a test here fails, the format has changed: give it a new
 * number, keep reading the old one, and add a file instead of changing this one.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { CodecError } from '../../src/base/errors.ts'
import type { Entry } from '../../src/journal/entries.ts'
import { packEntries, unpackEntries } from '../../src/journal/records.ts'
import type { PayloadCodec } from '../../src/ports/payload-codec.ts'
import { everyEntry } from '../../src/testing/journal-entries.ts'
import { ofGolden } from './golden-form.ts'

interface Frozen {
  readonly title: string
  readonly codecs: readonly string[]
  readonly largeValue: number
  readonly entries: readonly unknown[]
  readonly bytes: string
  readonly blobs: Readonly<Record<string, string>>
}

const frozenIn = (format: 1 | 2): readonly Frozen[] =>
  JSON.parse(readFileSync(new URL(`golden/records-${format}.json`, import.meta.url), 'utf8')) as Frozen[]
const formats = [1, 2] as const
const frozen = formats.flatMap(frozenIn)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const ofHex = (text: string): Uint8Array => Buffer.from(text, 'hex')

/** A codec that any version can apply: it turns all bits. */
const turning = (name: string): PayloadCodec => {
  const turn = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff)
  return { name, encode: turn, decode: turn }
}

/** What of an entry must be frozen: each field, with each word that it may hold. */
function factsOf(entry: Entry): string[] {
  return Object.entries(entry).flatMap(([field, value]) => {
    const fact = `${entry.kind}.${field}`
    if (field === 'outcome' && value !== undefined) return [`${fact}.${Object.keys(value as object).join()}`]
    const isWord = ['kind', 'to', 'event', 'draw', 'for', 'note', 'runKind', 'pausedFor'].includes(field)
    return [isWord || value === undefined ? `${fact} ${String(value)}` : fact]
  })
}

describe('records', () => {
  it('are frozen for every kind of entry, every field and every word', () => {
    const facts = new Set(frozen.flatMap(({ entries }) => entries.flatMap((form) => factsOf(ofGolden(form)))))
    const needed = everyEntry('a-flow-run').flatMap((entry) => factsOf(entry))
    expect(needed.filter((fact) => !facts.has(fact))).toStrictEqual([])
  })

  it.each(frozen)('are written and read as ever: $title', ({ codecs, largeValue, entries, bytes, blobs }) => {
    const before = entries.map((entry) => ofGolden(entry))
    const applied = codecs.map((name) => turning(name))
    const packed = packEntries(before, { codecs: applied, largeValue })
    expect(hex(packed.bytes)).toBe(bytes)
    expect(Object.fromEntries(packed.blobs.map((blob) => [blob.name, hex(blob.bytes)]))).toStrictEqual(blobs)
    const blob = (name: string): Uint8Array => ofHex(blobs[name] ?? '')
    expect(unpackEntries(Uint8Array.from(ofHex(bytes)), { codecs: applied, blob })).toStrictEqual(before)
  })

  it.each(formats)('have the oldest format that has all their fields: %s', (format) => {
    expect(new Set(frozenIn(format).map(({ bytes }) => ofHex(bytes)[0]))).toEqual(new Set([format]))
  })

  it('of a newer format are refused, with what to do', () => {
    for (const { bytes, codecs } of frozen) {
      const newer = ofHex(bytes)
      newer[0] = 3
      const read = (): unknown =>
        unpackEntries(newer, { codecs: codecs.map((name) => turning(name)), blob: () => undefined })
      expect(read).toThrow(CodecError)
      expect(read).toThrow(
        expect.objectContaining({ code: 'UNSUPPORTED_FORMAT', details: { format: 3 } }) as Error,
      )
      expect(read).toThrow(/format 3.*up to 2.*upgrade/)
    }
  })
})
