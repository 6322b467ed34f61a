import { createHash } from 'node:crypto'
import { UsageError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import { AllowFailure, isDetached, Moved, Opaque } from '../runs/markers.ts'
import { Reference, RunName, runOfFuture } from './handles.ts'
import { movedError } from './run-errors.ts'
import type { Run } from './run.ts'
import type { Parcel } from '../remote/protocol.ts'
import { wrap } from '../remote/wire.ts'
import type { Dependency } from './dependencies.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { canonicalHash } from '../values/canonical.ts'

/** How the leaves that only the engine knows go into a hash or an encoding: a future stands for the run behind it. */
function replaceLeaf(leaf: object): { tag: string; data: unknown } | undefined {
  const run = runOfFuture(leaf)
  if (run !== undefined) return { tag: 'run', data: run.id }
  if (leaf instanceof RunName) return { tag: 'run', data: leaf.id }
  if (leaf instanceof AllowFailure) return { tag: 'allowFailure', data: leaf.future }
  if (leaf instanceof Opaque || leaf instanceof Moved) return { tag: 'opaque', data: leaf.value }
  return undefined
}

/** @throws CodecError `NOT_ENCODABLE` */
export function encodeArguments(args: readonly unknown[]): Uint8Array {
  return encodeValue(args, { at: 'args', replace: replaceLeaf })
}

/**
 * Arguments for a body in another thread. The futures in them are only checked: their values are known later.
 *
 * @throws CodecError `NOT_ENCODABLE`
 */
export function wrapArguments(args: readonly unknown[]): Parcel {
  return wrap(args, 'args', { replace: replaceLeaf, revive: (_, data) => data })
}

/**
 * What an attempt sends to the thread where its body runs.
 *
 * @param sent - Its arguments as they were encoded when the run was submitted, if they still are the same.
 * @throws CodecError `NOT_ENCODABLE`; RunError `RUN_CRASHED` where a buffer that was moved is needed once more
 */
export function parcelFor(
  {
    run,
    number,
    arguments: args,
  }: { readonly run: Run; readonly number: number; readonly arguments: readonly unknown[] },
  sent: Parcel | undefined,
): Parcel {
  const parcel = sent ?? wrapArguments(args)
  if (parcel.buffers === undefined) return parcel
  if (number > 1 && parcel.buffers.some(isDetached)) throw movedError(run)
  return { ...parcel, keeps: run.definition.settings.retries > run.context.tries }
}

/** A fresh copy of encoded arguments, with the futures that stood in them. */
export function decodeArguments(inputs: Uint8Array, dependencies: readonly Dependency[]): readonly unknown[] {
  const revive = (tag: string, data: unknown): unknown => {
    if (tag === 'opaque') return new Opaque(data)
    if (tag === 'allowFailure') return new AllowFailure(data)
    const found = dependencies.find(({ run }) => run.id === data)
    return found === undefined ? data : new Reference(found.run)
  }
  return decodeValue(inputs, { revive }) as readonly unknown[]
}

/**
 * The part of a call's identity that its arguments give: the hash of their canonical form, or of the key where the call
 * has one.
 *
 * @throws CodecError `NOT_ENCODABLE`
 */
export function identityOf({ settings }: Definition, args: readonly unknown[]): string {
  if (settings.key !== undefined) return canonicalHash(['key', settings.key])
  return hashArguments(args)
}

/** @throws CodecError `NOT_ENCODABLE` */
export function hashArguments(args: readonly unknown[]): string {
  return canonicalHash(args, { at: 'args', replace: replaceLeaf })
}

/** The id of the flow run that a key starts: two starters compute the same one. */
export function idOfKey(name: string, idempotencyKey: string): string {
  if (idempotencyKey === '') {
    throw new UsageError('INVALID_OPTION', 'expected `idempotencyKey` to be a string that is not empty', {
      details: { option: 'idempotencyKey' },
    })
  }
  return createHash('sha256').update(`${name}\u0000${idempotencyKey}`).digest('hex').slice(0, 32)
}
