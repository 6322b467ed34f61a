import { createHash } from 'node:crypto'
import { UsageError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import { AllowFailure, Opaque } from '../runs/markers.ts'
import { Reference, runOfFuture } from './handles.ts'
import type { Dependency } from './dependencies.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { canonicalHash } from '../values/canonical.ts'

/** How the leaves that only the engine knows go into a hash or an encoding: a future stands for the run behind it. */
function replaceLeaf(leaf: object): { tag: string; data: unknown } | undefined {
  const run = runOfFuture(leaf)
  if (run !== undefined) return { tag: 'run', data: run.id }
  if (leaf instanceof AllowFailure) return { tag: 'allowFailure', data: leaf.future }
  if (leaf instanceof Opaque) return { tag: 'opaque', data: leaf.value }
  return undefined
}

/** @throws CodecError `NOT_ENCODABLE` */
export function encodeArguments(args: readonly unknown[]): Uint8Array {
  return encodeValue(args, { at: 'args', replace: replaceLeaf })
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
