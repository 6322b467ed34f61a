/** Values to bytes, in the form of format.ts. */
import { CodecError } from '../base/errors.ts'
import { errorClassOf, partsOf } from './error-classes.ts'
import { bytesKinds, formatNumber, isPlain, isSafeText, Tag } from './format.ts'
import { isPlainList } from './kinds.ts'
import type { BytesKind, Node } from './format.ts'
import { pack } from './msgpack.ts'
import type { LenientWalker, Sink } from './sink.ts'
import { Walker } from './walker.ts'
import type { WalkOptions } from './walk-options.ts'

/**
 * Encodes a value; {@link encodeValue} says which.
 *
 * @param options.ignoreRegistered - As if no class were registered.
 * @throws CodecError NOT_ENCODABLE
 */
export function encodeTree(
  value: unknown,
  options: WalkOptions & { ignoreRegistered?: boolean },
): Uint8Array {
  const plain = plainNode(value)
  const sink = plain === undefined ? new TreeSink() : undefined
  const tree = sink === undefined ? plain : new Walker(sink, options).run(value)
  try {
    return seal(tree as Node, sink?.tail ?? noTail)
  } catch (cause) {
    const path = options.at ?? 'value'
    const message = `can't encode \`${path}\`: it is too large or too deep; pass a reference to where it is kept`
    throw new CodecError('NOT_ENCODABLE', message, { cause, details: { path } })
  }
}

/** The tree of what most calls are given and most bodies return; undefined for all else, which takes a walk. */
function plainNode(value: unknown): Node | undefined {
  if (!isPlainList(value)) return isPlain(value) ? value : undefined
  const nodes: Node[] = []
  for (const item of value) {
    if (!isPlain(item)) return undefined
    nodes.push(item)
  }
  nodes.push(Tag.list)
  return nodes
}

const noTail: readonly Uint8Array[] = []

function seal(tree: Node, tail: readonly Uint8Array[]): Uint8Array {
  let tailLength = 0
  for (const part of tail) tailLength += part.length
  const head = headOf(tailLength)
  const packed = pack(tree)
  const bytes = new Uint8Array(head.length + packed.length + tailLength)
  bytes.set(head)
  bytes.set(packed, head.length)
  let at = head.length + packed.length
  for (const part of tail) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const headWithoutTail: readonly number[] = [formatNumber, 0]

function headOf(tailLength: number): readonly number[] {
  if (tailLength === 0) return headWithoutTail
  const head: number[] = [formatNumber]
  let rest = tailLength
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) head.push((rest % 0x80) + 0x80)
  head.push(rest)
  return head
}

const undefinedNode: Node = [Tag.undefined]
const negativeZeroNode: Node = [Tag.negativeZero]

/** Builds the tree of format.ts; the bytes of buffers gather in the tail. */
class TreeSink implements Sink<Node> {
  readonly tail: Uint8Array[] = []

  primitive(value: undefined | null | boolean | number | string | bigint): Node {
    switch (typeof value) {
      case 'string':
        return isSafeText(value) ? value : this.#wide(value)
      case 'number':
        return Object.is(value, -0) ? negativeZeroNode : value
      case 'bigint':
        return [value.toString(16), Tag.bigint]
      case 'undefined':
        return undefinedNode
      default:
        return value
    }
  }

  list(items: Node[]): Node {
    items.push(Tag.list)
    return items
  }

  record(parts: Node[], bare: boolean): Node {
    parts.push(bare ? Tag.bare : Tag.record)
    return parts
  }

  map(parts: Node[]): Node {
    parts.push(Tag.map)
    return parts
  }

  set(items: Node[]): Node {
    items.push(Tag.set)
    return items
  }

  date(time: number): Node {
    return [time, Tag.date]
  }

  regexp(source: string, flags: string, lastIndex: Node): Node {
    return [lastIndex, this.primitive(source), flags, Tag.regexp]
  }

  url(href: string): Node {
    return [href, Tag.url]
  }

  bytes(kind: BytesKind, bytes: Uint8Array): Node {
    this.tail.push(bytes)
    return [bytes.length, bytesKinds.indexOf(kind), Tag.bytes]
  }

  error(error: Error, walker: LenientWalker<Node>): Node {
    const className = errorClassOf(error)
    const { hidden, fields } = partsOf(error, className)
    return [className, this.#fields(hidden, walker), this.#fields(fields, walker), Tag.error]
  }

  instance(name: string, data: Node): Node {
    return [data, this.primitive(name), Tag.instance]
  }

  reference(tag: string, data: Node): Node {
    return [data, this.primitive(tag), Tag.reference]
  }

  mark(): number {
    return this.tail.length
  }

  rollback(mark: number): void {
    this.tail.length = mark
  }

  #fields(fields: readonly (readonly [string, unknown])[], walker: LenientWalker<Node>): Node {
    const parts: Node[] = []
    for (const [key, value] of fields) walker.property(key, value, parts)
    return this.record(parts, false)
  }

  #wide(text: string): Node {
    const bytes = Buffer.from(text, 'utf16le')
    this.tail.push(bytes)
    return [bytes.length, Tag.wideString]
  }
}
