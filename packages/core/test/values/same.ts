/**
 * Equality without mercy: `toStrictEqual` takes an own property named `constructor` for the class, for one.
 */

/**
 * Where two values differ, or undefined if they don't: classes, own properties and their order, contents; -0
 * is not 0, and an object is not the same as itself.
 */
export function differenceOf(actual: unknown, expected: unknown, path = 'value'): string | undefined {
  if (typeof expected !== 'object' || expected === null || typeof actual !== 'object' || actual === null) {
    return Object.is(actual, expected) ? undefined : `${path}: ${String(actual)} is not ${String(expected)}`
  }
  if (actual === expected) return `${path}: the same object`
  if (Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) return `${path}: another class`
  const difference = differenceOfLists(contentsOf(actual), contentsOf(expected), `${path}/contents`)
  if (difference !== undefined || ArrayBuffer.isView(expected)) return difference
  return differenceOfProperties(actual, expected, path)
}

function differenceOfLists(actual: readonly unknown[], expected: readonly unknown[], path: string) {
  if (actual.length !== expected.length) return `${path}: ${actual.length} parts, not ${expected.length}`
  return first(expected.entries(), ([i, part]) => differenceOf(actual[i], part, `${path}[${i}]`))
}

function differenceOfProperties(actual: object, expected: object, path: string): string | undefined {
  const keys = Reflect.ownKeys(expected)
  const difference = differenceOfLists(Reflect.ownKeys(actual), keys, `${path}/keys`)
  if (difference !== undefined) return difference
  return first(keys, (key) => {
    const at = `${path}.${String(key)}`
    if (isEnumerable(actual, key) !== isEnumerable(expected, key)) return `${at}: other than enumerable`
    return differenceOf(valueOf(actual, key), valueOf(expected, key), at)
  })
}

function first<T>(items: Iterable<T>, find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}

const isEnumerable = (object: object, key: PropertyKey): boolean =>
  Object.prototype.propertyIsEnumerable.call(object, key)

// Newer versions of Node have an accessor for the stack of an error.
const valueOf = (object: object, key: PropertyKey): unknown =>
  key === '__proto__' ? Object.getOwnPropertyDescriptor(object, key)?.value : Reflect.get(object, key)

/** What an object holds elsewhere than in properties. */
function contentsOf(value: object): unknown[] {
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].flat(1)
  if (value instanceof Set) return [...(value as Set<unknown>)]
  if (value instanceof Date) return [value.getTime()]
  if (value instanceof RegExp) return [value.source, value.flags]
  if (value instanceof URL) return [value.href]
  if (value instanceof ArrayBuffer) return [...new Uint8Array(value)]
  if (!ArrayBuffer.isView(value)) return []
  return [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]
}
