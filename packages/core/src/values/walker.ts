/**
 * One strict pass over a value, shared by the codec and the canonical hash, so that both accept the same
 * values and name the same places.
 *
 * A value is read once. Every property is either handed to the sink or refused with its path; nothing is left
 * out in silence, with one exception: an error can always be written, so what it holds and can't be encoded
 * is left out of it (an error that can't be recorded would hide what went wrong).
 */
import { CodecError, TroupeError } from '../base/errors.ts'
import type { BytesKind } from './format.ts'
import {
  bytesKind,
  containerKind,
  dataProperties,
  isIndexOf,
  leafKind,
  mayHaveExtras,
  memoryOf,
  prototypeOf,
} from './kinds.ts'
import type { ContainerKind, LeafKind } from './kinds.ts'
import { renderPath } from './path.ts'
import type { Step } from './path.ts'
import { cycleTo, refusalOf, refusals } from './refusals.ts'
import type { Refusal } from './refusals.ts'
import { classOfPrototype } from './registry.ts'
import type { ValueClass } from './registry.ts'
import type { LenientWalker, Sink } from './sink.ts'
import type { WalkOptions } from './walk-options.ts'

/**
 * Containers within containers that a value may have; beyond it lies a mistake, and then the end of the
 * stack.
 */
const maxDepth = 500

/** A walk over one value; used once. */
export class Walker<R> implements LenientWalker<R> {
  readonly #sink: Sink<R>
  readonly #options: WalkOptions & { readonly ignoreRegistered?: boolean }
  readonly #containers: object[] = []
  readonly #steps: (Step | undefined)[] = []
  #depth = 0

  constructor(sink: Sink<R>, options: WalkOptions & { readonly ignoreRegistered?: boolean }) {
    this.#sink = sink
    this.#options = options
  }

  /**
   * Walks the outermost value.
   *
   * @throws CodecError NOT_ENCODABLE
   */
  run(value: unknown): R {
    try {
      return this.#walk(value)
    } catch (error) {
      if (TroupeError.is(error)) throw error
      return this.#refuse(refusals.throwing, error)
    }
  }

  property(key: string, value: unknown, parts: R[]): void {
    const mark = this.#sink.mark()
    const name = this.#sink.primitive(key)
    const part = this.#attempt(key, value)
    if (part === undefined) this.#sink.rollback(mark)
    else parts.push(name, part)
  }

