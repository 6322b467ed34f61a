import { CodecError } from '../base/errors.ts'
import { steerOf, steering, type Steer } from '../definitions/retrying.ts'
import { Ending } from '../runs/endings.ts'
import { AllowFailure, Moved, Opaque, viewOf } from '../runs/markers.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { toFailure } from '../values/failure.ts'
import type { Reference } from '../values/walk-options.ts'
import type { BodyResult } from '../ports/task-runner.ts'
import type { Parcel } from './protocol.ts'

/** What only one side knows how to write and read: handles, and errors that are the failure of a run. */
export interface Leaves {
  replace(leaf: object): Reference | undefined
  revive(tag: string, data: unknown): unknown
}

const noLeaves: Leaves = { replace: () => undefined, revive: (_, data) => data }

/** How markers are written, alike on both sides. */
function replaceMarker(leaf: object): Reference | undefined {
  if (leaf instanceof AllowFailure) return { tag: 'allowFailure', data: leaf.future }
  if (leaf instanceof Opaque) return { tag: 'opaque', data: leaf.value }
  if (leaf instanceof Ending) {
    const { type, value, error, message } = leaf as Ending<unknown>
    return { tag: 'ending', data: [type, value, error, message] }
  }
  const steer = steerOf(leaf)
  return steer === undefined ? undefined : { tag: 'steer', data: [steer.error, steer.delayMs] }
}

function reviveMarker(tag: string, data: unknown): unknown {
  switch (tag) {
    case 'allowFailure':
      return new AllowFailure(data)
    case 'opaque':
      return new Opaque(data)
    case 'ending': {
      const [type, value, error, message] = data as [Ending<unknown>['type'], unknown, unknown, string?]
      return new Ending(type, { value, error, ...(message === undefined ? undefined : { message }) })
    }
    case 'steer': {
      const [error, delayMs] = data as [Steer['error'], Steer['delayMs']]
      return steering(error, delayMs)
    }
    default:
      return undefined
  }
}

/**
 * @param at - Name of the value in messages.
 * @throws CodecError `NOT_ENCODABLE`
 */
export function wrap(value: unknown, at: string, leaves: Leaves = noLeaves): Parcel {
  const buffers: ArrayBuffer[] = []
  const replace = (leaf: object): Reference | undefined => {
    const replaced = leaves.replace(leaf)
    if (leaf instanceof Moved) return { tag: 'moved', data: [buffers.push(leaf.buffer) - 1, leaf.kind] }
    return replaced ?? replaceMarker(leaf)
  }
  const bytes = encodeValue(value, { at, replace })
  return buffers.length === 0 ? { bytes } : { bytes, buffers }
}

export function unwrap(parcel: Parcel, leaves: Leaves = noLeaves): unknown {
  return read(parcel, (tag, data) => reviveMarker(tag, data) ?? leaves.revive(tag, data))
}

/** The arguments of a body: without the marks that were for the engine. */
export function unwrapArguments(parcel: Parcel): unknown {
  return read(parcel, (_, data) => data)
}

function read({ bytes, buffers = [] }: Parcel, revive: (tag: string, data: unknown) => unknown): unknown {
  return decodeValue(bytes, {
    revive(tag, data) {
      if (tag !== 'moved') return revive(tag, data)
      const [index, kind] = data as [number, Moved['kind']]
      const buffer = buffers[index]
      if (buffer !== undefined) return viewOf(buffer, kind)
      throw new CodecError('MALFORMED_PAYLOAD', 'a buffer is missing that was to be moved')
    },
  })
}

/** What stands for something else in a value that is only passed on. */
class Passed {
  readonly tag: string
  readonly data: unknown

  constructor(tag: string, data: unknown) {
    this.tag = tag
    this.data = data
  }
}

/** The same with what its buffers hold written into its bytes: for a way that only takes those. */
export function inline(parcel: Parcel): Parcel {
  if (parcel.buffers === undefined) return parcel
  const value = read(parcel, (tag, data) => new Passed(tag, data))
  const replace = (leaf: object): Reference | undefined =>
    leaf instanceof Passed ? { tag: leaf.tag, data: leaf.data } : undefined
  const { thrown } = parcel
  return { bytes: encodeValue(value, { replace }), ...(thrown === undefined ? undefined : { thrown }) }
}

/** What was thrown. Never throws itself: what of an error can't be encoded is left out. */
export function wrapError(error: unknown, leaves: Leaves = noLeaves): Parcel {
  try {
    return wrap(error, 'error', leaves)
  } catch {
    return { bytes: toFailure(error).encoded ?? encodeValue(undefined) }
  }
}

/** How a body ended: a value, or what it threw. */
export function wrapResult(result: BodyResult, leaves: Leaves): Parcel {
  if ('error' in result) return { ...wrapError(result.error, leaves), thrown: true }
  try {
    return wrap(result.value, 'result', leaves)
  } catch (error) {
    return { ...wrapError(error, leaves), thrown: true }
  }
}

export function unwrapResult(parcel: Parcel, leaves: Leaves): BodyResult {
  // What stands for something of this engine is not what a journal takes.
  let isPlain = parcel.buffers === undefined
  const found = read(parcel, (tag, data) => {
    isPlain = false
    return reviveMarker(tag, data) ?? leaves.revive(tag, data)
  })
  if (parcel.thrown === true) return { error: found }
  return isPlain ? { value: found, encoded: parcel.bytes } : { value: found }
}
