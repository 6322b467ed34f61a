import { CodecError, type Mailbox, type MailMessage } from '@troupe/core'
import type { Bodies } from './bodies.ts'

/** Messages whose bodies are in the object store, as far as this node knows of them. */
const mostKnown = 10_000

/** A mailbox whose messages may be of any size, and pass through the codecs of the transport. */
export class BodiesMailbox implements Required<Mailbox> {
  readonly #mailbox: Required<Mailbox>
  readonly #bodies: Bodies
  readonly #known = new Map<string, string>()

  constructor(mailbox: Required<Mailbox>, bodies: Bodies) {
    this.#mailbox = mailbox
    this.#bodies = bodies
  }

  async send(message: MailMessage): Promise<void> {
    const { flowRunId, id } = message
    const writing = this.#bodies.write(flowRunId, `mail ${id}`, message.body)
    const { bytes } = writing instanceof Promise ? await writing : writing
    await this.#mailbox.send({ ...message, body: bytes })
  }

  async pending(flowRunId: string): Promise<readonly MailMessage[]> {
    const found: MailMessage[] = []
    for (const message of await this.#mailbox.pending(flowRunId)) {
      const read = await this.#readable(message)
      if (read !== undefined) found.push(read)
    }
    return found
  }

  subscribe(listener: (message: MailMessage) => void, owner?: string): () => void {
    // In their order, though one has to be fetched.
    let before: Promise<void> | undefined
    let isOver = false
    const tell = async (message: MailMessage, after: Promise<void> | undefined): Promise<void> => {
      await after
      try {
        const read = await this.#read(message)
        if (read !== undefined && !isOver) listener(read)
      } catch (error) {
        this.#bodies.report(error)
      }
    }
    const stop = this.#mailbox.subscribe((message) => {
      if (before === undefined && this.#bodies.blobOf(message.body) === undefined) {
        this.#tellNow(message, listener)
        return
      }
      const told = tell(message, before).finally(() => {
        if (before === told) before = undefined
      })
      before = told
    }, owner)
    return () => {
      isOver = true
      stop()
    }
  }

  #tellNow(message: MailMessage, listener: (message: MailMessage) => void): void {
    let body: Uint8Array
    try {
      body = this.#bodies.open(message.body, `message ${message.id}`)
    } catch (error) {
      this.#bodies.report(error)
      return
    }
    listener(body === message.body ? message : { ...message, body })
  }

  /** One that nobody here can open does not keep the others from being read. */
  async #readable(message: MailMessage): Promise<MailMessage | undefined> {
    try {
      return await this.#read(message)
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      this.#bodies.report(error)
      return undefined
    }
  }

  /** @returns Undefined where nobody waits for it any more */
  async #read(message: MailMessage): Promise<MailMessage | undefined> {
    const { flowRunId, id } = message
    const blob = this.#bodies.blobOf(message.body)
    if (blob !== undefined) this.#know(flowRunId, id, blob)
    const body = await this.#bodies.read(flowRunId, message.body, `message ${id}`)
    return body === undefined ? undefined : { ...message, body }
  }

  #know(flowRunId: string, id: string, blob: string): void {
    this.#known.set(`${flowRunId} ${id}`, blob)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostKnown) break
      this.#known.delete(oldest)
    }
  }

  async confirm(flowRunId: string, id: string): Promise<void> {
    await this.#mailbox.confirm(flowRunId, id)
    const blob = this.#known.get(`${flowRunId} ${id}`)
    if (blob === undefined) return
    this.#known.delete(`${flowRunId} ${id}`)
    this.#bodies.forget(flowRunId, blob)
  }

  async clear(flowRunId: string): Promise<void> {
    await this.#mailbox.clear(flowRunId)
    for (const [key, blob] of this.#known) {
      if (!key.startsWith(`${flowRunId} `)) continue
      this.#known.delete(key)
      this.#bodies.forget(flowRunId, blob)
    }
  }

  addressees(limit: number): Promise<readonly string[]> {
    return this.#mailbox.addressees(limit)
  }
}
