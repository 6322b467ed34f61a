import type { Msg, Subscription } from '@nats-io/transport-node'
import { catchingUpMs, type Connected } from '../connection/connected.ts'
import type { MailNames } from './names.ts'
import { mailOf, extentOf, readMail, type Extent, type Mail } from './reader.ts'

/** For how long what is sent to a node that is gone is heard by all. */
const lostForMs = 600_000

export interface FeedParts {
  readonly names: MailNames
  /** Token of the node whose messages are heard, with those to nobody in particular; undefined for all. */
  readonly owner: string | undefined
  readonly checkMs: number
  readonly told: (mail: Mail) => void
  /** The stream is another one, or was set back. */
  readonly renewed: () => void
  readonly report: (error: unknown) => void
}

/**
 * What comes into mailboxes, as news of the stream: each message once. News may be lost, while there is no connection and between the
 * servers of a cluster. So the stream is read again from where nothing can be missing: after each reconnect, where a message says that there is
 * one before it that was not heard of, and every now and then.
 */
export class Feed {
  readonly #connected: Connected
  readonly #parts: FeedParts
  readonly #subscriptions: Subscription[]
  readonly #lost = new Map<string, { readonly subscription: Subscription; readonly timer: NodeJS.Timeout }>()
  readonly #timer: NodeJS.Timeout
  readonly #endReconnects: () => void
  /** Up to here nothing is missing. */
  #complete: number
  #created: string
  /** What was told of after that. */
  readonly #seen = new Set<number>()
  /** Messages that wait for older ones that are being read. */
  #held: Mail[] | undefined
  #isChecking = false
  #isCheckWanted = false
  #isClosed = false

  /** @param extent - Of the stream before the feed. */
  constructor(connected: Connected, extent: Extent, parts: FeedParts) {
    this.#connected = connected
    this.#parts = parts
    this.#complete = extent.seq
    this.#created = extent.created
    const { names, owner, checkMs } = parts
    const tokens = owner === undefined ? [''] : [`${owner}.`, '_.']
    this.#subscriptions = tokens.map((token) => this.#listen(`${names.live}${token}>`))
    this.#timer = setInterval(() => this.check(), checkMs).unref()
    this.#endReconnects = connected.onReconnect(() => this.#reconnected())
    this.check()
  }

  /** Hears also what is sent to a node that is gone, by those who don't know it yet. */
  lost(token: string): void {
    const { owner, names } = this.#parts
    if (owner === undefined || token === owner || this.#isClosed) return
    const before = this.#lost.get(token)
    clearTimeout(before?.timer)
    this.#lost.set(token, {
      subscription: before?.subscription ?? this.#listen(`${names.live}${token}.>`),
      timer: setTimeout(() => this.#forget(token), lostForMs).unref(),
    })
  }

  /** Reads what may have been missed. */
  check(): void {
    this.#isCheckWanted = true
    if (!this.#isChecking) void this.#check()
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#endReconnects()
    for (const token of this.#lost.keys()) this.#forget(token)
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
  }

  #forget(token: string): void {
    const lost = this.#lost.get(token)
    this.#lost.delete(token)
    clearTimeout(lost?.timer)
    lost?.subscription.unsubscribe()
  }

  #listen(subject: string): Subscription {
    return this.#connected.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.#heard(message)
      },
    })
  }

  #heard(news: Msg): void {
    const { headers } = news
    if (headers === undefined) return
    const { names } = this.#parts
    const subject = headers.get('Nats-Subject')
    const mail: Mail = {
      message: mailOf(names, subject, headers.get('Nats-Msg-Id'), news.data),
      seq: Number(headers.get('Nats-Sequence')),
      subject,
      previous: Number(headers.get('Nats-Last-Sequence')),
    }
    if (mail.previous > this.#complete && !this.#seen.has(mail.previous)) this.check()
    if (this.#held === undefined) this.#tell(mail)
    else this.#held.push(mail)
  }

  #tell(mail: Mail): void {
    if (mail.seq <= this.#complete || this.#seen.has(mail.seq) || this.#isClosed) return
    this.#seen.add(mail.seq)
    this.#parts.told(mail)
  }

  #reconnected(): void {
    // What is heard from now on is newer than what was missed.
    this.#held ??= []
    this.check()
  }

  async #check(): Promise<void> {
    this.#isChecking = true
    while (this.#isCheckWanted && !this.#isClosed) {
      this.#isCheckWanted = false
      try {
        await this.#readMissed()
      } catch (error) {
        if (this.#isClosed) break
        this.#parts.report(error)
        this.#isCheckWanted = true
        await this.#connected.pause(4)
        await this.#connected.whenUp(this.#parts.checkMs)
      }
    }
    this.#isChecking = false
  }

  /** The greatest sequence that was heard of. */
  get #told(): number {
    let told = this.#complete
    for (const seq of this.#seen) if (seq > told) told = seq
    return told
  }

  /** How far the stream has come: up to what was told at least, unless it is not the same any more. */
  async #extent(told: number): Promise<Extent> {
    const connected = this.#connected
    const until = connected.monotonic() + catchingUpMs
    for (let tries = 0; ; tries++) {
      const extent = await extentOf(connected, this.#parts.names.stream)
      if (extent.seq >= told || extent.created !== this.#created || this.#isClosed) return extent
      // A new leader may answer before it has read its own log to the end. A server alone has no such moment.
      if (connected.nc.info?.cluster === undefined || connected.monotonic() >= until) return extent
      await connected.pause(tries)
    }
  }

  async #readMissed(): Promise<void> {
    const { names, owner } = this.#parts
    const told = this.#told
    const { seq: last, created } = await this.#extent(told)
    if (this.#isClosed) return
    if (created !== this.#created || last < told) {
      // Somebody deleted the stream that was there, or its server has lost the end of it. What is new has old numbers, and of the rest
      // nobody knows where that begins: it is told again.
      this.#created = created
      this.#complete = 0
      this.#seen.clear()
      this.#parts.renewed()
    }
    const filters = owner === undefined ? [''] : [`${owner}.`, '_.']
    const read =
      last <= this.#complete
        ? []
        : await Promise.all(
            filters.map((filter) =>
              readMail(this.#connected, names, `${names.prefix}${filter}>`, this.#complete),
            ),
          )
    const held = this.#held ?? []
    this.#held = undefined
    for (const mail of [...read.flat(), ...held].toSorted((a, b) => a.seq - b.seq)) this.#tell(mail)
    // What comes up to there was stored before it was read.
    this.#complete = Math.max(this.#complete, last)
    for (const seq of this.#seen) if (seq <= this.#complete) this.#seen.delete(seq)
  }
}
