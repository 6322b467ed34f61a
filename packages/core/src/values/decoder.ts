/** Bytes to values: the way back from encoder.ts. */
import { CodecError, TroupeError } from '../base/errors.ts'
import { makeError } from './error-classes.ts'
import { bytesKinds, formatNumber, Tag } from './format.ts'
import { unpack } from './msgpack.ts'
import { classOfName } from './registry.ts'

/** How bytes are decoded. @public */
export interface DecodeOptions {
  /**
   * Gives back what the hook `replace` put a reference in the place of. An error of Troupe that it throws is
   * passed on as it is.
   */
  readonly revive?: (tag: string, data: unknown) => unknown
}

/**
 * Decodes bytes.
 *
 * @throws CodecError UNSUPPORTED_FORMAT
 * @throws CodecError MALFORMED_PAYLOAD
 */
export function decodeTree(bytes: Uint8Array, options: DecodeOptions): unknown {
  try {
    return new Reader(options).read(bytes)
  } catch (error) {
    if (TroupeError.is(error)) throw error
    throw malformed('they are damaged, or were not written by Troupe', { cause: error })
  }
}

type TaggedReader = (reader: Reader, node: unknown[]) => unknown

const noBytes: Uint8Array = new Uint8Array()

/** One reading; used once. */
class Reader {
  readonly #revive: DecodeOptions['revive']
  #tail = noBytes
  #taken = 0

  constructor(options: DecodeOptions) {
    this.#revive = options.revive
  }

