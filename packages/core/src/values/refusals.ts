/** Why a value can't be encoded, and what to do about it. */
import { types } from 'node:util'
import { classNameOf, prototypeOf } from './kinds.ts'

/** One refusal: `it is ${what}; ${remedy}`. */
export interface Refusal {
  readonly what: string
  readonly remedy: string
}

/** What may be wrong with a place, whatever value is there. */
type Place =
  | 'hole'
  | 'extra'
  | 'accessor'
  | 'hidden'
  | 'symbolKey'
  | 'detached'
  | 'shared'
  | 'resizable'
  | 'depth'
  | 'throwing'

/** Refusals of a place rather than of a value. */
export const refusals: Readonly<Record<Place, Refusal>> = {
  hole: { what: 'a hole in an array', remedy: 'use undefined or null' },
  extra: {
    what: 'an extra property of an object that holds its data elsewhere',
    remedy: 'pass both in a plain object',
  },
  accessor: { what: 'an accessor property', remedy: 'pass its value, for example with { ...object }' },
  hidden: { what: 'a property that is not enumerable', remedy: 'make it enumerable, or leave it out' },
  symbolKey: { what: 'a property whose key is a symbol', remedy: 'use a string as its key' },
  detached: { what: 'a detached ArrayBuffer', remedy: 'pass it before it is transferred, or pass a copy' },
  shared: {
    what: 'memory shared between threads',
    remedy: 'pass a copy, for example with new Uint8Array(shared).slice()',
  },
  resizable: { what: 'a resizable ArrayBuffer', remedy: 'pass a copy of fixed length, with slice()' },
  depth: { what: 'nested more than 500 levels deep', remedy: 'pass a flat list, or an id' },
  throwing: { what: 'an object that throws when it is read', remedy: 'pass plain data' },
}

/** Why an object inside itself is refused. */
export function cycleTo(path: string): Refusal {
  return { what: `the object at \`${path}\` again (a cycle)`, remedy: 'pass an id in place of one of them' }
}

/** Why a value of no supported kind is refused. */
export function refusalOf(value: unknown): Refusal {
  if (typeof value === 'symbol') return { what: 'a symbol', remedy: 'use a string' }
  if (typeof value === 'function') {
    return { what: 'a function', remedy: 'pass data, and define the function where it is used' }
  }
  return refusalOfObject(value as object)
}

function refusalOfObject(value: object): Refusal {
  if (isThenable(value)) return { what: 'a promise', remedy: 'await the promise first, and pass its value' }
  if (types.isSharedArrayBuffer(value)) return refusals.shared
  if (types.isWeakMap(value) || types.isWeakSet(value)) {
    return { what: `a ${classOf(value)}, whose entries can't be listed`, remedy: 'use a Map or a Set' }
  }
  if (types.isBoxedPrimitive(value)) {
    return { what: `an object around a primitive (new ${classOf(value)})`, remedy: 'pass the primitive' }
  }
  return {
    what: `an instance of ${classOf(value)}`,
    remedy: 'register the class with registerValue, or pass a plain object',
  }
}

function isThenable(value: object): boolean {
  return typeof (value as { then?: unknown }).then === 'function'
}

function classOf(value: object): string {
  return classNameOf(prototypeOf(value)) || 'a class without a name'
}
