import { nanos } from '@nats-io/transport-node'
import type { Mailbox, MailMessage } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes, isForbidden, troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { isStreamGone, messageOf, store } from '../connection/store.ts'
import { ensureStream, unlimited } from '../connection/streams.ts'
import { subjectsOf } from '../queue/subjects.ts'
import type { Presence } from '../thread/link.ts'
import type { Times } from '../times.ts'
import { textOf } from '../tokens.ts'
import { Deleter } from './deleter.ts'
import { Feed } from './feed.ts'
import {
  addressOf,
  flowRunToken,
  mailNames,
  messageIdOf,
  ofFlowRun,
  ownerToken,
  type MailNames,
} from './names.ts'
import { extentOf, readMail, type Mail } from './reader.ts'

/** For how long a message that was received is known again. */
const windowMs = 300_000
/** Flow runs of which it is remembered where their messages are; of others it is looked up. */
const mostKnown = 10_000

export interface MailboxParts {
  readonly link: Link
  readonly presence: Presence
  readonly times: Times
}

type Listeners = Set<(message: MailMessage) => void>

/** Mailboxes of flow runs: one stream for all, which a node hears the part of that is for it. */
export class NatsMailbox implements Required<Mailbox> {
  readonly #link: Link
  readonly #times: Times
  readonly #names: MailNames
  readonly #sender: string
  readonly #listeners = new Map<string | undefined, Listeners>()
  readonly #feeds = new Map<string | undefined, Feed>()
  /** Messages that are not confirmed, as far as this node has heard of them. */
  readonly #known = new Map<string, Map<string, Mail[]>>()
  readonly #confirming = new Set<number>()
  #ready: Promise<Connected> | undefined
  #deleter: Deleter | undefined
  readonly #endLost: () => void

