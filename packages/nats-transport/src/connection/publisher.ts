import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { CodecError, JournalError, TroupeError } from '@troupe/core'
import { headersOf } from './headers.ts'
import { notAllowed } from './errors.ts'

/** What came of a publish. */
export type Outcome =
  | { readonly kind: 'stored'; readonly seq: number; readonly duplicate: boolean }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'unanswered'; readonly why: 'timeout' | 'no responders' | 'disconnected' }

/** A server's no. */
export interface Refusal {
  /** As in HTTP. */
  readonly status: number
  /** The `err_code` of JetStream. */
  readonly code: number
  readonly description: string
}

interface Waiting {
  readonly subject: string
  readonly resolve: (outcome: Outcome) => void
  /** Monotonic time. */
  readonly deadline: number
}

interface PubAckOnWire {
  readonly seq?: number
  readonly duplicate?: boolean
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string }
}

export interface PublisherOptions {
  readonly inboxPrefix: string
  /** Tells its answers from those to other publishers. */
  readonly token: string
  /** Publishes without an answer at once; more of them wait. */
  readonly maxInFlight: number
  /** How long to wait for an answer. */
  readonly timeoutMs: number
  readonly monotonic: () => number
}

const decoder = new TextDecoder()
const sweepEveryMs = 100
/** How long what goes along with the next message waits for it. */
const alongMs = 10

/**
 * Publishes to streams, at about half of what the client's own `js.publish` costs: one subscription for all answers, one timer for
 * all deadlines, and headers written by hand. It never tries twice.
 */
export class Publisher {
  readonly #connection: NatsConnection
  readonly #options: PublisherOptions
  readonly #prefix: string
  readonly #subscription: Subscription
  readonly #waiting = new Map<string, Waiting>()
  /** Those that wait for others to be answered. */
  readonly #queued: (() => void)[] = []
  #sent = 0
  #sweep: NodeJS.Timeout | undefined
  /** What goes along with the next message. */
  #along: (() => void)[] = []
  #alongTimer: NodeJS.Timeout | undefined
  #closed = false

  constructor(connection: NatsConnection, options: PublisherOptions) {
    this.#connection = connection
    this.#options = options
    this.#prefix = `${options.inboxPrefix}.${options.token}.`
    this.#subscription = connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#answered(message)
      },
    })
  }

  /** How many publishes wait for their answer, or for their turn. */
  get pending(): number {
    return this.#waiting.size + this.#queued.length
  }

  /** How many messages were sent. */
  get sent(): number {
    return this.#sent
  }

  /**
   * Publishes once.
   *
   * @param lines - Headers, each `name: value\r\n`.
   * @throws CodecError `PAYLOAD_TOO_LARGE`; JournalError `ENGINE_CLOSED`
   */
  publish(subject: string, payload: Uint8Array, lines = ''): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const send = (): void => {
        try {
          this.#send({ subject, payload, lines, resolve })
        } catch (error) {
          reject(this.#failure(error, payload.byteLength + lines.length))
        }
      }
      if (this.#waiting.size < this.#options.maxInFlight) send()
      else this.#queued.push(send)
    })
  }

  /** Calls `send` right before the next message goes, so that both go by one write; after 10 ms where none does. */
  along(send: () => void): void {
    this.#along.push(send)
    // Not taken back where a message comes before: the next that waits finds it running, and waits for less.
    this.#alongTimer ??= setTimeout(() => {
      this.#alongTimer = undefined
      this.sendAlong()
    }, alongMs).unref()
  }

  /** Sends what waits for the next message. */
  sendAlong(): void {
    if (this.#along.length === 0) return
    const along = this.#along
    this.#along = []
    for (const send of along) send()
  }

  /** The server lets this user publish nothing to a subject: no answer comes. @returns Whether somebody waited for one */
  forbidden(subject: string): boolean {
    let found = false
    for (const [token, waiting] of this.#waiting) {
      if (waiting.subject !== subject) continue
      found = true
      this.#waiting.delete(token)
      waiting.resolve({ kind: 'refused', refusal: { status: 403, code: 0, description: notAllowed } })
    }
    this.#next()
    return found
  }

  /** The connection was lost: no answer comes to what is in flight. */
  disconnected(): void {
    for (const { resolve } of this.#waiting.values()) resolve({ kind: 'unanswered', why: 'disconnected' })
    this.#waiting.clear()
    this.#next()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#sweep)
    clearTimeout(this.#alongTimer)
    this.disconnected()
    if (!this.#connection.isClosed()) this.#subscription.unsubscribe()
  }

  #send({
    subject,
    payload,
    lines,
    resolve,
  }: {
    readonly subject: string
    readonly payload: Uint8Array
    readonly lines: string
    readonly resolve: (outcome: Outcome) => void
  }): void {
    if (this.#closed) throw new JournalError('ENGINE_CLOSED', 'the transport was closed')
    this.sendAlong()
    const token = (++this.#sent).toString(36)
    const reply = this.#prefix + token
    const headers = lines === '' ? undefined : headersOf(lines)
    this.#connection.publish(subject, payload, headers === undefined ? { reply } : { reply, headers })
    this.#waiting.set(token, {
      subject,
      resolve,
      deadline: this.#options.monotonic() + this.#options.timeoutMs,
    })
    this.#sweep ??= setInterval(() => this.#sweepLate(), sweepEveryMs)
  }

  #failure(error: unknown, size: number): unknown {
    if (TroupeError.is(error)) return error
    if (this.#connection.isClosed())
      return new JournalError('ENGINE_CLOSED', 'the transport was closed', { cause: error })
    const limit = this.#connection.info?.max_payload
    if (limit === undefined || size <= limit - 64) return error
    return new CodecError(
      'PAYLOAD_TOO_LARGE',
      `a message of ${size} bytes is larger than the ${limit} bytes that the server takes (max_payload)`,
      { cause: error, details: { size, limit } },
    )
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(this.#prefix.length)
    const waiting = this.#waiting.get(token)
    if (waiting === undefined) return
    this.#waiting.delete(token)
    waiting.resolve(outcomeOf(message))
    this.#next()
  }

  #next(): void {
    while (this.#waiting.size < this.#options.maxInFlight) {
      const send = this.#queued.shift()
      if (send === undefined) break
      send()
    }
  }

  #sweepLate(): void {
    const now = this.#options.monotonic()
    for (const [token, { resolve, deadline }] of this.#waiting) {
      // In the order of their deadlines, for all wait equally long.
      if (deadline > now) break
      this.#waiting.delete(token)
      resolve({ kind: 'unanswered', why: 'timeout' })
    }
    this.#next()
    if (this.#waiting.size > 0) return
    clearInterval(this.#sweep)
    this.#sweep = undefined
  }
}

function outcomeOf(message: Msg): Outcome {
  if (message.data.length === 0) return { kind: 'unanswered', why: 'no responders' }
  const answer = JSON.parse(decoder.decode(message.data)) as PubAckOnWire
  const { error, seq = 0, duplicate = false } = answer
  if (error === undefined) return { kind: 'stored', seq, duplicate }
  const { code: status = 500, err_code: code = 0, description = 'no reason given' } = error
  return { kind: 'refused', refusal: { status, code, description } }
}
