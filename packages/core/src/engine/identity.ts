import type { Definition } from '../definitions/definition.ts'
import { hashOfCall, identityOfCall, leavesOfCall } from '../runs/call-identity.ts'
import { AllowFailure, isDetached, Opaque } from '../runs/markers.ts'
import { needsAdmission } from './admission.ts'
import { Reference, RunName, runOfFuture } from './handles.ts'
import { movedError } from './run-errors.ts'
import type { Run } from './run.ts'
import type { Parcel } from '../remote/protocol.ts'
import { wrap } from '../remote/wire.ts'
import type { Dependency } from './dependencies.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'

/** The run that stands in arguments, where its engine is in this process. */
function runIdOf(leaf: object): string | undefined {
  return leaf instanceof RunName ? leaf.id : runOfFuture(leaf)?.id
}

const replaceLeaf = leavesOfCall(runIdOf)

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
  attempt: { readonly run: Run; readonly number: number; readonly arguments: readonly unknown[] },
  sent: Parcel | undefined,
): Parcel {
  const parcel = sent ?? wrapArguments(attempt.arguments)
  if (parcel.buffers === undefined) return parcel
  const { run, number } = attempt
  if (number > 1 && parcel.buffers.some(isDetached)) throw movedError(run)
  return { ...parcel, keeps: run.definition.settings.retries > run.context.tries }
}

/** Whether nobody here asks for the arguments of a body: it runs elsewhere. What was moved there can't be read here later. */
export function areReadElsewhere(run: Run, parcel: Parcel | undefined): boolean {
  const { parameters, hooks } = run.definition.settings
  if (parcel === undefined || parcel.buffers !== undefined) return false
  return parameters === undefined && hooks === undefined && !needsAdmission(run)
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

/** See `identityOfCall`. @throws CodecError `NOT_ENCODABLE` */
export function identityOf(definition: Definition, args: readonly unknown[]): string {
  return identityOfCall(definition, args, runIdOf)
}

/** @throws CodecError `NOT_ENCODABLE` */
export function hashArguments(args: readonly unknown[]): string {
  return hashOfCall(args, runIdOf)
}
