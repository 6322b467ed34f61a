import { createHash } from 'node:crypto'
import { Objm } from '@nats-io/obj'
import { JournalError, TroupeError } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes, isForbidden, troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { messagesFrom } from '../connection/messages.ts'
import { lastOf, messageOf, store } from '../connection/store.ts'
import { contentsOf, refuseLimits, unlimited, type Contents } from '../connection/streams.ts'
import { namesOf } from '../names.ts'

/** Bytes of a chunk at most; less where the server takes less. */
const chunkBytes = 512 * 1024
/** Room for the headers of a chunk. */
const headBytes = 4 * 1024

/** What the object store keeps of an object; the names are those of NATS. */
interface Meta {
  readonly name: string
  readonly bucket: string
  readonly nuid: string
  readonly size: number
  readonly chunks: number
  readonly digest: string
  readonly mtime: string
  readonly deleted: boolean
  readonly options: { readonly max_chunk_size: number }
  /** Stream sequence of the first chunk. */
  readonly metadata: { readonly first: string }
}

/**
 * Large values in an object store of NATS, so that its tools show them. Each belongs to a flow run, its scope, and goes with it;
 * the same value in two flow runs is kept twice.
 *
 * The client's own object store makes the bucket, and is not used to write and read: it gives up at the first answer that is lost,
 * reads through a consumer each, and waits for ever where chunks are missing.
 */
export class BlobStore {
  readonly #link: Link
  readonly #bucket: string
  readonly #stream: string
  #made: Promise<unknown> | undefined

  constructor(link: Link) {
    this.#link = link
    this.#bucket = namesOf(link.settings.namespace).blobs
    this.#stream = `OBJ_${this.#bucket}`
  }

