/**
 * The canonical form of a value: a text that is the same for values that count as equal, and different for
 * all others.
 *
 * Every part says where it ends, by a length, a count or a semicolon, so that no two values share a form. The
 * forms and hashes are frozen by test/values/golden: the identity of recorded calls depends on them.
 */
import { hash } from 'node:crypto'
import { isPlain, isSafeText } from './format.ts'
import type { BytesKind } from './format.ts'
import { isPlainList, readSafely } from './kinds.ts'
import type { Sink } from './sink.ts'
import { Walker } from './walker.ts'
import type { WalkOptions } from './walk-options.ts'

/**
 * The first 128 bits of the SHA-256 of a value's canonical form.
 *
 * Equal are: objects with the same properties in any order, with or without a prototype, where a property
 * that is undefined counts as absent (`{ a: undefined }` is `{}`, as a call by name is; in a list, a Map or a
 * Set undefined counts); Maps and Sets with the same members in any order; 0 and -0; all NaN; errors of the
 * same name and message, whatever else they hold; binary values of the same class and bytes, as a view shows
 * them. Everything else differs, also `1`, `'1'` and `1n`, `[]` and `{}`, a Buffer and a Uint8Array.
 * Registered classes count by their name and what their `encode` gives.
 *
 * @param value - The same values as `encodeValue` takes.
 * @param options.at - Name of the value in messages and in `details.path`. Default `value`.
 * @param options.replace - Gives what is hashed in place of an object, see {@link WalkOptions}.
 * @returns 32 hexadecimal digits.
 * @throws CodecError NOT_ENCODABLE: `details.path` names the place, the message says what to do.
 * @public
 */
export function canonicalHash(value: unknown, options: WalkOptions = {}): string {
  return hash('sha256', plainForm(value) ?? new Walker(canonicalSink, options).run(value)).slice(0, 32)
}

/** The form of what most calls are given; undefined for all else, which takes a walk. */
function plainForm(list: unknown): string | undefined {
  if (!isPlainList(list)) return undefined
  let forms = ''
  for (const item of list) {
    if (!isPlain(item)) return undefined
    forms += canonicalSink.primitive(item)
  }
  return `a${list.length}:${forms}`
}

const undefinedForm = 'u'

const canonicalSink: Sink<string> = {
  primitive(value) {
    switch (typeof value) {
      case 'string':
        return textForm(value)
      case 'number':
        return `n${value};` // -0 reads '0'
      case 'bigint':
        return `i${value.toString(16)};`
      case 'boolean':
        return value ? 't' : 'f'
      default:
        return value === null ? 'z' : undefinedForm
    }
  },
  list: (items) => `a${items.length}:${items.join('')}`,
  record(parts) {
    const properties = pairs(parts, (value) => value !== undefinedForm)
    return `o${properties.length}:${properties.sort().join('')}`
  },
  map: (parts) => `m${parts.length / 2}:${pairs(parts).sort().join('')}`,
  set: (items) => `e${items.length}:${items.sort().join('')}`,
  date: (time) => `d${time};`,
  regexp: (source, flags, lastIndex) => `x${textForm(source)}${textForm(flags)}${lastIndex}`,
  url: (href) => `l${textForm(href)}`,
  bytes: (kind: BytesKind, bytes) => `b${kind}:${bytes.length}:${hash('sha256', bytes)}`,
  error: (error) =>
    `r${textForm(String(readSafely(error, 'name')))}${textForm(String(readSafely(error, 'message')))}`,
  instance: (name, data) => `c${textForm(name)}${data}`,
  reference: (tag, data) => `q${textForm(tag)}${data}`,
  mark: () => 0,
  rollback: () => undefined,
}

function pairs(parts: readonly string[], isKept: (value: string) => boolean = () => true): string[] {
  const joined: string[] = []
  for (let i = 0; i < parts.length; i += 2) {
    const value = parts[i + 1] ?? ''
    if (isKept(value)) joined.push(`${parts[i]}${value}`)
  }
  return joined
}

// The text is hashed as UTF-8, in which all halves of surrogate pairs would look alike.
function textForm(text: string): string {
  if (isSafeText(text)) return `s${text.length}:${text}`
  return `w${text.length}:${Buffer.from(text, 'utf16le').toString('hex')}`
}