  constructor({ link, presence, times }: MailboxParts) {
    this.#link = link
    this.#times = times
    this.#names = mailNames(link.settings.namespace)
    const { random } = link.host
    this.#sender = `${random.uint32().toString(36)}${random.uint32().toString(36)}`
    this.#endLost = presence.onLost((node) => {
      for (const feed of this.#feeds.values()) feed.lost(ownerToken(node))
    })
  }

  async send({ id, flowRunId, owner, body }: MailMessage): Promise<void> {
    this.#link.assertWrites('to signal or steer a flow run')
    // The caller may change the bytes from now on.
    const payload = body.slice()
    const connected = await this.#connected()
    const { prefix, stream } = this.#names
    const subject = `${prefix}${ownerToken(owner)}.${flowRunToken(flowRunId)}.${this.#sender}`
    const name = messageIdOf(flowRunId, id)
    for (let messageId = name; ;) {
      const message = { stream, subject, payload, id: messageId }
      const stored = await this.#again(() => store(connected, message))
      if (stored.kind !== 'stored') {
        const reason = stored.kind === 'full' ? stored.refusal.description : stored.kind
        throw troubleWith(`can't send to ${flowRunId}`, connected.where, reason)
      }
      if (!stored.duplicate || (await this.#isThere(connected, stored.seq))) return
      // One of this id was received and forgotten.
      messageId = `${name}~${stored.seq}`
    }
  }

  async pending(flowRunId: string): Promise<readonly MailMessage[]> {
    this.#link.assertOpen()
    const mail = await this.#read(await this.#connected(), flowRunId)
    const found = new Map<string, MailMessage>()
    for (const one of mail) {
      const { message } = one
      if (!this.#isConfirmed(one) && !found.has(message.id)) found.set(message.id, message)
    }
    return [...found.values()]
  }

  subscribe(listener: (message: MailMessage) => void, owner?: string): () => void {
    this.#link.assertOpen()
    const token = owner === undefined ? undefined : ownerToken(owner)
    let listeners = this.#listeners.get(token)
    if (listeners === undefined) {
      this.#listeners.set(token, (listeners = new Set()))
      this.#open(token, listeners)
    }
    // The same function may be given twice.
    const own = (message: MailMessage): void => listener(message)
    listeners.add(own)
    return () => {
      listeners.delete(own)
      if (listeners.size > 0 || this.#listeners.get(token) !== listeners) return
      this.#listeners.delete(token)
      this.#feeds.get(token)?.close()
      this.#feeds.delete(token)
    }
  }

  async confirm(flowRunId: string, id: string): Promise<void> {
    this.#link.assertWrites('to confirm mail')
    const connected = await this.#connected()
    let mail = this.#known.get(flowRunId)?.get(id)
    if (mail === undefined) {
      await this.#read(connected, flowRunId)
      mail = this.#known.get(flowRunId)?.get(id)
    }
    if (mail === undefined) return
    this.#unknow(flowRunId, id)
    this.#deleter ??= new Deleter(connected, this.#names)
    const deleter = this.#deleter
    for (const { seq } of mail) this.#confirming.add(seq)
    try {
      await Promise.all(mail.map((one) => deleter.delete(one)))
    } catch (error) {
      // Whoever confirms it again finds it.
      this.#remember(flowRunId, id, mail)
      throw error
    } finally {
      for (const { seq } of mail) this.#confirming.delete(seq)
    }
  }

  async clear(flowRunId: string): Promise<void> {
    this.#link.assertWrites('to clear a mailbox')
    await this.#purge(await this.#connected(), flowRunId)
  }

  /**
   * Looks at the mailbox of a flow run that is to be forgotten.
   *
   * @returns Clears it of what is there, and leaves what comes after the look
   */
  async clearing(flowRunId: string): Promise<() => Promise<void>> {
    this.#link.assertWrites('to clear a mailbox')
    const connected = await this.#connected()
    const what = `can't look at the mailbox of ${flowRunId}`
    const { seq } = await extentOf(connected, this.#names.stream).catch((error: unknown) => {
      throw troubleWith(what, connected.where, error)
    })
    return async () => {
      if (seq > 0) await this.#purge(connected, flowRunId, seq + 1)
    }
  }

  /** @param before - What has this sequence, or a later one, stays. */
  async #purge(connected: Connected, flowRunId: string, before?: number): Promise<void> {
    this.#known.delete(flowRunId)
    const what = `can't clear the mailbox of ${flowRunId}`
    const filter = ofFlowRun(this.#names, flowRunId)
    const options = before === undefined ? { filter } : { filter, seq: before }
    try {
      await connected.patiently(what, () => connected.jsm.streams.purge(this.#names.stream, options))
    } catch (error) {
      // Somebody has deleted the stream, and all mail with it.
      if (codeOf(error) === codes.streamNotFound) return
      throw troubleWith(what, connected.where, error)
    }
    this.#deleter?.forget(`.${flowRunToken(flowRunId)}.`)
  }

  async addressees(limit: number, after?: string): Promise<readonly string[]> {
    this.#link.assertOpen()
    const connected = await this.#connected()
    const subjects = await this.#subjects(connected)
    const from = after === undefined ? '' : flowRunToken(after)
    const found = new Set<string>()
    // In the order of their tokens: that of a flow run stays the same, whichever subjects it has.
    for (const token of [...subjects.keys()].filter((one) => one > from).toSorted()) {
      if (found.size >= limit) break
      const flowRunId = await this.#addresseeOf(connected, token, subjects.get(token) ?? '')
      if (flowRunId !== undefined) found.add(flowRunId)
    }
    return [...found]
  }

  /** Of each flow run that has messages, by its token. */
  async #subjects(connected: Connected): Promise<ReadonlyMap<string, string>> {
    const { stream, prefix } = this.#names
    const found = new Map<string, string>()
    for (let offset = 0; ;) {
      const page = await subjectsOf(connected, stream, `${prefix}>`, offset)
      const subjects = Object.keys(page.subjects)
      for (const subject of subjects) found.set(subject.slice(prefix.length).split('.')[1] ?? '', subject)
      offset += subjects.length
      if (subjects.length === 0 || offset >= page.total) return found
    }
  }

  async close(): Promise<void> {
    this.#endLost()
    for (const feed of this.#feeds.values()) feed.close()
    this.#feeds.clear()
    this.#listeners.clear()
    await this.#deleter?.settled()
  }

  /** Somebody may have deleted the stream. What was in it is lost, and all else goes on. */
  async #again<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!isStreamGone(error)) throw error
      await this.#begin()
      return ask()
    }
  }

  #connected(): Promise<Connected> {
    if (this.#ready === undefined) {
      this.#ready = this.#begin()
      // The next call tries again.
      this.#ready.catch(() => (this.#ready = undefined))
    }
    return this.#ready
  }

  async #begin(): Promise<Connected> {
    const connected = await this.#link.control()
    const { replicas = 1, storage } = this.#link.settings
    const { stream, prefix, live } = this.#names
    await ensureStream(connected, {
      ...unlimited,
      name: stream,
      subjects: [`${prefix}>`],
      retention: 'limits',
      discard: 'new',
      storage,
      num_replicas: replicas,
      duplicate_window: nanos(windowMs),
      republish: { src: `${prefix}>`, dest: `${live}>` },
    })
    return connected
  }

  /** Begins to hear; what is asked after it is answered after that. One that has ended meanwhile leaves it to the next one. */
  #open(token: string | undefined, listeners: Listeners): void {
    const isOver = (): boolean => this.#listeners.get(token) !== listeners
    const opening = this.#connected().then(async (connected) => {
      const extent = await extentOf(connected, this.#names.stream)
      // Who may not read learns it here.
      await readMail(connected, this.#names, `${this.#names.prefix}>`, extent.seq)
      if (isOver() || this.#link.closed) return connected
      const feed = new Feed(connected, extent, {
        names: this.#names,
        owner: token,
        checkMs: this.#times.mailCheckMs,
        told: (mail) => this.#told(token, mail),
        renewed: () => {
          this.#known.clear()
          this.#deleter = undefined
        },
        report: (error) => this.#link.host.report(error),
      })
      this.#feeds.set(token, feed)
      return connected
    })
    // Calls wait for it: who asks what there is hears of what comes after that.
    this.#ready = opening.catch((error: unknown) =>
      isForbidden(error) ? this.#begin() : Promise.reject(error),
    )
    this.#ready.catch(() => undefined)
    opening.catch((error: unknown) => {
      this.#ready = undefined
      // A worker may send and not read. Nobody writes to it.
      if (this.#link.closed || isForbidden(error)) return
      this.#link.host.report(error)
      const timer = setTimeout(() => {
        if (!isOver() && !this.#feeds.has(token)) this.#open(token, listeners)
      }, this.#times.mailCheckMs / 10)
      timer.unref()
    })
  }

  #told(token: string | undefined, mail: Mail): void {
    this.#know(mail)
    for (const listener of this.#listeners.get(token) ?? []) {
      try {
        listener({ ...mail.message, body: mail.message.body.slice() })
      } catch (error) {
        this.#link.host.report(error)
      }
    }
  }

  async #read(connected: Connected, flowRunId: string): Promise<Mail[]> {
    const mail = await this.#again(() => readMail(connected, this.#names, ofFlowRun(this.#names, flowRunId)))
    for (const one of mail) this.#know(one)
    return mail
  }

  #know(mail: Mail): void {
    const { flowRunId, id } = mail.message
    if (this.#isConfirmed(mail)) return
    const same = this.#known.get(flowRunId)?.get(id)
    // The body is not kept.
    const entry = { ...mail, message: { ...mail.message, body: nothing } }
    if (same === undefined) this.#remember(flowRunId, id, [entry])
    else if (!same.some(({ seq }) => seq === mail.seq)) same.push(entry)
  }

  #remember(flowRunId: string, id: string, mail: Mail[]): void {
    let messages = this.#known.get(flowRunId)
    if (messages === undefined) this.#known.set(flowRunId, (messages = new Map()))
    messages.set(id, mail)
    if (this.#known.size <= mostKnown) return
    // Others own them, if this node has not confirmed theirs for so long.
    const [oldest = ''] = this.#known.keys()
    this.#known.delete(oldest)
  }

  #isConfirmed(mail: Mail): boolean {
    return this.#confirming.has(mail.seq) || this.#deleter?.has(mail) === true
  }

  #unknow(flowRunId: string, id: string): void {
    const messages = this.#known.get(flowRunId)
    messages?.delete(id)
    if (messages?.size === 0) this.#known.delete(flowRunId)
  }

  async #isThere(connected: Connected, seq: number): Promise<boolean> {
    const { stream } = this.#names
    const what = `can't read the stream ${stream}`
    try {
      const found = await connected.patiently(what, () => connected.jsm.streams.getMessage(stream, { seq }))
      return found !== null
    } catch (error) {
      if (codeOf(error) === codes.messageNotFound) return false
      // Who may not read can't know. It was there some minutes ago.
      if (isForbidden(error)) return true
      throw troubleWith(what, connected.where, error)
    }
  }

  async #addresseeOf(connected: Connected, token: string, subject: string): Promise<string | undefined> {
    const flowRunId = textOf(token)
    if (flowRunId !== undefined) return flowRunId
    const message = await messageOf(connected, this.#names.stream, { seq: 1, next_by_subj: subject })
    return message === undefined ? undefined : addressOf(message.header.get('Nats-Msg-Id')).flowRunId
  }
}

const nothing = new Uint8Array(0)
