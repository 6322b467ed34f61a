/** The classes of errors that come back as what they were, and how an error is taken apart and made again. */
import { CodecError, InternalError, JournalError, RunError, TroupeError, UsageError } from '../base/errors.ts'
import { classNameOf, dataProperties, prototypeOf, readSafely } from './kinds.ts'

type ErrorClass = new (...args: never) => Error

// The keys are what is written. They are no class names, which a minifier changes.
const ownClasses: ReadonlyMap<string, ErrorClass> = new Map(
  Object.entries({ UsageError, RunError, CodecError, JournalError, InternalError, TroupeError }),
)
const builtInClasses: ReadonlyMap<string, ErrorClass> = new Map(
  Object.entries({
    TypeError,
    RangeError,
    SyntaxError,
    ReferenceError,
    EvalError,
    URIError,
    AggregateError,
    DOMException,
    Error,
  }),
)
const byPrototype: ReadonlyMap<unknown, string> = new Map(
  [...ownClasses, ...builtInClasses].map(([name, cls]) => [cls.prototype, name]),
)

/** Properties that errors have without their being enumerable. */
const hiddenKeys = ['name', 'message', 'stack', 'cause', 'errors', 'code'] as const

/** Whether errors with this prototype come back with it. */
export function isErrorPrototype(prototype: object): boolean {
  return byPrototype.has(prototype)
}

/**
 * The class an error comes back as: its own, or the nearest one above it. Errors of another copy of Troupe
 * and of another realm are told by the name of their class.
 */
export function errorClassOf(error: Error): string {
  return (
    (TroupeError.is(error) ? nearest(error, (proto) => named(ownClasses, proto)) : undefined) ??
    nearest(error, (proto) => byPrototype.get(proto)) ??
    nearest(error, (proto) => named(builtInClasses, proto)) ??
    'Error'
  )
}

function named(classes: ReadonlyMap<string, ErrorClass>, proto: object): string | undefined {
  const name = classNameOf(proto)
  return classes.has(name) ? name : undefined
}

function nearest(error: object, find: (proto: object) => string | undefined): string | undefined {
  for (let proto = prototypeOf(error); proto !== null; proto = prototypeOf(proto)) {
    const name = find(proto)
    if (name !== undefined) return name
  }
  return undefined
}

/** The properties of an error that must be restored, in two groups. Accessors and symbols are left out. */
export function partsOf(
  error: Error,
  className: string,
): { hidden: [string, unknown][]; fields: [string, unknown][] } {
  const fields = dataProperties(error)
  const enumerable = new Set(fields.map(([key]) => key))
  const hidden = hiddenKeys
    .filter((key) => !enumerable.has(key))
    .map((key): [string, unknown] => [key, readSafely(error, key)])
    .filter(([key, value]) => Object.hasOwn(error, key) || value !== inherited(className, key))
  return { hidden, fields }
}

/** What an error of a class says without having been told. */
function inherited(className: string, key: string): string | undefined {
  if (key === 'name') return (ownClasses.get(className) ?? builtInClasses.get(className))?.name
  return key === 'message' ? '' : undefined
}

/**
 * Makes an error from its parts.
 *
 * @returns The error, or undefined if there is no class of that name.
 */
export function makeError(className: string, hidden: object, fields: object): Error | undefined {
  const error = withoutTrace(() => construct(className, hidden))
  if (error === undefined) return undefined
  // Without a stack of its own, the error must not show that of the decoder.
  const parts = className === 'DOMException' ? ofDomException(hidden) : { stack: undefined, ...hidden }
  define(error, parts, false)
  define(error, fields, true)
  return error
}

// The trace would be that of the decoder, and it is most of what an error costs.
function withoutTrace<T>(make: () => T): T {
  const { stackTraceLimit } = Error
  // Where Error is frozen this does nothing.
  Reflect.set(Error, 'stackTraceLimit', 0)
  try {
    return make()
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
}

function construct(className: string, hidden: object): Error | undefined {
  if (className === 'DOMException') {
    const { message, name } = hidden as { message?: unknown; name?: unknown }
    return new DOMException(
      typeof message === 'string' ? message : '',
      typeof name === 'string' ? name : undefined,
    )
  }
  const own = ownClasses.get(className)
  if (own !== undefined) return Reflect.construct(TroupeError, ['INTERNAL', ''], own) as Error
  const builtIn = builtInClasses.get(className)
  return builtIn === undefined
    ? undefined
    : (Reflect.construct(builtIn, className === 'AggregateError' ? [[]] : []) as Error)
}

// Its name, message and code are in slots of the object, not in properties.
function ofDomException(hidden: object): object {
  const { name: _name, message: _message, code: _code, ...rest } = hidden as Record<string, unknown>
  return { stack: undefined, ...rest }
}

function define(error: Error, properties: object, enumerable: boolean): void {
  for (const [key, value] of Object.entries(properties)) {
    Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true })
  }
}
