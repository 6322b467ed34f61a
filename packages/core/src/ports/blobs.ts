import { createHash } from 'node:crypto'

/**
 * Large values, kept under the hash of their content, so that writing one twice is harmless.
 *
 * Every adapter is held to `blobsConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface Blobs {
  /** Stores bytes. @returns Their name: SHA-256 as 64 hex characters. */
  put(bytes: Uint8Array): Promise<string>
  /** The bytes, or undefined where there are none of that name. A copy of the caller's own. */
  get(name: string): Promise<Uint8Array | undefined>
  /** Forgets the bytes; nothing where there are none. */
  delete(name: string): Promise<void>
}

/** Blobs in this process's memory. @public */
export function memoryBlobs(): Blobs {
  const kept = new Map<string, Uint8Array>()
  return {
    async put(bytes) {
      const name = createHash('sha256').update(bytes).digest('hex')
      if (!kept.has(name)) kept.set(name, bytes.slice())
      return name
    },
    get: async (name) => kept.get(name)?.slice(),
    delete: async (name) => void kept.delete(name),
  }
}
