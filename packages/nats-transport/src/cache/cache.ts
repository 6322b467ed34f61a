import { hash } from 'node:crypto'
import { JournalError, type Cache, type CacheEntry } from '@troupe/core'
import { seal, unseal } from '@troupe/core/internal'
import type { BlobStore } from '../blobs/blob-store.ts'
import { ensureBucket, keyOf, tokenOf } from '../connection/bucket.ts'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes, troubleWith } from '../connection/errors.ts'
import { asciiOf } from '../connection/headers.ts'
import type { Link } from '../connection/link.ts'
import { scan } from '../connection/messages.ts'
import { lastOf, store } from '../connection/store.ts'
import { namesOf, type Bucket } from '../names.ts'

/** Where large results are in the object store; no flow run is called so. */
export const cacheScope = '_cache'

/** What is beside a result, in the header `Tr-Entry`. */
interface EntryOnWire {
  readonly run: string
  readonly expires?: number
  /** Name of the large value that the result is, which is then not in the message. */
  readonly blob?: string
}

/** Room for headers. */
const headBytes = 4_096

/** A cache in a key-value bucket; large results are in the object store. */
export class NatsCache implements Cache {
  readonly #link: Link
  readonly #blobs: BlobStore
  readonly #bucket: Bucket
  readonly #token: string
  #made: Promise<void> | undefined
  #written = 0

  constructor(link: Link, blobs: BlobStore) {
    this.#link = link
    this.#blobs = blobs
    this.#bucket = namesOf(link.settings.namespace).cache
    this.#token = Array.from({ length: 2 }, () => link.host.random.uint32().toString(36)).join('')
  }

  async get(key: string): Promise<CacheEntry | undefined> {
    const connected = await this.#ready()
    // An entry whose large value is gone was just put anew, or is as good as none.
    for (let tries = 0; tries < 3; tries++) {
      const last = await lastOf(connected, this.#bucket.stream, this.#subjectOf(key))
      const about = last === undefined ? undefined : entryIn(last.header.get('Tr-Entry'))
      if (last === undefined || about === undefined) return undefined
      const stored = about.blob === undefined ? last.data : await this.#blobs.get(cacheScope, about.blob)
      if (stored === undefined) continue
      const value = unseal(stored, this.#link.settings.codecs, `the cached result ${key}`).slice()
      return { value, runId: about.run, expires: about.expires }
    }
    return undefined
  }

  async put(key: string, { value, runId: run, expires }: CacheEntry): Promise<void> {
    this.#link.assertWrites('to cache a result')
    const { codecs, largeValue } = this.#link.settings
    const sealed = seal([value], codecs)
    const connected = await this.#ready()
    const before = await this.#blobOf(connected, key)
    const isLarge = sealed.byteLength > Math.min(largeValue, connected.server.maxPayload - headBytes)
    const blob = isLarge ? `${hash('sha256', key).slice(0, 32)}-${connected.token()}` : undefined
    if (blob !== undefined) await this.#blobs.put(cacheScope, blob, sealed)
    const about: EntryOnWire = {
      run,
      ...(expires === undefined ? undefined : { expires }),
      ...(blob === undefined ? undefined : { blob }),
    }
    await this.#store(connected, key, {
      payload: blob === undefined ? sealed : new Uint8Array(0),
      lines: `Tr-Entry: ${asciiOf(about)}\r\n`,
    })
    if (before !== undefined) await this.#blobs.delete(cacheScope, before)
  }

  async delete(key: string): Promise<void> {
    this.#link.assertWrites('to forget a cached result')
    const connected = await this.#ready()
    const blob = await this.#blobOf(connected, key)
    await this.#purge(connected, this.#subjectOf(key))
    if (blob !== undefined) await this.#blobs.delete(cacheScope, blob)
  }

  /** Forgets what expired before a wall time. @returns Names of large values that entries have */
  async expire(now: number): Promise<ReadonlySet<string>> {
    const connected = await this.#ready()
    const { stream, subject } = this.#bucket
    const blobs = new Set<string>()
    const expired: { readonly key: string; readonly seq: number }[] = []
    await scan(connected, stream, {
      subject: `${subject}>`,
      seq: undefined,
      headersOnly: true,
      tell: ({ headers, subject: of, seq }) => {
        const about = entryIn(headers.get('Tr-Entry'))
        if (about?.expires !== undefined && about.expires < now)
          expired.push({ key: keyOf(of.slice(subject.length)), seq })
        else if (about?.blob !== undefined) blobs.add(about.blob)
      },
    })
    // Up to the one that was seen: what was put since then stays. The large values are those of no entry now.
    for (const { key, seq } of expired) await this.#purge(connected, this.#subjectOf(key), seq + 1)
    return blobs
  }

  async #ready(): Promise<Connected> {
    const connected = await this.#link.control()
    this.#made ??= ensureBucket(connected, this.#bucket, this.#link.settings).catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    await this.#made
    return connected
  }

  async #blobOf(connected: Connected, key: string): Promise<string | undefined> {
    const last = await lastOf(connected, this.#bucket.stream, this.#subjectOf(key))
    return last === undefined ? undefined : entryIn(last.header.get('Tr-Entry'))?.blob
  }

  async #store(
    connected: Connected,
    key: string,
    message: { readonly payload: Uint8Array; readonly lines: string },
  ): Promise<void> {
    const { stream, bucket } = this.#bucket
    const id = `${this.#token}.${(++this.#written).toString(36)}`
    const stored = await store(connected, { ...message, stream, subject: this.#subjectOf(key), id })
    if (stored.kind === 'stored') return
    const why = stored.kind === 'full' ? stored.refusal.description : 'another writer was there'
    throw new JournalError('JOURNAL_UNAVAILABLE', `the cache ${bucket} takes nothing: ${why}`, {
      details: { stream, reason: 'full' },
    })
  }

  async #purge(connected: Connected, filter: string, seq?: number): Promise<void> {
    const what = `can't forget a result of the cache ${this.#bucket.bucket}`
    const options = seq === undefined ? { filter } : { filter, seq }
    try {
      await connected.patiently(what, () => connected.jsm.streams.purge(this.#bucket.stream, options))
    } catch (error) {
      if (codeOf(error) === codes.streamNotFound) return
      throw troubleWith(what, connected.where, error)
    }
  }

  #subjectOf(key: string): string {
    return this.#bucket.subject + tokenOf(key)
  }
}

/** Undefined for what is left of an entry that was deleted by a tool. */
function entryIn(text: string): EntryOnWire | undefined {
  return text === '' ? undefined : (JSON.parse(text) as EntryOnWire)
}
