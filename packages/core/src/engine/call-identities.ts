import type { ChildEntry, Entry, SubmittedEntry } from '../journal/entries.ts'
import { AllowFailure, Moved, Opaque } from '../runs/markers.ts'
import { canonicalHash } from '../values/canonical.ts'
import { decodeValue } from '../values/codec.ts'
import { RunName, runOfFuture } from './handles.ts'
import { rootEntryOf, type JournalTree } from './journal-tree.ts'

/** What stands for a subflow in the identities of calls: see `replaceInHash` of identity.ts. */
export type CalledAs = (flowRunId: string) => string

/** How arguments are hashed and encoded, but for the runs that stand in them. */
type Replace = (leaf: object) => { tag: string; data: unknown } | undefined

/** The run that stands in arguments. */
export function idOf(leaf: object): string | undefined {
  return leaf instanceof RunName ? leaf.id : runOfFuture(leaf)?.id
}

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

/** The identity of a call, as `hashArguments` of identity.ts gives it for the runs themselves. */
export function hashNamed(args: readonly unknown[], calledAs: CalledAs): string {
  const nameOf = (id: string): string => {
    const dot = id.indexOf('.')
    return dot === -1 ? calledAs(id) : id.slice(dot)
  }
  return canonicalHash(args, { at: 'args', replace: replacing(nameOf) })
}

/** Journals in which every call has its identity, and what their subflows are called as. */
export interface Identified {
  readonly tree: JournalTree
  readonly calledAs: CalledAs
}

/**
 * Gives identities to the calls of engines that did not need them: those that keep values by reference. A copy can't compute
 * them any more, for it has no futures.
 *
 * @throws CodecError `NOT_ENCODABLE`: arguments that are kept by reference can't be hashed.
 */
export function identified(tree: JournalTree): Identified {
  const identities = new Identities(tree)
  return {
    tree: new Map([...tree].map(([id, entries]) => [id, identities.complete(id, entries)])),
    calledAs: identities.calledAs,
  }
}

class Identities {
  readonly #tree: JournalTree
  /** Of subflows. */
  readonly #identities = new Map<string, string>()
  readonly #names = new Map<string, string>()

  constructor(tree: JournalTree) {
    this.#tree = tree
  }

  readonly calledAs: CalledAs = (id) => this.#names.get(id) ?? id

  complete(flowRunId: string, entries: readonly Entry[]): readonly Entry[] {
    // How often each call was made, by the number of its caller. Calls without identities are of the caller's first try.
    const counts = new Map<string, number>()
    return entries.map((entry): Entry => {
      if (entry.kind === 'submitted') {
        const identity = entry.parent === -1 ? this.#identities.get(flowRunId) : this.#identityOf(entry)
        return identity === entry.identity ? entry : { ...entry, identity }
      }
      if (entry.kind !== 'child' || entry.event !== 'started') return entry
      const child = this.#tree.get(entry.flowRunId)
      const identity =
        entry.identity ?? (child === undefined ? undefined : this.#identityOf(rootEntryOf(child)))
      if (identity === undefined) return entry
      this.#identities.set(entry.flowRunId, identity)
      this.#name({ ...entry, identity }, counts)
      return { ...entry, identity }
    })
  }

  #identityOf({ identity, inputs }: SubmittedEntry): string | undefined {
    if (identity !== undefined || inputs instanceof Uint8Array) return identity
    return hashNamed(inputs as readonly unknown[], this.calledAs)
  }

  #name({ flowRunId, parent, name, version, identity = '' }: ChildEntry, counts: Map<string, number>): void {
    const call = `flow ${name} ${version} ${identity}`
    const key = `${parent} ${call}`
    const ordinal = counts.get(key) ?? 0
    counts.set(key, ordinal + 1)
    const child = this.#tree.get(flowRunId)
    // One that was started with an id of its own is known by that.
    const isRequested = child !== undefined && rootEntryOf(child).parametersHash !== undefined
    if (!isRequested) this.#names.set(flowRunId, `${call} ${ordinal}`)
  }
}
