import { hash } from 'node:crypto'
import type { MsgHdrs } from '@nats-io/transport-node'
import { CodecError, JournalError, TroupeError, type Append } from '@troupe/core'
import { packEntries, unpackEntries, type PackedEntries } from '@troupe/core/internal'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { Settings } from '../options.ts'
import { blobsOf, bodyOf, linesOf, namesOf, placeOf, type CarriedSummary, type RecordHead } from './wire.ts'

export type Entry = Append['entries'][number]

/** A record as it is sent. */
export interface RecordToSend {
  readonly payload: Uint8Array
  readonly lines: string
  /** Names of its large values, in the order in which they were stored. */
  readonly blobs: readonly string[]
}

/** A record as it comes from the stream. */
export interface RecordRead {
  readonly flowRunId: string
  readonly seq: number
  readonly headers: MsgHdrs
  readonly data: Uint8Array
}

/** What of the headers is known before anything is stored. */
type Head = Pick<RecordHead, 'first' | 'count' | 'epoch' | 'summary'>

/** How a record is to be made. */
interface Writing {
  readonly maxPayload: number
  /** Whether large values are stored also where there are such: those may be about to be forgotten. */
  readonly anew: boolean
}

const none: ReadonlyMap<string, Uint8Array> = new Map()

/** Headers that the store adds, and the protocol's own, at most. */
const protocolBytes = 512
/** What a server takes of headers, whatever its `max_payload` is. */
const mostHeaderBytes = 65_535
/** By how much headers may grow while a flow run lives: what its first record fits into, the later ones do, too. */
const growthBytes = 2_048
/** More names of large values than this are beside the record. */
const mostNamesBytes = 16_384

/** Makes records of entries, and entries of records; what does not fit into a message is beside it, in the object store. */
export class Records {
  readonly #settings: Settings
  readonly #blobs: BlobStore

  constructor(settings: Settings, blobs: BlobStore) {
    this.#settings = settings
    this.#blobs = blobs
  }

