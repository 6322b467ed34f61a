import { derivedId } from '../base/ids.ts'
import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import { renamedRun, renameRuns, type Rename } from '../journal/rename.ts'
import { AllowFailure, Moved, Opaque } from '../runs/markers.ts'
import { canonicalHash } from '../values/canonical.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { hashArguments } from './identity.ts'
import { RunName, runOfFuture } from './handles.ts'
import { rootEntryOf, type JournalTree } from './journal-tree.ts'

/**
 * Journals with the ids of another run: the first is `flowRunId` from now on, and subflows have ids that follow from that and
 * from what they were called. Ids in arguments are renamed, too, and identities that depend on them, so that a replayed body
 * finds its calls again.
 *
 * @param all - All journals of the run, also those of subflows that are left out of `tree`.
 */
export function renamedTree(tree: JournalTree, flowRunId: string, all: JournalTree): JournalTree {
  const [root = ''] = tree.keys()
  if (root === flowRunId) return tree
  const rename: Rename = (id) => (id === root ? flowRunId : derivedId([flowRunId, id]))
  const renaming = new Renaming(rename, all)
  return new Map([...tree].map(([id, entries]) => [rename(id), renaming.entries(entries)]))
}

interface Call {
  readonly args: readonly unknown[]
  readonly identity: string | undefined
}

class Renaming {
  readonly #rename: Rename
  readonly #all: JournalTree
  /** The ids as they stand in encoded arguments. */
  readonly #ids: readonly Buffer[]

  constructor(rename: Rename, all: JournalTree) {
    this.#rename = rename
    this.#all = all
    this.#ids = [...all.keys()].map((id) => Buffer.from(id))
  }

  entries(entries: readonly Entry[]): readonly Entry[] {
    const renamed = entries.map((entry): Entry => {
      if (entry.kind === 'submitted') return this.#submitted(entry)
      if (entry.kind !== 'child' || entry.event === 'ended') return entry
      const child = this.#all.get(entry.flowRunId)
      if (child === undefined) return entry
      const { identity, inputs } = this.#submitted(rootEntryOf(child))
      // One whose journal is left out is found again by its identity alone.
      return { ...entry, identity: identity ?? hashArguments(inputs as readonly unknown[]) }
    })
    return renameRuns(renamed, this.#rename)
  }

  #submitted(entry: SubmittedEntry): SubmittedEntry {
    const { inputs, identity } = entry
    if (!(inputs instanceof Uint8Array)) {
      const args = inputs as readonly unknown[]
      const named = this.#named(args, 0) as readonly unknown[]
      return { ...entry, inputs: named, identity: this.#identity({ args, identity }) }
    }
    const bytes = Buffer.from(inputs.buffer, inputs.byteOffset, inputs.length)
    if (!this.#ids.some((id) => bytes.includes(id))) return entry
    const args = decodeNamed(inputs)
    const replace = replacing((id) => renamedRun(id, this.#rename))
    return {
      ...entry,
      inputs: encodeValue(args, { at: 'args', replace }),
      identity: this.#identity({ args, identity }),
    }
  }

  /** A value that lies in memory, with the new names of runs in place of futures. */
  #named(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null || depth > deepest) return value
    const id = idOf(value)
    if (id !== undefined) return new RunName(renamedRun(id, this.#rename))
    const inside = (item: unknown): unknown => this.#named(item, depth + 1)
    if (value instanceof AllowFailure) return new AllowFailure(inside(value.future))
    if (Array.isArray(value)) return value.map(inside)
    if (value instanceof Map) return new Map([...value].map(([key, item]) => [inside(key), inside(item)]))
    if (value instanceof Set) return new Set([...value].map(inside))
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inside(item)]))
  }

  /** The identity of the call with the new ids; the same where it does not depend on them, as that of a key. */
  #identity({ args, identity }: Call): string | undefined {
    const seen: string[] = []
    const asNow = hashed(args, (id) => (seen.push(id), id))
    if (seen.length === 0) return identity
    const now = identity ?? asNow
    for (const part of parts) {
      if (hashed(args, part) === now) return hashed(args, (id) => part(renamedRun(id, this.#rename)))
    }
    return identity
  }
}

/** What of an id may have gone into the identity of a call. */
const parts: readonly ((id: string) => string)[] = [(id) => id, (id) => id.slice(id.indexOf('.') + 1)]

function hashed(args: readonly unknown[], partOf: (id: string) => string): string {
  return canonicalHash(args, { replace: replacing(partOf) })
}

/** Futures are looked for this deep; see dependencies.ts. */
const deepest = 17

/** The run that stands in arguments. */
function idOf(leaf: object): string | undefined {
  return leaf instanceof RunName ? leaf.id : runOfFuture(leaf)?.id
}

/** Arguments with the names of the runs that stand in them. */
export function decodeNamed(inputs: Uint8Array): readonly unknown[] {
  return decodeValue(inputs, { revive }) as readonly unknown[]
}

function revive(tag: string, data: unknown): unknown {
  if (tag === 'run') return new RunName(data as string)
  return tag === 'allowFailure' ? new AllowFailure(data) : new Opaque(data)
}

/** As arguments are hashed and encoded, but for the ids. */
function replacing(
  partOf: (id: string) => string,
): (leaf: object) => { tag: string; data: unknown } | undefined {
  return (leaf) => {
    const id = idOf(leaf)
    if (id !== undefined) return { tag: 'run', data: partOf(id) }
    if (leaf instanceof AllowFailure) return { tag: 'allowFailure', data: leaf.future }
    if (leaf instanceof Opaque || leaf instanceof Moved) return { tag: 'opaque', data: leaf.value }
    return undefined
  }
}
