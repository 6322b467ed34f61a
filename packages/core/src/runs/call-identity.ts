import { createHash } from 'node:crypto'
import { derivedId } from '../base/ids.ts'
import { UsageError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import { canonicalHash } from '../values/canonical.ts'
import type { Reference } from '../values/walk-options.ts'
import { AllowFailure, Moved, Opaque } from './markers.ts'

/** Gives the id of the run that stands in arguments, if the leaf is one. */
export type RunIdOf = (leaf: object) => string | undefined

/** How the leaves of arguments go into a hash or an encoding: a future stands for the run behind it. */
export function leavesOfCall(runIdOf: RunIdOf): (leaf: object) => Reference | undefined {
  return (leaf) => {
    const id = runIdOf(leaf)
    if (id !== undefined) return { tag: 'run', data: id }
    if (leaf instanceof AllowFailure) return { tag: 'allowFailure', data: leaf.future }
    if (leaf instanceof Opaque || leaf instanceof Moved) return { tag: 'opaque', data: leaf.value }
    return undefined
  }
}

/** Hash of the canonical form of arguments. @throws CodecError `NOT_ENCODABLE` */
export function hashOfCall(args: readonly unknown[], runIdOf: RunIdOf): string {
  return canonicalHash(args, { at: 'args', replace: leavesOfCall(runIdOf) })
}

/**
 * The part of a call's identity that its arguments give: the hash of their canonical form, or of the key where the call has
 * one.
 *
 * @throws CodecError `NOT_ENCODABLE`
 */
export function identityOfCall({ settings }: Definition, args: readonly unknown[], runIdOf: RunIdOf): string {
  return settings.key === undefined ? hashOfCall(args, runIdOf) : canonicalHash(['key', settings.key])
}

/** All that tells a call from others but for how often it was made. */
export function keyOfCall({ kind, name, version }: CalledDefinition, identity: string): string {
  return `${kind}\u0000${name}\u0000${version}\u0000${identity}`
}

type CalledDefinition = Pick<Definition, 'kind' | 'name' | 'version'>

/** The body that calls. */
interface Calling {
  readonly runId: string
  /** The attempt with which its try began. */
  readonly tryFrom: number
  /** How many calls of that key it has made before. */
  ordinal(key: string): number
}

/** What the id of the run is made of that the call starts: the same wherever the body runs, and each time that it does. */
export function derivedIdOf(caller: Calling, definition: CalledDefinition, identity: string): string {
  const { kind, name, version } = definition
  const ordinal = caller.ordinal(`${kind} ${name} ${version} ${identity}`)
  return derivedId([caller.runId, caller.tryFrom, kind, name, version, identity, ordinal])
}

/** The id that a call asks for, by name or by key; undefined where any will do. @throws UsageError `INVALID_OPTION` */
export function requestedId({ name, settings }: Definition): string | undefined {
  const { id, idempotencyKey } = settings
  return id ?? (idempotencyKey === undefined ? undefined : idOfKey(name, idempotencyKey))
}

/** The id of the flow run that a key starts: two starters compute the same one. @throws UsageError `INVALID_OPTION` */
export function idOfKey(name: string, idempotencyKey: string): string {
  if (idempotencyKey === '') {
    throw new UsageError('INVALID_OPTION', 'expected `idempotencyKey` to be a string that is not empty', {
      details: { option: 'idempotencyKey' },
    })
  }
  return createHash('sha256').update(`${name}\u0000${idempotencyKey}`).digest('hex').slice(0, 32)
}