  /**
   * Stores bytes; nothing where the scope has a value of this name.
   *
   * @param scope - A flow run.
   * @param name - 1 to 64 of `A`–`Z`, `a`–`z`, `0`–`9`, `_` and `-`; the hash of the value.
   * @param anew - Also where there is one: it may be about to be forgotten.
   * @throws JournalError `TRANSPORT_UNAVAILABLE`; `JOURNAL_UNAVAILABLE` where there is no room
   */
  async put(scope: string, name: string, bytes: Uint8Array, anew = false): Promise<void> {
    const connected = await this.#ready()
    if (!anew && (await this.#metaOf(connected, scope, name)) !== undefined) return
    // Of its own, so that two writers of one value do not write into each other's.
    const nuid = `${scope}.${name}.${connected.token()}`
    const size = Math.min(chunkBytes, connected.server.maxPayload - headBytes)
    let [first, last, chunks] = [0, 0, 0]
    for (let at = 0; at < bytes.byteLength; at += size) {
      const payload = bytes.subarray(at, at + size)
      const id = `${nuid}.${chunks++}`
      last = await this.#store(connected, { subject: `C.${nuid}`, payload, id, expected: last })
      if (first === 0) first = last
    }
    const meta: Meta = {
      name: `${scope}/${name}`,
      bucket: this.#bucket,
      nuid,
      size: bytes.byteLength,
      chunks,
      digest: digestOf(bytes),
      mtime: new Date(this.#link.host.clock.now()).toISOString(),
      deleted: false,
      options: { max_chunk_size: size },
      metadata: { first: String(first) },
    }
    const payload = new TextEncoder().encode(JSON.stringify(meta))
    const lines = 'Nats-Rollup: sub\r\n'
    await this.#store(connected, { subject: metaSubject(scope, name), payload, id: nuid, lines })
  }

  /**
   * The bytes of a name; undefined where there are none, or not all.
   *
   * @throws JournalError `TRANSPORT_UNAVAILABLE`
   */
  async get(scope: string, name: string): Promise<Uint8Array | undefined> {
    const connected = await this.#link.bulk()
    const meta = await this.#metaOf(connected, scope, name)
    if (meta === undefined) return undefined
    const subject = `$O.${this.#bucket}.C.${meta.nuid}`
    const parts: Uint8Array[] = []
    let [seq, length] = [Number(meta.metadata.first), 0]
    while (parts.length < meta.chunks) {
      const range = { subject, seq, count: meta.chunks - parts.length }
      const found = await messagesFrom(connected, this.#stream, range)
      if (found.length === 0) {
        // A replica may not have them yet; the leader has what there is.
        const message = await messageOf(connected, this.#stream, { seq, next_by_subj: subject })
        if (message === undefined) return undefined
        parts.push(new Uint8Array(message.data))
        seq = message.seq + 1
      }
      for (const chunk of found) {
        parts.push(new Uint8Array(chunk.data))
        seq = chunk.seq + 1
      }
    }
    for (const part of parts) length += part.byteLength
    const bytes = new Uint8Array(length)
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.byteLength
    }
    return digestOf(bytes) === meta.digest ? bytes : undefined
  }

  /** Forgets a value. */
  async delete(scope: string, name: string): Promise<void> {
    const connected = await this.#link.bulk()
    await this.#purge(connected, metaSubject(scope, name))
    await this.#purge(connected, `C.${scope}.${name}.>`)
  }

  /**
   * Looks at all values of a scope, also those that were not written to their end.
   *
   * @returns Forgets them, and nothing that is stored after the look
   */
  async clearing(scope: string): Promise<() => Promise<void>> {
    const connected = await this.#link.bulk()
    const { subjects, upTo } = await this.#contents(connected, `C.${scope}.>`)
    const names = new Set(subjects.map((subject) => subject.split('.')[4] ?? ''))
    return async () => {
      for (const name of names) await this.#purge(connected, metaSubject(scope, name), upTo + 1)
      if (names.size > 0) await this.#purge(connected, `C.${scope}.>`, upTo + 1)
    }
  }

  /** Values that there are, also those that were not written to their end: scope and name. */
  async list(): Promise<readonly (readonly [scope: string, name: string])[]> {
    const { subjects } = await this.#contents(await this.#link.bulk(), 'C.>')
    return subjects.map((subject) => {
      const [, , , scope = '', name = ''] = subject.split('.')
      return [scope, name] as const
    })
  }

  /** Only writers make the bucket. */
  async #ready(): Promise<Connected> {
    const connected = await this.#link.bulk()
    this.#made ??= this.#make(connected).catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    await this.#made
    return connected
  }

  async #make(connected: Connected): Promise<void> {
    const { storage, replicas } = this.#link.settings
    const what = `can't make the object store ${this.#bucket}`
    try {
      await connected.patiently(what, async () => {
        const options = { storage: storage as never, replicas: replicas ?? 1 }
        await new Objm(connected.js).create(this.#bucket, options)
        const { config } = await connected.jsm.streams.info(this.#stream)
        refuseLimits({ ...unlimited, name: this.#stream }, { ...config })
      })
    } catch (error) {
      // Who may not make it may use it.
      if (!isForbidden(error)) throw troubleWith(what, connected.where, error)
    }
  }

  async #metaOf(connected: Connected, scope: string, name: string): Promise<Meta | undefined> {
    const subject = `$O.${this.#bucket}.${metaSubject(scope, name)}`
    const message = await unlessGone(lastOf(connected, this.#stream, subject))
    if (message === undefined) return undefined
    const meta = JSON.parse(new TextDecoder().decode(message.data)) as Meta
    return meta.deleted ? undefined : meta
  }

  async #store(
    connected: Connected,
    message: { subject: string; payload: Uint8Array; id: string; expected?: number; lines?: string },
  ): Promise<number> {
    const subject = `$O.${this.#bucket}.${message.subject}`
    const stored = await store(connected, { ...message, stream: this.#stream, subject })
    if (stored.kind === 'stored') return stored.seq
    const why = stored.kind === 'full' ? stored.refusal.description : 'another writer was there'
    throw new JournalError(
      'JOURNAL_UNAVAILABLE',
      `the object store ${this.#bucket} took no large value: ${why}`,
      { details: { stream: this.#stream, reason: stored.kind === 'full' ? 'full' : 'busy' } },
    )
  }

  /** @param before - What has this sequence, or a later one, stays. */
  async #purge(connected: Connected, subject: string, before?: number): Promise<void> {
    const what = `can't delete from the object store ${this.#bucket}`
    const filter = `$O.${this.#bucket}.${subject}`
    const options = before === undefined ? { filter } : { filter, seq: before }
    try {
      await connected.patiently(what, () => connected.jsm.streams.purge(this.#stream, options))
    } catch (error) {
      if (codeOf(error) === codes.streamNotFound) return
      throw troubleWith(what, connected.where, error)
    }
  }

  #contents(connected: Connected, filter: string): Promise<Contents> {
    return contentsOf(connected, this.#stream, `$O.${this.#bucket}.${filter}`)
  }
}

/** Where nobody has written a large value, there is no bucket. */
async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (TroupeError.is(error, 'JOURNAL_UNAVAILABLE') && error.details['reason'] === 'stream-gone')
      return undefined
    throw error
  }
}

function metaSubject(scope: string, name: string): string {
  return `M.${urlSafe(Buffer.from(`${scope}/${name}`).toString('base64'))}`
}

function digestOf(bytes: Uint8Array): string {
  return `SHA-256=${urlSafe(createHash('sha256').update(bytes).digest('base64'))}`
}

/** With its padding, as NATS has it. */
function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_')
}
