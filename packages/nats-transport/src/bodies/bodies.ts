import { createHash } from 'node:crypto'
import { seal, unseal } from '@troupe/core/internal'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { Link } from '../connection/link.ts'

/** A body that is kept in the object store begins so, in place of itself; its name there follows. */
const mark = Buffer.from('troupe-blob:')
/** Room for headers and subjects beside a body, in what a server takes. */
const headBytes = 16 * 1_024
/** How long to wait before a read that failed is repeated: doubling from 50 ms to 5 s. */
const firstPauseMs = 50
const longestPauseMs = 5_000

/** What is known of where a body is. */
export interface Stored {
  readonly bytes: Uint8Array
  /** Its name in the object store; undefined where it is in the message itself. */
  readonly blob: string | undefined
}

/**
 * What messages carry, as it is sent: through the codecs of the transport, and in the object store where it is large. Each large
 * body belongs to one message, and goes with it; what is left of it goes with its flow run.
 */
export class Bodies {
  readonly #link: Link
  readonly #blobs: BlobStore

  constructor(link: Link, blobs: BlobStore) {
    this.#link = link
    this.#blobs = blobs
  }

  /** @param message - Names the message among all those of the flow run. */
  write(flowRunId: string, message: string, body: Uint8Array): Stored | Promise<Stored> {
    const { codecs, largeValue } = this.#link.settings
    const sealed = codecs.length === 0 ? body : seal([body], codecs)
    // Nearly all are far below: they wait for nothing.
    const isSmall = sealed.length < headBytes && sealed.length <= largeValue
    if (isSmall && !isMarked(sealed)) return { bytes: sealed, blob: undefined }
    return this.#writeLarge(flowRunId, message, sealed)
  }

  async #writeLarge(flowRunId: string, message: string, sealed: Uint8Array): Promise<Stored> {
    const { largeValue } = this.#link.settings
    const { server } = await this.#link.control()
    const most = Math.min(largeValue, server.maxPayload - headBytes)
    if (sealed.length <= most && !isMarked(sealed)) return { bytes: sealed, blob: undefined }
    const blob = `m-${createHash('sha256').update(message).digest('hex').slice(0, 40)}`
    await this.#blobs.put(flowRunId, blob, sealed)
    return { bytes: Buffer.concat([mark, Buffer.from(blob)]), blob }
  }

  /** The name under which a body is in the object store; undefined where the message has it. */
  blobOf(bytes: Uint8Array): string | undefined {
    return isMarked(bytes) ? Buffer.from(bytes.subarray(mark.length)).toString() : undefined
  }

  /** A body that the message has itself. @throws CodecError `DECRYPTION_FAILED`, `MALFORMED_PAYLOAD`, `UNSUPPORTED_FORMAT` */
  open(bytes: Uint8Array, what: string): Uint8Array {
    const { codecs } = this.#link.settings
    return codecs.length === 0 ? bytes : unseal(bytes, codecs, what).slice()
  }

  /**
   * A body, wherever it is.
   *
   * @returns Undefined where it is gone: then nobody waits for the message any more
   * @throws JournalError `TRANSPORT_UNAVAILABLE`; what `open` throws
   */
  async read(flowRunId: string, bytes: Uint8Array, what: string): Promise<Uint8Array | undefined> {
    const blob = this.blobOf(bytes)
    if (blob === undefined) return this.open(bytes, what)
    const stored = await this.#blobs.get(flowRunId, blob)
    return stored === undefined ? undefined : this.open(stored, what)
  }

  /** The message is done with; what can't be deleted now goes with the flow run. */
  forget(flowRunId: string, blob: string): void {
    this.#blobs.delete(flowRunId, blob).catch((error: unknown) => {
      if (!this.#link.closed) this.#link.host.report(error)
    })
  }

  get closed(): boolean {
    return this.#link.closed
  }

  /** Waits before another try: the longer the more tries there were. */
  async pause(tries: number): Promise<void> {
    const { clock, random } = this.#link.host
    const ms = Math.min(firstPauseMs * 2 ** tries, longestPauseMs) * (0.5 + random.number() / 2)
    await new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve))
  }

  /** Something went wrong that no caller hears of. */
  report(error: unknown): void {
    if (!this.#link.closed) this.#link.host.report(error)
  }
}

function isMarked(bytes: Uint8Array): boolean {
  return bytes.length >= mark.length && mark.equals(bytes.subarray(0, mark.length))
}
