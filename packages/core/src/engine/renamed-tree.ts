import { derivedId } from '../base/ids.ts'
import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import { renamedRun, renameRuns, type Rename } from '../journal/rename.ts'
import { AllowFailure } from '../runs/markers.ts'
import { encodeValue } from '../values/codec.ts'
import { decodeNamed, hashNamed, idOf, replacing } from './call-identities.ts'
import { RunName } from './handles.ts'
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
      if (entry.kind !== 'child' || entry.identity === undefined) return entry
      const child = this.#all.get(entry.flowRunId)
      if (child === undefined) return entry
      return {
        ...entry,
        identity: this.#submitted({ ...rootEntryOf(child), identity: entry.identity }).identity,
      }
    })
    return renameRuns(renamed, this.#rename)
  }

  #submitted(entry: SubmittedEntry): SubmittedEntry {
    const { inputs, identity } = entry
    if (!(inputs instanceof Uint8Array)) {
      const args = inputs as readonly unknown[]
      return { ...entry, inputs: this.#named(args, 0), identity: this.#identity(args, identity) }
    }
    const bytes = Buffer.from(inputs.buffer, inputs.byteOffset, inputs.length)
    if (!this.#ids.some((id) => bytes.includes(id))) return entry
    const args = decodeNamed(inputs)
    const replace = replacing((id) => renamedRun(id, this.#rename))
    return {
      ...entry,
      inputs: encodeValue(args, { at: 'args', replace }),
      identity: this.#identity(args, identity),
    }
  }

  /** The identity of the call with the new ids; the same where it does not depend on them, as that of a key. */
  #identity(args: readonly unknown[], identity: string | undefined): string | undefined {
    if (identity === undefined || hashNamed(args, (id) => id) !== identity) return identity
    return hashNamed(args, (id) => renamedRun(id, this.#rename))
  }

  /** A value that lies in memory, with the new names of runs in place of futures. */
  #named(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null || depth > deepest) return value
    const id = idOf(value)
    if (id !== undefined) return new RunName(renamedRun(id, this.#rename))
    if (value instanceof AllowFailure) return new AllowFailure(this.#named(value.future, depth))
    let found = false
    const inside = (item: unknown): unknown => {
      const named = this.#named(item, depth + 1)
      found ||= named !== item
      return named
    }
    const copy = copyOf(value, inside)
    return found ? copy : value
  }
}

/** A container with what `inside` gives for its items; anything else as it is. */
function copyOf(value: object, inside: (item: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(inside)
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [inside(key), inside(item)]))
  if (value instanceof Set) return new Set([...value].map(inside))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inside(item)]))
}

/** Futures are looked for this deep; see dependencies.ts. */
const deepest = 17
