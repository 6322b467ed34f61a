/** The classes whose instances are values without being registered. */
import { isErrorPrototype } from './error-classes.ts'
import { bytesKinds } from './format.ts'

const others: readonly object[] = [Object, Array, Map, Set, Date, RegExp, URL].map(
  (cls) => cls.prototype as object,
)

/** Whether the codec knows the class of a prototype by itself. */
export function isHandledClass(prototype: object): boolean {
  return others.includes(prototype) || isErrorPrototype(prototype) || isBytesPrototype(prototype)
}

function isBytesPrototype(prototype: object): boolean {
  return bytesKinds.some((kind) => {
    const cls: unknown = Reflect.get(globalThis, kind)
    return typeof cls === 'function' && cls.prototype === prototype
  })
}
