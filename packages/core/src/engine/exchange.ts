/** Entries of engines that keep values by reference, for engines that encode them, and the other way round. */
import type { Entry, Outcome } from '../journal/entries.ts'
import { decodeNamed } from './call-identities.ts'
import { encodeArguments } from './identity.ts'
import { rootEntryOf, type JournalTree } from './journal-tree.ts'
import { byReference, encoded, type ValueStore } from './value-store.ts'

/** Whether the values of a journal are encoded. */
function isEncoded(entries: readonly Entry[]): boolean {
  return rootEntryOf(entries).inputs instanceof Uint8Array
}

/**
 * The journals with their values as `store` holds them. Their calls must have identities.
 *
 * @throws CodecError `NOT_ENCODABLE`: something is kept by reference that can't be encoded; `MALFORMED_PAYLOAD`
 */
export function exchanged(tree: JournalTree, store: ValueStore): JournalTree {
  return new Map([...tree].map(([id, entries]) => [id, exchangeAll(entries, store)]))
}

function exchangeAll(entries: readonly Entry[], store: ValueStore): readonly Entry[] {
  if (isEncoded(entries) === store.encodes) return entries
  return entries.map((entry) => exchange(entry, store))
}

function exchange(entry: Entry, store: ValueStore): Entry {
  switch (entry.kind) {
    case 'submitted': {
      const inputs = store.encodes
        ? encodeArguments(entry.inputs as readonly unknown[])
        : decodeNamed(entry.inputs as Uint8Array)
      return { ...entry, inputs }
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
    case 'child':
    case 'draw':
    case 'wait':
    case 'woken':
    case 'offered':
    case 'note':
      return entry
  }
}

function exchangeOutcome(outcome: Outcome, store: ValueStore): Outcome {
  if ('value' in outcome) return { value: store.save(from(store).load(outcome.value), 'result') }
  return { failure: store.saveError(from(store).loadError(outcome.failure)) }
}

/** The store that the values come from. */
function from(store: ValueStore): ValueStore {
  return store.encodes ? byReference : encoded
}