  // Undefined if nothing is left of the value.
  #attempt(step: string | number, value: unknown): R | undefined {
    const depth = this.#depth
    const mark = this.#sink.mark()
    this.#steps[depth - 1] = step
    try {
      return this.#lenient(value)
    } catch {
      // What can't be encoded is left out of an error, see above.
      this.#depth = depth
      this.#sink.rollback(mark)
      return undefined
    }
  }

  // Lenient from the first: to be strict, and lenient where that fails, would double the work at every level.
  #lenient(value: unknown): R {
    const kind = typeof value === 'object' && value !== null ? containerKind(value) : undefined
    if (kind === undefined || kind === 'map' || kind === 'set') return this.#walk(value)
    this.#enter(value as object)
    const parts: R[] = []
    if (kind === 'list') {
      const items = value as unknown[]
      for (let i = 0; i < items.length; i++) {
        const part = this.#attempt(i, items[i])
        parts.push(part === undefined ? this.#sink.primitive(undefined) : part)
      }
    } else {
      for (const [key, item] of dataProperties(value as object)) this.property(key, item, parts)
    }
    this.#depth--
    return kind === 'list' ? this.#sink.list(parts) : this.#sink.record(parts, kind === 'bare')
  }

  #walk(value: unknown): R {
    switch (typeof value) {
      case 'function':
      case 'symbol':
        return this.#refuse(refusalOf(value))
      case 'object':
        return value === null ? this.#sink.primitive(null) : this.#object(value)
      default:
        return this.#sink.primitive(value as undefined | boolean | number | string | bigint)
    }
  }

  #object(value: object): R {
    const kind = containerKind(value)
    if (kind !== undefined) return this.#container(kind, value)
    const reference = this.#options.replace?.(value)
    if (reference !== undefined) {
      return this.#sink.reference(reference.tag, this.#inside(value, reference.tag, reference.data))
    }
    const proto = prototypeOf(value)
    const registered = proto === null || this.#options.ignoreRegistered ? undefined : classOfPrototype(proto)
    if (registered !== undefined) return this.#instance(value, registered)
    const leaf = leafKind(value)
    return leaf === undefined ? this.#refuse(refusalOf(value)) : this.#leaf(leaf, value)
  }

  #container(kind: ContainerKind, value: object): R {
    this.#enter(value)
    const result = this.#contents(kind, value)
    this.#depth--
    return result
  }

  #contents(kind: ContainerKind, value: object): R {
    switch (kind) {
      case 'list':
        return this.#sink.list(this.#items(value as unknown[]))
      case 'map':
        return this.#sink.map(this.#entries(value as Map<unknown, unknown>))
      case 'set':
        return this.#sink.set(this.#members(value as Set<unknown>))
      default:
        return this.#sink.record(this.#properties(value), kind === 'bare')
    }
  }

  #items(list: readonly unknown[]): R[] {
    const at = this.#depth - 1
    const items: R[] = []
    for (let i = 0; i < list.length; i++) {
      this.#steps[at] = i
      const item = list[i]
      if (item === undefined && !Object.hasOwn(list, i)) this.#refuse(refusals.hole)
      items.push(this.#walk(item))
    }
    if (mayHaveExtras(list)) this.#refuseExtras(list, (key) => key === 'length' || isIndexOf(list, key))
    return items
  }

  #entries(map: ReadonlyMap<unknown, unknown>): R[] {
    const at = this.#depth - 1
    const parts: R[] = []
    // The iterator of the class itself: an own `forEach` or `entries` must not be asked.
    for (const [key, value] of Map.prototype.entries.call(map) as MapIterator<[unknown, unknown]>) {
      this.#steps[at] = parts.length
      parts.push(this.#walk(key))
      this.#steps[at] = parts.length
      parts.push(this.#walk(value))
    }
    this.#refuseExtras(map)
    return parts
  }

  #members(set: ReadonlySet<unknown>): R[] {
    const at = this.#depth - 1
    const items: R[] = []
    for (const item of Set.prototype.values.call(set) as SetIterator<unknown>) {
      this.#steps[at] = items.length
      items.push(this.#walk(item))
    }
    this.#refuseExtras(set)
    return items
  }

  #properties(record: object): R[] {
    const at = this.#depth - 1
    const parts: R[] = []
    for (const key of Object.getOwnPropertyNames(record)) {
      this.#steps[at] = key
      const property = Object.getOwnPropertyDescriptor(record, key)
      if (property === undefined || !('value' in property)) return this.#refuse(refusals.accessor)
      if (!property.enumerable) this.#refuse(refusals.hidden)
      const value: unknown = property.value
      if (key === 'then' && typeof value === 'function') this.#refuseThenable(record)
      parts.push(this.#sink.primitive(key), this.#walk(value))
    }
    const symbol = Object.getOwnPropertySymbols(record)[0]
    if (symbol === undefined) return parts
    this.#steps[at] = symbol
    return this.#refuse(refusals.symbolKey)
  }

  #leaf(kind: LeafKind, value: object): R {
    this.#enter(value)
    const result = this.#data(kind, value)
    this.#depth--
    return result
  }

  #data(kind: LeafKind, value: object): R {
    if (kind === 'error') return this.#sink.error(value as Error, this)
    if (kind === 'bytes') return this.#bytes(value)
    this.#refuseExtras(value, (key) => kind === 'regexp' && key === 'lastIndex')
    if (kind === 'date') return this.#sink.date((value as Date).getTime())
    if (kind === 'url') return this.#sink.url((value as URL).href)
    const { source, flags, lastIndex } = value as RegExp
    this.#steps[this.#depth - 1] = 'lastIndex'
    return this.#sink.regexp(source, flags, this.#walk(lastIndex))
  }

  #bytes(value: object): R {
    const kind = bytesKind(value) as BytesKind
    const view = ArrayBuffer.isView(value) ? value : undefined
    const buffer = view === undefined ? (value as ArrayBuffer) : view.buffer
    const memory = memoryOf(buffer)
    if (memory === 'shared' || memory === 'detached') return this.#refuse(refusals[memory])
    if (view !== undefined) {
      // Properties added to a view are not looked for: listing its names would list every index.
      return this.#sink.bytes(kind, new Uint8Array(buffer, view.byteOffset, view.byteLength))
    }
    if (memory === 'resizable') return this.#refuse(refusals.resizable)
    this.#refuseExtras(value)
    return this.#sink.bytes(kind, new Uint8Array(buffer))
  }

  #instance(value: object, registered: ValueClass): R {
    let data: unknown
    try {
      data = registered.encode(value)
    } catch (error) {
      const what = `an instance of "${registered.name}", whose \`encode\` threw`
      return this.#refuse({ what, remedy: 'see the cause, and mend the call of registerValue' }, error)
    }
    return this.#sink.instance(registered.name, this.#inside(value, registered.name, data))
  }

  #inside(container: object, inner: string, data: unknown): R {
    this.#enter(container)
    this.#steps[this.#depth - 1] = { inner }
    const result = this.#walk(data)
    this.#depth--
    return result
  }

  #enter(container: object): void {
    for (let i = 0; i < this.#depth; i++) {
      if (this.#containers[i] === container) this.#refuse(cycleTo(this.#path(i)))
    }
    if (this.#depth >= maxDepth) this.#refuse(refusals.depth)
    this.#steps[this.#depth] = undefined
    this.#containers[this.#depth++] = container
  }

  #refuseExtras(value: object, isData: (key: string | symbol) => boolean = () => false): void {
    const extra = Reflect.ownKeys(value).find((key) => !isData(key))
    if (extra === undefined) return
    this.#steps[this.#depth - 1] = extra
    this.#refuse(refusals.extra)
  }

  #refuseThenable(record: object): never {
    this.#depth--
    return this.#refuse(refusalOf(record))
  }

  #refuse({ what, remedy }: Refusal, cause?: unknown): never {
    const path = this.#path(this.#depth)
    const options = { details: { path }, ...(cause === undefined ? {} : { cause }) }
    throw new CodecError('NOT_ENCODABLE', `can't encode \`${path}\`: it is ${what}; ${remedy}`, options)
  }

  #path(depth: number): string {
    return renderPath(this.#options.at ?? 'value', this.#containers.slice(0, depth), this.#steps)
  }
}
