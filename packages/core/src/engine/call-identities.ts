import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import { AllowFailure, Moved, Opaque } from '../runs/markers.ts'
import { canonicalHash } from '../values/canonical.ts'
import { decodeValue } from '../values/codec.ts'
import { RunName, runOfFuture } from './handles.ts'
import { rootEntryOf, type JournalTree } from './journal-tree.ts'

/** How arguments are hashed and encoded, but for the runs that stand in them. */
type Replace = (leaf: object) => { tag: string; data: unknown } | undefined

/** The run that stands in arguments. */
export function idOf(leaf: object): string | undefined {
  return leaf instanceof RunName ? leaf.id : runOfFuture(leaf)?.id
}

/** As identity.ts hashes and encodes arguments, with other names of runs. */
export function replacing(nameOf: (runId: string) => string): Replace {
  return (leaf) => {
    const id = idOf(leaf)
    if (id !== undefined) return { tag: 'run', data: nameOf(id) }
    if (leaf instanceof AllowFailure) return { tag: 'allowFailure', data: leaf.future }
    if (leaf instanceof Opaque || leaf instanceof Moved) return { tag: 'opaque', data: leaf.value }
    return undefined
  }
}

/** Encoded arguments, with the names of the runs that stood in them. */
export function decodeNamed(inputs: Uint8Array): readonly unknown[] {
  const revive = (tag: string, data: unknown): unknown => {
    if (tag === 'run') return new RunName(data as string)
    return tag === 'allowFailure' ? new AllowFailure(data) : new Opaque(data)
  }
  return decodeValue(inputs, { revive }) as readonly unknown[]
}

/** The identity of a call, with other names of the runs in its arguments. */
export function hashNamed(args: readonly unknown[], nameOf: (runId: string) => string): string {
  return canonicalHash(args, { at: 'args', replace: replacing(nameOf) })
}

/**
 * Gives identities to the calls of engines that did not need them: those that keep values by reference. A copy can't compute
 * them any more, for it has no futures.
 *
 * @throws CodecError `NOT_ENCODABLE`: arguments that are kept by reference can't be hashed.
 */
export function identified(tree: JournalTree): JournalTree {
  return new Map([...tree].map(([id, entries]) => [id, entries.map((entry) => identifiedEntry(entry, tree))]))
}

function identifiedEntry(entry: Entry, tree: JournalTree): Entry {
  if (entry.kind === 'submitted') return { ...entry, identity: identityOf(entry) }
  if (entry.kind !== 'child' || entry.event !== 'started') return entry
  const child = tree.get(entry.flowRunId)
  if (entry.identity !== undefined || child === undefined) return entry
  return { ...entry, identity: identityOf(rootEntryOf(child)) }
}

function identityOf({ identity, inputs, parent, parentRunId }: SubmittedEntry): string | undefined {
  const isCalled = parent !== -1 || parentRunId !== undefined
  if (identity !== undefined || !isCalled || inputs instanceof Uint8Array) return identity
  return hashNamed(inputs as readonly unknown[], (id) => id)
}
