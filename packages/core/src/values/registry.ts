/**
 * The classes of users that values may have: one registry a process, shared by all copies of Troupe in it.
 *
 * The name, not the class, is written, so that a class can move between files and versions.
 */
import { UsageError } from '../base/errors.ts'
import { isHandledClass } from './handled-classes.ts'

/** How instances of one class are written and read. */
export interface ValueClass {
  readonly cls: object
  readonly name: string
  encode(value: unknown): unknown
  decode(encoded: unknown): unknown
}

interface Registry {
  readonly byName: Map<string, ValueClass>
  readonly byPrototype: Map<object, ValueClass>
}

const key = Symbol.for('@troupe/core/values')

function registry(): Registry {
  const home = globalThis as { [key]?: Registry }
  return (home[key] ??= { byName: new Map(), byPrototype: new Map() })
}

/**
 * Lets instances of a class be values: arguments, results, signals, fields of errors.
 *
 * Instances of exactly this class are encoded by it; a subclass is registered by itself. Registering a class
 * again under its name replaces how it is encoded and decoded. Registering it under a second name makes the
 * second the one that is written, while what was written under the first can still be read: this is how a
 * name is changed. Call it where the class is defined, so that threads and other nodes that load the class
 * know it, too.
 *
 * @param cls - The class. Its values are told by their prototype, so a private constructor is fine.
 * @param options.name - Name that is written, unique in the program and stable across versions.
 * @param options.encode - Gives a value that can itself be encoded. Must not depend on time or chance,
 *   because the identity of a call is a hash of it.
 * @param options.decode - Gives back an instance from what `encode` gave.
 * @throws UsageError INVALID_OPTION: the name is empty or taken by another class, `cls` is no class, or
 *   values of it can be encoded without being registered.
 * @example
 * registerValue(Money, {
 *   name: 'Money',
 *   encode: (money) => ({ cents: money.cents, currency: money.currency }),
 *   decode: ({ cents, currency }) => new Money(cents, currency)
 * })
 * @public
 */
export function registerValue<T, E>(
  cls: abstract new (...args: never) => T,
  options: { name: string; encode(value: T): E; decode(encoded: E): T },
): void {
  const { name } = options
  const prototype = requireRegistrable(cls, name)
  const { byName, byPrototype } = registry()
  const taken = byName.get(name)
  if (taken !== undefined && taken.cls !== cls) {
    throw invalid(
      `registerValue: the name "${name}" is taken by another class; give each class a name of its own`,
      name,
    )
  }
  const entry: ValueClass = {
    cls,
    name,
    encode: (value) => options.encode(value as T),
    decode: (encoded) => options.decode(encoded as E),
  }
  byName.set(name, entry)
  byPrototype.set(prototype, entry)
}

/** The registered class that a prototype belongs to. */
export function classOfPrototype(prototype: object): ValueClass | undefined {
  return registry().byPrototype.get(prototype)
}

/** The registered class of a name. */
export function classOfName(name: string): ValueClass | undefined {
  return registry().byName.get(name)
}

function requireRegistrable(cls: unknown, name: unknown): object {
  const prototype: unknown = typeof cls === 'function' ? cls.prototype : undefined
  if (typeof prototype !== 'object' || prototype === null) {
    throw invalid(`registerValue: expected a class, got ${typeof cls}`, name)
  }
  if (typeof name !== 'string' || name === '') {
    throw invalid('registerValue: expected `name` to be a string that is not empty', name)
  }
  if (isHandledClass(prototype)) {
    throw invalid(`registerValue: values of class "${name}" are encoded as they are; remove the call`, name)
  }
  return prototype
}

function invalid(message: string, name: unknown): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option: 'name', name } })
}
