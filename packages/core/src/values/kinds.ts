/**
 * What kind of object a value is, by its exact class: an instance of a subclass is none of these, since it
 * would come back as something else. Classes of another realm (a vm context, a test runner) count as ours.
 */
import { inspect, types } from 'node:util'
import type { BytesKind } from './format.ts'

/** Objects that hold other values. `bare` is an object without a prototype. */
export type ContainerKind = 'list' | 'record' | 'bare' | 'map' | 'set'

/** The kind of a plain container, or undefined for every other object. */
export function containerKind(value: object): ContainerKind | undefined {
  const proto = prototypeOf(value)
  if (proto === Object.prototype) return 'record'
  if (proto === Array.prototype) return Array.isArray(value) ? 'list' : undefined
  if (proto === null) return 'bare'
  if (proto === Map.prototype) return types.isMap(value) ? 'map' : undefined
  if (proto === Set.prototype) return types.isSet(value) ? 'set' : undefined
  return rootOf(proto) === Object.prototype ? undefined : foreignContainerKind(value, proto)
}

function foreignContainerKind(value: object, proto: object): ContainerKind | undefined {
  if (types.isMap(value)) return isIntrinsic(proto, 'Map') ? 'map' : undefined
  if (types.isSet(value)) return isIntrinsic(proto, 'Set') ? 'set' : undefined
  if (Array.isArray(value)) return isIntrinsic(proto, 'Array') ? 'list' : undefined
  return Object.hasOwn(proto, 'isPrototypeOf') ? 'record' : undefined
}

/** Objects that hold data of their own. */
export type LeafKind = 'error' | 'date' | 'regexp' | 'url' | 'bytes'

/** The kind of an object that is no container, or undefined if its class isn't one that values may have. */
export function leafKind(value: object): LeafKind | undefined {
  if (isError(value)) return 'error'
  const proto = prototypeOf(value)
  if (proto === null) return undefined
  if (types.isDate(value)) return isIntrinsic(proto, 'Date') ? 'date' : undefined
  if (types.isRegExp(value)) return isIntrinsic(proto, 'RegExp') ? 'regexp' : undefined
  if (proto === URL.prototype) return 'url'
  return bytesKind(value) === undefined ? undefined : 'bytes'
}

/** Whether a value is an error of any class and realm. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value)
}

/** The class of a buffer or a view of one, or undefined for a subclass and everything else. */
export function bytesKind(value: object): BytesKind | undefined {
  const proto = prototypeOf(value)
  if (proto === null) return undefined
  if (ArrayBuffer.isView(value)) {
    if (types.isDataView(value)) return isIntrinsic(proto, 'DataView') ? 'DataView' : undefined
    if (proto === Buffer.prototype) return 'Buffer'
    // Only the prototypes of the built-in typed arrays have this property themselves.
    if (!Object.hasOwn(proto, 'BYTES_PER_ELEMENT')) return undefined
    return (value as Uint8Array)[Symbol.toStringTag] as BytesKind
  }
  return types.isArrayBuffer(value) && isIntrinsic(proto, 'ArrayBuffer') ? 'ArrayBuffer' : undefined
}

/** What becomes of the memory behind a buffer: only what is `fixed` comes back as it was. */
export function memoryOf(buffer: ArrayBufferLike): 'fixed' | 'shared' | 'detached' | 'resizable' {
  if (types.isSharedArrayBuffer(buffer)) return 'shared'
  if (buffer.byteLength === 0 && isDetached(buffer)) return 'detached'
  // Node 20 has `resizable`; the ES2023 library types don't.
  return (buffer as ArrayBuffer & { resizable: boolean }).resizable ? 'resizable' : 'fixed'
}

function isDetached(buffer: ArrayBuffer): boolean {
  try {
    // Node 20 has no property for it; a view of it can't be made.
    return new Uint8Array(buffer).length > 0
  } catch {
    return true
  }
}

// From this length on, listing the names of an array costs more than having those printed that are no
// indices.
const longList = 32

/**
 * Whether a list may have properties besides its items: exact for a short one, never a wrong no for a long
 * one (whose names it would take as long to list as to encode the items).
 */
export function mayHaveExtras(list: readonly unknown[]): boolean {
  if (list.length >= longList) {
    const printed = inspect(list, { maxArrayLength: 0, depth: 0, showHidden: true, customInspect: false })
    return printed.replace('[length]:', '').includes(':')
  }
  return (
    Object.getOwnPropertyNames(list).length !== list.length + 1 ||
    Object.getOwnPropertySymbols(list).length > 0
  )
}

/** So long is a list at most that is looked at item by item before anything else. */
const shortList = 16

/** Whether a value is a short list of our realm with nothing but its items, and no hole. */
export function isPlainList(value: unknown): value is readonly unknown[] {
  if (!Array.isArray(value) || value.length > shortList) return false
  return Object.getPrototypeOf(value) === Array.prototype && !mayHaveExtras(value)
}

/** Whether a key is one of the items of a list. */
export function isIndexOf(list: readonly unknown[], key: string | symbol): boolean {
  return typeof key === 'string' && /^(0|[1-9]\d*)$/.test(key) && Number(key) < list.length
}

/** The own enumerable properties of an object that hold data; no symbols, and no accessor is called. */
export function dataProperties(value: object): [string, unknown][] {
  const properties: [string, unknown][] = []
  for (const key of Object.keys(value)) {
    const property = Object.getOwnPropertyDescriptor(value, key)
    if (property !== undefined && 'value' in property) properties.push([key, property.value])
  }
  return properties
}

/** Reads a property of a foreign object; undefined where that throws. */
export function readSafely(from: object, key: string): unknown {
  try {
    return Reflect.get(from, key)
  } catch {
    return undefined
  }
}

/** The name of the class a prototype belongs to; empty if it has none. */
export function classNameOf(proto: object | null): string {
  const constructor = proto === null ? undefined : readSafely(proto, 'constructor')
  return typeof constructor === 'function' ? constructor.name : ''
}

/** The prototype of an object, typed. */
export function prototypeOf(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null
}

// The prototype of a built-in class stands right below the root of its realm; that of a subclass stands
// deeper.
function isIntrinsic(proto: object, name: string): boolean {
  const parent = prototypeOf(proto)
  return parent !== null && prototypeOf(parent) === null && classNameOf(proto) === name
}

function rootOf(proto: object): object {
  let root = proto
  for (let next = prototypeOf(root); next !== null; next = prototypeOf(root)) root = next
  return root
}