  read(bytes: Uint8Array): unknown {
    requireFormat(bytes)
    const { at, tailLength } = readHead(bytes)
    const treeEnd = bytes.length - tailLength
    if (treeEnd <= at) throw malformed('they are cut off')
    if (tailLength > 0) this.#tail = bytes.subarray(treeEnd)
    const value = this.value(unpack(bytes, at, treeEnd))
    if (this.#taken !== tailLength) throw malformed('more bytes follow than they tell of')
    return value
  }

  value(node: unknown): unknown {
    if (typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean' || node === null) {
      return node
    }
    if (Array.isArray(node)) return this.#tagged(node)
    throw malformed(`they hold a ${typeof node} where none can be`)
  }

  /** The values of the nodes, in place. */
  values(nodes: unknown[]): unknown[] {
    for (let i = 0; i < nodes.length; i++) nodes[i] = this.value(nodes[i])
    return nodes
  }

  text(node: unknown): string {
    const value = this.value(node)
    if (typeof value !== 'string') throw malformed('they hold no text where text must be')
    return value
  }

  /** A copy of the next bytes of the tail. */
  take(length: unknown): Uint8Array<ArrayBuffer> {
    const end = this.#taken + requireCount(length)
    if (end > this.#tail.length) throw malformed('they are cut off')
    // The slice of the class, since that of a Buffer does not copy.
    const copy = Uint8Array.prototype.slice.call(this.#tail, this.#taken, end) as Uint8Array<ArrayBuffer>
    this.#taken = end
    return copy
  }

  revive(tag: string, data: unknown): unknown {
    if (this.#revive !== undefined) return this.#revive(tag, data)
    throw malformed(`they hold a reference "${tag}"; decode them with the option \`revive\``, {
      details: { tag },
    })
  }

  #tagged(node: unknown[]): unknown {
    const tag = node.pop()
    const read = typeof tag === 'number' ? readers[tag] : undefined
    if (read === undefined) throw malformed('they hold a tag that does not exist')
    return read(this, node)
  }
}

const readers: Readonly<Record<number, TaggedReader>> = {
  [Tag.list]: (reader, node) => reader.values(node),
  [Tag.record]: (reader, node) => readRecord(reader, node, {}),
  [Tag.bare]: (reader, node) => readRecord(reader, node, Object.create(null) as object),
  [Tag.map]: readMap,
  [Tag.set]: (reader, node) => new Set(reader.values(node)),
  [Tag.undefined]: (_reader, node) => (expectParts(node, 0), undefined),
  [Tag.negativeZero]: (_reader, node) => (expectParts(node, 0), -0),
  [Tag.bigint]: readBigint,
  [Tag.date]: (_reader, node) => new Date(requireNumber(expectParts(node, 1)[0])),
  [Tag.bytes]: readBytes,
  [Tag.wideString]: (reader, node) => readWideString(reader, node),
  [Tag.regexp]: readRegexp,
  [Tag.url]: (reader, node) => new URL(reader.text(expectParts(node, 1)[0])),
  [Tag.error]: readError,
  [Tag.instance]: readInstance,
  [Tag.reference]: readReference,
}

function readRecord(reader: Reader, node: unknown[], record: object): object {
  if (node.length % 2 !== 0) throw malformed('they hold a key without a value')
  for (let i = 0; i < node.length; i += 2) {
    const key = reader.text(node[i])
    const value = reader.value(node[i + 1])
    if (key === '__proto__') {
      Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true })
    } else (record as Record<string, unknown>)[key] = value
  }
  return record
}

function readMap(reader: Reader, node: unknown[]): unknown {
  if (node.length % 2 !== 0) throw malformed('they hold a key without a value')
  const map = new Map<unknown, unknown>()
  for (let i = 0; i < node.length; i += 2) {
    const key = reader.value(node[i])
    map.set(key, reader.value(node[i + 1]))
  }
  return map
}

function readBigint(reader: Reader, node: unknown[]): bigint {
  const digits = reader.text(expectParts(node, 1)[0])
  if (!/^-?[\da-f]+$/.test(digits)) throw malformed('they hold a bigint without digits')
  return digits.startsWith('-') ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`)
}

function readWideString(reader: Reader, node: unknown[]): string {
  const bytes = reader.take(expectParts(node, 1)[0])
  if (bytes.length % 2 !== 0) throw malformed('they hold half a character')
  return Buffer.from(bytes.buffer).toString('utf16le')
}

function readBytes(reader: Reader, node: unknown[]): unknown {
  const [length, index] = expectParts(node, 2)
  const { buffer } = reader.take(length)
  const kind = bytesKinds[requireCount(index)]
  if (kind === undefined) throw malformed('they hold a buffer of a class that does not exist')
  if (kind === 'ArrayBuffer') return buffer
  if (kind === 'Buffer') return Buffer.from(buffer)
  const cls = (globalThis as unknown as Record<string, (new (buffer: ArrayBuffer) => unknown) | undefined>)[
    kind
  ]
  if (cls !== undefined) return new cls(buffer)
  const message = `can't decode these bytes: they hold a ${kind}, which Node ${process.version} does not have`
  throw new CodecError('UNSUPPORTED_FORMAT', message, { details: { kind } })
}

function readRegexp(reader: Reader, node: unknown[]): RegExp {
  const [lastIndexNode, source, flags] = expectParts(node, 3)
  const lastIndex = reader.value(lastIndexNode)
  return Object.assign(new RegExp(reader.text(source), reader.text(flags)), { lastIndex })
}

function readError(reader: Reader, node: unknown[]): Error {
  const [className, hiddenNode, fieldsNode] = expectParts(node, 3)
  const hidden = requireObject(reader.value(hiddenNode))
  const fields = requireObject(reader.value(fieldsNode))
  const name = reader.text(className)
  return (
    makeError(name, hidden, fields) ?? fail(`they hold an error of class "${name}", which does not exist`)
  )
}

function readInstance(reader: Reader, node: unknown[]): unknown {
  const [dataNode, nameNode] = expectParts(node, 2)
  const data = reader.value(dataNode)
  const name = reader.text(nameNode)
  const registered = classOfName(name)
  if (registered === undefined) {
    const why = `they hold an instance of "${name}"; register the class with registerValue first`
    throw malformed(why, { details: { name } })
  }
  try {
    return registered.decode(data)
  } catch (cause) {
    throw malformed(`the \`decode\` of the registered class "${name}" threw`, { cause, details: { name } })
  }
}

function readReference(reader: Reader, node: unknown[]): unknown {
  const [dataNode, tagNode] = expectParts(node, 2)
  const data = reader.value(dataNode)
  return reader.revive(reader.text(tagNode), data)
}

function requireFormat(bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array) || bytes.length === 0 || bytes[0] === 0)
    throw malformed('they have no format number')
  const format = bytes[0] ?? 0
  if (format === formatNumber) return
  const why = `they have format ${format}, and this version of Troupe reads up to ${formatNumber}; upgrade it`
  const message = `can't decode these bytes: ${why}`
  throw new CodecError('UNSUPPORTED_FORMAT', message, { details: { format } })
}

function readHead(bytes: Uint8Array): { at: number; tailLength: number } {
  let tailLength = 0
  for (let at = 1, unit = 1; at < Math.min(bytes.length, 9); at++, unit *= 0x80) {
    const byte = bytes[at] ?? 0
    tailLength += (byte % 0x80) * unit
    if (byte < 0x80) return { at: at + 1, tailLength }
  }
  throw malformed('they are cut off')
}

function expectParts(node: unknown[], count: number): unknown[] {
  if (node.length !== count) throw malformed('they hold too many parts or too few')
  return node
}

function requireNumber(value: unknown): number {
  return typeof value === 'number' ? value : fail('they hold no number where one must be')
}

function requireCount(value: unknown): number {
  const count = requireNumber(value)
  return Number.isSafeInteger(count) && count >= 0 ? count : fail('they hold no count where one must be')
}

function requireObject(value: unknown): object {
  if (typeof value !== 'object' || value === null)
    throw malformed('they hold no properties where some must be')
  return value
}

function fail(why: string): never {
  throw malformed(why)
}

function malformed(
  why: string,
  options: { cause?: unknown; details?: Record<string, unknown> } = {},
): CodecError {
  return new CodecError('MALFORMED_PAYLOAD', `can't decode these bytes: ${why}`, options)
}