  /**
   * Makes a record: at once, or when what belongs beside it is stored.
   *
   * @throws JournalError `TRANSPORT_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`; CodecError `PAYLOAD_TOO_LARGE` where not even the headers
   *   fit into a message
   */
  write(
    { flowRunId, expected, epoch, entries }: Append,
    summary: CarriedSummary | undefined,
    { maxPayload, anew }: Writing,
  ): RecordToSend | Promise<RecordToSend> {
    const { codecs, largeValue } = this.#settings
    const { bytes, blobs } = packEntries(entries, { codecs, largeValue })
    const head = { first: expected + 1, count: entries.length, epoch, summary }
    const lines = linesOf({ ...head, blobs: [], body: undefined })
    const room = Math.min(maxPayload, mostHeaderBytes) - protocolBytes
    const limit = room - (expected === 0 ? growthBytes : 0)
    if (lines.length > limit) throw tooLarge(flowRunId, lines.length, limit)
    if (blobs.length === 0 && bytes.byteLength + lines.length + protocolBytes <= maxPayload)
      return { payload: bytes, lines, blobs: [] }
    return this.#writeBeside(
      { flowRunId, head, maxPayload, anew },
      { bytes, blobs, bare: lines.length, room },
    )
  }

  async #writeBeside(
    record: Writing & { readonly flowRunId: string; readonly head: Head },
    { bytes, blobs, bare, room }: PackedEntries & { readonly bare: number; readonly room: number },
  ): Promise<RecordToSend> {
    const { flowRunId, head, maxPayload, anew } = record
    const listed = blobs.map(({ name }) => name)
    for (const { name, bytes: value } of blobs) await this.#blobs.put(flowRunId, name, value, anew)
    const list = listed.join()
    const isLong = list.length > mostNamesBytes || bare + list.length > room
    const names = isLong ? await this.#putBeside(record, 'names', Buffer.from(list)) : undefined
    const own = names === undefined ? listed : [...listed, names]
    const lines = linesOf({ ...head, blobs: listed, body: undefined, names })
    if (bytes.byteLength + lines.length + protocolBytes <= maxPayload)
      return { payload: bytes, lines, blobs: own }
    const body = await this.#putBeside(record, 'record', bytes)
    return {
      payload: new Uint8Array(0),
      lines: linesOf({ ...head, blobs: listed, body, names }),
      blobs: [...own, body],
    }
  }

  /** Unlike values, parts of records have no names of their own; at a position there is only one that counts. */
  async #putBeside(
    { flowRunId, head, anew }: Writing & { readonly flowRunId: string; readonly head: Head },
    kind: string,
    bytes: Uint8Array,
  ): Promise<string> {
    const name = `${kind}-${head.first}-${head.epoch}-${hash('sha256', bytes).slice(0, 32)}`
    await this.#blobs.put(flowRunId, name, bytes, anew)
    return name
  }

  /**
   * The entries of a record.
   *
   * @throws JournalError `JOURNAL_DAMAGED`; CodecError `UNSUPPORTED_FORMAT`, `DECRYPTION_FAILED`
   */
  async read({ flowRunId, headers, data }: RecordRead): Promise<Entry[]> {
    const what = `the journal of ${flowRunId}`
    const { first, count } = placeOf(headers, what)
    const names = await this.#namesOf(flowRunId, first, headers)
    const body = bodyOf(headers)
    // The client's bytes are a view of all that came with them, and entries keep views of theirs.
    if (names.length === 0 && body === undefined)
      return this.#unpack(new Uint8Array(data), { flowRunId, first, count, values: none })
    const bytes = body === undefined ? new Uint8Array(data) : await this.#blobs.get(flowRunId, body)
    if (bytes === undefined) throw damaged(flowRunId, first, `its large record ${body} is missing`)
    const values = new Map<string, Uint8Array>()
    for (const name of names) {
      const value = await this.#blobs.get(flowRunId, name)
      if (value !== undefined) values.set(name, value)
    }
    return this.#unpack(bytes, { flowRunId, first, count, values })
  }

  /** The entries of a record, with nothing in place of large values. @throws as {@link read} */
  async readWithoutValues({ flowRunId, headers, data }: RecordRead): Promise<Entry[]> {
    const { first, count } = placeOf(headers, `the journal of ${flowRunId}`)
    const body = bodyOf(headers)
    const bytes = body === undefined ? data : await this.#blobs.get(flowRunId, body)
    if (bytes === undefined) throw damaged(flowRunId, first, `its large record ${body} is missing`)
    return this.#unpack(bytes, { flowRunId, first, count, values: undefined })
  }

  /** Names of the large values of a record. */
  async #namesOf(flowRunId: string, first: number, headers: MsgHdrs): Promise<readonly string[]> {
    const names = namesOf(headers)
    if (names === undefined) return blobsOf(headers)
    const list = await this.#blobs.get(flowRunId, names)
    if (list === undefined)
      throw damaged(flowRunId, first, `the list of its large values ${names} is missing`)
    return Buffer.from(list).toString().split(',')
  }

  /** The entries of a record that has nothing beside it; undefined for one that has. */
  readNow({ flowRunId, headers, data }: RecordRead): Entry[] | undefined {
    const { first, count } = placeOf(headers, `the journal of ${flowRunId}`)
    if (['Tr-Blobs', 'Tr-Names', 'Tr-Body'].some((name) => headers.has(name))) return undefined
    return this.#unpack(new Uint8Array(data), { flowRunId, first, count, values: none })
  }

  #unpack(
    bytes: Uint8Array,
    record: {
      readonly flowRunId: string
      readonly first: number
      readonly count: number
      /** Large values; undefined where they are not asked for. */
      readonly values: ReadonlyMap<string, Uint8Array> | undefined
    },
  ): Entry[] {
    const { flowRunId, first, count, values } = record
    const { codecs } = this.#settings
    let entries: Entry[]
    try {
      const blob = values === undefined ? undefined : { blob: (name: string) => values.get(name) }
      entries = unpackEntries(bytes, { codecs, ...blob })
    } catch (error) {
      if (TroupeError.is(error, 'MALFORMED_PAYLOAD')) throw damaged(flowRunId, first, error.message, error)
      throw error
    }
    if (entries.length === count) return entries
    throw damaged(flowRunId, first, `it has ${entries.length} entries and says ${count}`)
  }
}

function tooLarge(flowRunId: string, size: number, limit: number): CodecError {
  return new CodecError(
    'PAYLOAD_TOO_LARGE',
    `the name, the tags and the run name of flow run ${flowRunId} take ${size} bytes in a message, which has room for ${limit}; make them shorter`,
    { details: { flowRunId, size, limit } },
  )
}

function damaged(flowRunId: string, position: number, why: string, cause?: unknown): JournalError {
  return new JournalError(
    'JOURNAL_DAMAGED',
    `the journal of flow run ${flowRunId} is damaged: entry ${position} can't be read: ${why}`,
    { cause, details: { flowRunId, position, reason: 'record' } },
  )
}
