import { UsageError } from '../base/errors.ts'

/** A result that later calls may take in place of running their body. @public */
export interface CacheEntry {
  /** The value in Troupe's encoding. */
  readonly value: Uint8Array
  /** The run that made it. */
  readonly runId: string
  /** Wall time from which on it does not count; undefined for never. */
  readonly expires: number | undefined
}

/**
 * Results of task runs by cache key. What is lost from it is computed again: an entry may go at any time.
 *
 * @public
 */
export interface Cache {
  /** The entry of a key, also one that has expired; undefined where there is none. */
  get(key: string): Promise<CacheEntry | undefined>
  /** Stores an entry, in place of the one that is there. */
  put(key: string, entry: CacheEntry): Promise<void>
  /** Forgets an entry; does nothing where there is none. */
  delete(key: string): Promise<void>
}

/** @public */
export interface MemoryCacheOptions {
  /** How many entries are kept; the one that was not used for longest goes first. Default 10,000. */
  readonly keep?: number
}

/**
 * A cache in this process; several engines may share it.
 *
 * @throws {@link UsageError} `INVALID_OPTION`
 * @public
 */
export function memoryCache({ keep = 10_000 }: MemoryCacheOptions = {}): Cache {
  if (!Number.isInteger(keep) || keep < 1) {
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`keep\` to be an integer of at least 1, got ${String(keep)}`,
      { details: { option: 'keep' } },
    )
  }
  // A map keeps the order of insertion: what is used goes to its end.
  const entries = new Map<string, CacheEntry>()
  const copy = (entry: CacheEntry): CacheEntry => ({ ...entry, value: entry.value.slice() })
  return {
    async get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      entries.set(key, entry)
      return copy(entry)
    },
    async put(key, entry) {
      entries.delete(key)
      entries.set(key, copy(entry))
      if (entries.size <= keep) return
      for (const oldest of entries.keys()) {
        entries.delete(oldest)
        return
      }
    },
    async delete(key) {
      entries.delete(key)
    },
  }
}
