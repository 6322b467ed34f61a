import { CodecError, type Mailbox, type MailMessage } from '@troupe/core'
import { isForbidden } from '../connection/errors.ts'
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
    const telling = new Telling(this.#bodies, (message) => this.#read(message), listener)
    const stop = this.#mailbox.subscribe((message) => telling.tell(message), owner)
    return () => {
      telling.isOver = true
      stop()
    }
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

  addressees(limit: number, after?: string): Promise<readonly string[]> {
    return this.#mailbox.addressees(limit, after)
  }
}

/** Tells a listener of messages in their order, though some have to be fetched. */
class Telling {
  isOver = false
  readonly #bodies: Bodies
  readonly #read: (message: MailMessage) => Promise<MailMessage | undefined>
  readonly #listener: (message: MailMessage) => void
  #before: Promise<void> | undefined
  /** Flow runs of which a message could not be fetched: what came for them later waits behind it. */
  readonly #late = new Map<string, Promise<void>>()

  constructor(
    bodies: Bodies,
    read: (message: MailMessage) => Promise<MailMessage | undefined>,
    listener: (message: MailMessage) => void,
  ) {
    this.#bodies = bodies
    this.#read = read
    this.#listener = listener
  }

  tell(message: MailMessage): void {
    const isFirst = this.#before === undefined && !this.#late.has(message.flowRunId)
    if (isFirst && this.#bodies.blobOf(message.body) === undefined) {
      this.#tellNow(message)
      return
    }
    const told = this.#tellAfter(message, this.#before).finally(() => {
      if (this.#before === told) this.#before = undefined
    })
    this.#before = told
  }

  #tellNow(message: MailMessage): void {
    let body: Uint8Array
    try {
      body = this.#bodies.open(message.body, `message ${message.id}`)
    } catch (error) {
      this.#bodies.report(error)
      return
    }
    this.#listener(body === message.body ? message : { ...message, body })
  }

  async #tellAfter(message: MailMessage, before: Promise<void> | undefined): Promise<void> {
    await before
    const { flowRunId } = message
    const behind = this.#late.get(flowRunId)
    if (behind === undefined && (await this.#isRead(message))) return
    // What is for others does not wait for it.
    const told = this.#tellLate(message, behind).finally(() => {
      if (this.#late.get(flowRunId) === told) this.#late.delete(flowRunId)
    })
    this.#late.set(flowRunId, told)
  }

  /** A message comes once: one that can't be fetched for now is fetched later. */
  async #tellLate(message: MailMessage, before: Promise<void> | undefined): Promise<void> {
    await before
    for (let tries = 0; ; tries++) {
      await this.#bodies.pause(tries)
      if (this.isOver || this.#bodies.closed || (await this.#isRead(message))) return
    }
  }

  /** @returns False where it may be read another time */
  async #isRead(message: MailMessage): Promise<boolean> {
    let read: MailMessage | undefined
    try {
      read = await this.#read(message)
    } catch (error) {
      this.#bodies.report(error)
      // What this node can't open, or may not read, it never can.
      return error instanceof CodecError || isForbidden(error)
    }
    try {
      if (read !== undefined && !this.isOver) this.#listener(read)
    } catch (error) {
      this.#bodies.report(error)
    }
    return true
  }
}
