import { hash } from 'node:crypto'
import type { MsgHdrs } from '@nats-io/transport-node'
import { JournalError, TroupeError, type Append } from '@troupe/core'
import { packEntries, unpackEntries } from '@troupe/core/internal'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { Settings } from '../options.ts'
import { blobsOf, bodyOf, linesOf, placeOf, type CarriedSummary } from './wire.ts'

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

const none: ReadonlyMap<string, Uint8Array> = new Map()

/** Headers that the store adds, and the protocol's own, at most. */
const protocolBytes = 512

/** Makes records of entries, and entries of records; what does not fit into a message is beside it, in the object store. */
export class Records {
  readonly #settings: Settings
  readonly #blobs: BlobStore

  constructor(settings: Settings, blobs: BlobStore) {
    this.#settings = settings
    this.#blobs = blobs
  }

  /**
   * Makes a record, and stores what belongs beside it.
   *
   * @throws JournalError `TRANSPORT_UNAVAILABLE`, `JOURNAL_UNAVAILABLE`
   */
  async write(
    { flowRunId, expected, epoch, entries }: Append,
    summary: CarriedSummary | undefined,
    maxPayload: number,
  ): Promise<RecordToSend> {
    const { codecs, largeValue } = this.#settings
    const { bytes, blobs } = packEntries(entries, { codecs, largeValue })
    const head = { first: expected + 1, count: entries.length, epoch, summary }
    const names = blobs.map(({ name }) => name)
    for (const { name, bytes: value } of blobs) await this.#blobs.put(flowRunId, name, value)
    const lines = linesOf({ ...head, blobs: names, body: undefined })
    if (bytes.byteLength + lines.length + protocolBytes <= maxPayload)
      return { payload: bytes, lines, blobs: names }
    // Unlike values, records have no names of their own; at a position there is only one that counts.
    const body = `record-${head.first}-${epoch}-${hash('sha256', bytes).slice(0, 32)}`
    await this.#blobs.put(flowRunId, body, bytes)
    return {
      payload: new Uint8Array(0),
      lines: linesOf({ ...head, blobs: names, body }),
      blobs: [...names, body],
    }
  }

  /**
   * The entries of a record.
   *
   * @throws JournalError `JOURNAL_DAMAGED`; CodecError `UNSUPPORTED_FORMAT`, `DECRYPTION_FAILED`
   */
  async read({ flowRunId, headers, data }: RecordRead): Promise<Entry[]> {
    const what = `the journal of ${flowRunId}`
    const { first, count } = placeOf(headers, what)
    const names = blobsOf(headers)
    const body = bodyOf(headers)
    // The client's bytes are a view of all that came with them, and entries keep views of theirs.
    if (names.length === 0 && body === undefined)
      return this.#unpack(data.slice(), { flowRunId, first, count, values: none })
    const bytes = body === undefined ? data.slice() : await this.#blobs.get(flowRunId, body)
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

  /** The entries of a record that has nothing beside it; undefined for one that has. */
  readNow({ flowRunId, headers, data }: RecordRead): Entry[] | undefined {
    const { first, count } = placeOf(headers, `the journal of ${flowRunId}`)
    if (headers.has('Tr-Blobs') || headers.has('Tr-Body')) return undefined
    return this.#unpack(data.slice(), { flowRunId, first, count, values: none })
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

function damaged(flowRunId: string, position: number, why: string, cause?: unknown): JournalError {
  return new JournalError(
    'JOURNAL_DAMAGED',
    `the journal of flow run ${flowRunId} is damaged: entry ${position} can't be read: ${why}`,
    { cause, details: { flowRunId, position, reason: 'record' } },
  )
}
