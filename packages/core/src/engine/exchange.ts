/** Entries of engines that keep values by reference, for engines that encode them, and the other way round. */
import type { Entry, Outcome } from '../journal/entries.ts'
import { encodeArguments, hashArguments } from './identity.ts'
import { rootEntryOf, type JournalTree } from './journal-tree.ts'
import { decodeNamed } from './renamed-tree.ts'
import { byReference, encoded, type ValueStore } from './value-store.ts'

/** Whether the values of a journal are encoded. */
export function isEncoded(entries: readonly Entry[]): boolean {
  return rootEntryOf(entries).inputs instanceof Uint8Array
}

/**
 * The journals with their values as `store` holds them. The calls of an engine that did not need their identities get them,
 * for they can't be computed again.
 *
 * @throws CodecError `NOT_ENCODABLE`: something is kept by reference that can't be encoded; `MALFORMED_PAYLOAD`
 */
export function exchanged(tree: JournalTree, store: ValueStore): JournalTree {
  return new Map([...tree].map(([id, entries]) => [id, exchangeAll(entries, tree, store)]))
}

function exchangeAll(entries: readonly Entry[], tree: JournalTree, store: ValueStore): readonly Entry[] {
  if (isEncoded(entries) === store.encodes) return entries
  return entries.map((entry) => exchange(entry, tree, store))
}

function exchange(entry: Entry, tree: JournalTree, store: ValueStore): Entry {
  switch (entry.kind) {
    case 'submitted': {
      const { inputs } = entry
      if (!store.encodes) return { ...entry, inputs: decodeNamed(inputs as Uint8Array) }
      const args = inputs as readonly unknown[]
      const identity = entry.identity ?? (isCalled(entry) ? hashArguments(args) : undefined)
      return { ...entry, identity, inputs: encodeArguments(args) }
    }
    case 'child': {
      const child = tree.get(entry.flowRunId)
      if (!store.encodes || entry.identity !== undefined || child === undefined) return entry
      return { ...entry, identity: hashArguments(rootEntryOf(child).inputs as readonly unknown[]) }
    }
    case 'transition':
      if (entry.outcome === undefined) return entry
      return { ...entry, outcome: exchangeOutcome(entry.outcome, store) }
    case 'message': {
      const payload = from(store).load(entry.payload)
      return { ...entry, payload: store.save(payload, 'payload') }
    }
    case 'claimed':
    case 'adopted':
    case 'draw':
    case 'wait':
    case 'woken':
    case 'note':
      return entry
  }
}

function exchangeOutcome(outcome: Outcome, store: ValueStore): Outcome {
  if ('value' in outcome) return { value: store.save(from(store).load(outcome.value), 'result') }
  return { failure: store.saveError(from(store).loadError(outcome.failure)) }
}

/** Whether a body made the call. */
function isCalled({ parent, parentRunId }: { parent: number; parentRunId?: string }): boolean {
  return parent !== -1 || parentRunId !== undefined
}

/** The store that the values come from. */
function from(store: ValueStore): ValueStore {
  return store.encodes ? byReference : encoded
}
