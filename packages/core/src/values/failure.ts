/**
 * Errors are thrown to a caller; failures are data, in journals and on the wire. The two functions here are
 * the only bridge.
 */
import { inspect } from 'node:util'
import { RunError } from '../base/errors.ts'
import { decodeTree } from './decoder.ts'
import { encodeTree } from './encoder.ts'
import { makeError } from './error-classes.ts'
import { classNameOf, isError, prototypeOf, readSafely } from './kinds.ts'
import { classOfPrototype } from './registry.ts'

/** What was thrown, as data; itself a value that can be encoded. @public */
export interface Failure {
  /** Name of the error; for anything else that was thrown, its type. */
  readonly name: string
  readonly message: string
  /** The error's `code`, if it is a text. */
  readonly code?: string
  /** The stack of an error of a registered class, for processes that don't have the class. */
  readonly stack?: string
  /** The error itself, as `encodeValue` writes it. Absent in failures written by hand. */
  readonly encoded?: Uint8Array
}

/**
 * Makes data of what was thrown. Never throws: what of an error can't be encoded is left out, and so is the
 * registered class of an error whose `encode` fails. The chain of causes is kept.
 *
 * @param error - Anything that can be thrown.
 * @public
 */
export function toFailure(error: unknown): Failure {
  try {
    return isError(error) ? ofError(error) : ofOther(error)
  } catch {
    return ofUnreadable() // a Proxy that throws whatever it is asked
  }
}

/**
 * Makes again what was thrown. Never throws: what can't be decoded here (its class is not registered, a newer
 * version wrote it) comes back as an Error of the same name, message and code, and of the same stack if it is
 * known; its cause says why.
 *
 * @public
 */
export function toError(failure: Failure): unknown {
  if (failure.encoded === undefined) return plainError(failure)
  try {
    return decodeTree(failure.encoded, {})
  } catch (cause) {
    return plainError(failure, { cause })
  }
}

function ofError(error: Error): Failure {
  const code = readSafely(error, 'code')
  const stack = readSafely(error, 'stack')
  const failure: Failure = {
    name: nameOf(error),
    message: textOf(readSafely(error, 'message')),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
  }
  const { stack: _inEncoded, ...rest } = failure
  const encoded = encodeError(error) ?? encodeTree(plainError(failure), {})
  return isRegistered(error) ? { ...failure, encoded } : { ...rest, encoded }
}

function encodeError(error: Error): Uint8Array | undefined {
  for (const ignoreRegistered of [false, true]) {
    try {
      return encodeTree(error, { ignoreRegistered })
    } catch {
      // Its class refuses it: without the class, then.
    }
  }
  return undefined
}

function ofOther(value: unknown): Failure {
  const message = typeof value === 'string' ? value : inspect(value, { depth: 2, customInspect: false })
  try {
    return { name: typeof value, message, encoded: encodeTree(value, {}) }
  } catch (cause) {
    const text = `a body threw ${message}, which is no Error and can't be encoded; throw an Error`
    return ofError(new RunError('NON_ERROR_THROWN', text, { cause }))
  }
}

function ofUnreadable(): Failure {
  return ofError(
    new RunError('NON_ERROR_THROWN', 'a body threw an object that throws when it is read; throw an Error'),
  )
}

function plainError(failure: Failure, why: { cause?: unknown } = {}): unknown {
  const { name, message, code, stack } = failure
  return makeError('Error', { name, message, stack, ...why }, code === undefined ? {} : { code })
}

function isRegistered(error: Error): boolean {
  const prototype = prototypeOf(error)
  return prototype !== null && classOfPrototype(prototype) !== undefined
}

// Many classes of errors don't set a name.
function nameOf(error: Error): string {
  const name = readSafely(error, 'name')
  if (typeof name === 'string' && name !== '' && name !== 'Error') return name
  return classNameOf(prototypeOf(error)) || 'Error'
}

function textOf(message: unknown): string {
  return typeof message === 'string' ? message : inspect(message, { customInspect: false })
}
