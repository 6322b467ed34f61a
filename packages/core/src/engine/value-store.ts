import { toError, toFailure } from '../values/failure.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import type { StoredValue } from '../journal/entries.ts'

/**
 * How values go into a journal and come out again: by reference in memory, encoded where the journal leaves this
 * process or the engine is strict.
 */
export interface ValueStore {
  readonly encodes: boolean
  /** @throws CodecError `NOT_ENCODABLE`, with the path below `at`. */
  save(value: unknown, at: string): StoredValue
  load(stored: StoredValue): unknown
  saveError(error: unknown): StoredValue
  loadError(stored: StoredValue): unknown
}

export const byReference: ValueStore = {
  encodes: false,
  save: (value) => value,
  load: (stored) => stored,
  saveError: (error) => error,
  loadError: (stored) => stored,
}

export const encoded: ValueStore = {
  encodes: true,
  save: (value, at) => encodeValue(value, { at }),
  load: (stored) => decodeValue(stored as Uint8Array),
  saveError: toFailure,
  loadError: (stored) => toError(stored as ReturnType<typeof toFailure>),
}
