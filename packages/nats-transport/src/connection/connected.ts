import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream'
import { errors, type NatsConnection, type Status } from '@nats-io/transport-node'
import { JournalError, type TransportHost } from '@troupe/core'
import type { Settings } from '../options.ts'
import { hangUp } from './dial.ts'
import { isForbidden, isPassing, troubleWith, unavailable } from './errors.ts'
import { Publisher } from './publisher.ts'

/** How long the API of JetStream may take to answer once; it is asked again until the deadline of whoever asks. */
const requestMs = 5_000
/** For how long a server may be without a leader after it was reached: it is starting, or elects one. */
const settlingMs = 15_000
/** How long one publish waits for its answer, before it is repeated. */
const answerMs = 2_000
/** Publishes in flight at once. */
const maxInFlight = 512
/** Until when what a call needs is tried again: longer than an election takes. */
export const patienceMs = 30_000
/** How long one of several servers may take to read its own log before it is taken to have lost it. */
export const catchingUpMs = 10_000

/** The oldest server that knows the API the client speaks. */
const oldestServer = [2, 9, 4] as const
/** Servers before that, seen on 2.9.10, make room in a stream by deleting its oldest message, though they are told to refuse the new one. */
const refusesWhenFull = [2, 10] as const

/** What a server is and can do. */
export interface ServerFacts {
  readonly version: string
  /** API level; 0 before 2.11. */
  readonly level: number
  readonly maxPayload: number
  /**
   * Whether of several messages at once that expect the same one before them a single one is stored. Replicated streams before
   * 2.12 store and acknowledge all of them (seen on 2.9.10), unless they expect none.
   */
  readonly exactSequences: boolean
  /** Reads of many messages by one request, from 2.11 on. */
  readonly batchReads: boolean
  /** Messages with a time to live of their own, from 2.11 on. */
  readonly messageTtl: boolean
}

/** What a connection is to know of the options. */
type ConnectionSettings = Pick<Settings, 'inboxPrefix'> & Partial<Pick<Settings, 'maxBytes'>>

/** One connection to a cluster, with all that is done over it. */
export class Connected {
  readonly nc: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly publisher: Publisher
  readonly server: ServerFacts
  /** Where the servers are, for messages. */
  readonly where: string
  readonly #host: TransportHost
  readonly #inboxPrefix: string
  readonly #reconnected = new Set<() => void>()
  readonly #waiting = new Set<() => void>()
  #up = true
  #closing = false

  private constructor(
    nc: NatsConnection,
    parts: {
      readonly host: TransportHost
      readonly settings: ConnectionSettings
      readonly jsm: JetStreamManager
      readonly server: ServerFacts
      readonly where: string
    },
  ) {
    const { host, settings, jsm, server, where } = parts
    this.nc = nc
    this.jsm = jsm
    this.js = jetstream(nc, { timeout: requestMs })
    this.server = server
    this.where = where
    this.#host = host
    this.#inboxPrefix = settings.inboxPrefix
    this.publisher = new Publisher(nc, {
      inboxPrefix: settings.inboxPrefix,
      token: this.token(),
      maxInFlight,
      timeoutMs: answerMs,
      monotonic: () => host.clock.monotonic(),
    })
    void this.#watch(nc.status())
  }

  /** @throws JournalError `TRANSPORT_UNAVAILABLE`, `TRANSPORT_UNSUPPORTED` */
  static async over(
    nc: NatsConnection,
    parts: { readonly host: TransportHost; readonly settings: ConnectionSettings; readonly where: string },
  ): Promise<Connected> {
    const { where, host } = parts
    try {
      checkVersion(nc, where, parts.settings)
      const jsm = await jetstreamManager(nc, { timeout: requestMs, checkAPI: false })
      const server = await factsOf(nc, jsm, { where, host })
      return new Connected(nc, { ...parts, jsm, server })
    } catch (error) {
      await hangUp(nc)
      throw error
    }
  }

  /** Whether the connection is there just now. */
  get up(): boolean {
    return this.#up && !this.nc.isClosed()
  }

  /** A word that nobody else has. */
  token(): string {
    const { random } = this.#host
    return `${random.uint32().toString(36)}${random.uint32().toString(36)}`
  }

  /** A subject for answers, which nobody else has. */
  inbox(): string {
    return `${this.#inboxPrefix}.${this.token()}`
  }

  /** Monotonic time. */
  monotonic(): number {
    return this.#host.clock.monotonic()
  }

  /** Calls `listener` after each reconnect: messages of subscriptions were lost meanwhile. @returns A function that ends it. */
  onReconnect(listener: () => void): () => void {
    this.#reconnected.add(listener)
    return () => void this.#reconnected.delete(listener)
  }

  /** Resolves when the connection is there, or `withinMs` are over. @returns Whether it is there. */
  async whenUp(withinMs: number): Promise<boolean> {
    if (this.up || this.#closing) return this.up
    await new Promise<void>((resolve) => {
      const { clock } = this.#host
      const settle = (): void => {
        takeBack()
        this.#waiting.delete(settle)
        resolve()
      }
      const takeBack = clock.at(clock.now() + withinMs, settle)
      this.#waiting.add(settle)
    })
    return this.up
  }

  /** Resolves when the server has got all that was sent before; or the connection is lost, or nothing is heard of it for 5 s. */
  flush(): Promise<void> {
    return this.settled(() => this.nc.flush())
  }

  /** The same, for what ends with a flush. */
  async settled(call: () => Promise<void>): Promise<void> {
    if (!this.up) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, requestMs)))
    try {
      await Promise.race([call(), late])
    } catch (error) {
      if (this.up) throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Waits before another try: 50 to 500 ms, the longer the more tries there were. */
  async pause(tries: number): Promise<void> {
    const { clock, random } = this.#host
    const ms = Math.min(50 * 2 ** Math.min(tries, 4), 500) * (0.5 + random.number() / 2)
    await new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve))
  }

  /**
   * Asks the servers, again while the reason of a failure may pass.
   *
   * @throws JournalError `TRANSPORT_UNAVAILABLE` where it does not pass within 30 s; the client's error where it will not pass
   */
  async patiently<T>(what: string, ask: () => Promise<T>, forMs = patienceMs): Promise<T> {
    const { clock } = this.#host
    const deadline = clock.monotonic() + forMs
    for (let tries = 0; ; tries++) {
      try {
        return await ask()
      } catch (error) {
        if (this.#closing || this.nc.isClosed()) throw closedError(error)
        if (!isPassing(error)) throw error
        const left = deadline - clock.monotonic()
        if (left <= 0) throw troubleWith(what, this.where, error)
        await this.pause(tries)
        if (!this.up) await this.whenUp(left)
      }
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    this.publisher.close()
    for (const settle of this.#waiting) settle()
    this.#reconnected.clear()
    if (!this.nc.isClosed()) await hangUp(this.nc)
  }

  async #watch(statuses: AsyncIterable<Status>): Promise<void> {
    for await (const status of statuses) this.#told(status)
    this.#up = false
    this.publisher.disconnected()
    if (!this.#closing) {
      const reason = await this.nc.closed()
      this.#host.report(
        unavailable('the connection was closed', this.where, { cause: reason, reason: 'closed' }),
      )
    }
  }

  /** Whether whoever asked for what was refused is told of it. */
  #isTold(error: Error): boolean {
    if (!(error instanceof errors.PermissionViolationError) || error.operation !== 'publish') return false
    return error.subject.startsWith('$JS.API.') || this.publisher.forbidden(error.subject)
  }

  #told(status: Status): void {
    if (status.type === 'disconnect') {
      this.#up = false
      this.publisher.disconnected()
      if (!this.#closing)
        this.#host.report(
          unavailable('the connection was lost; connecting again', this.where, { reason: 'lost' }),
        )
    } else if (status.type === 'reconnect') {
      this.#up = true
      for (const settle of this.#waiting) settle()
      for (const listener of this.#reconnected) listener()
    } else if (status.type === 'error' && !this.#closing && !this.#isTold(status.error)) {
      this.#host.report(troubleWith('the server refused a message', this.where, status.error))
    }
  }
}

function closedError(cause: unknown): JournalError {
  return new JournalError('ENGINE_CLOSED', 'the transport was closed', { cause })
}

function unsupported(message: string, details: Readonly<Record<string, unknown>>): JournalError {
  return new JournalError('TRANSPORT_UNSUPPORTED', message, { details })
}

function checkVersion(nc: NatsConnection, where: string, { maxBytes }: ConnectionSettings): void {
  const { version = '0.0.0' } = nc.info ?? {}
  const refuseBelow = (least: readonly number[], what: string, instead: string): void => {
    if (atLeast(version, least)) return
    const needed = least.join('.')
    throw unsupported(
      `the NATS server at ${where} has version ${version}, and ${what} needs ${needed} or newer; upgrade it${instead}`,
      { version, needed },
    )
  }
  refuseBelow(oldestServer, 'Troupe', '')
  if (maxBytes !== undefined)
    refuseBelow(refusesWhenFull, 'the option `maxBytes`', ', or leave the option out')
}

/** Whether a version is at least another; what comes after a hyphen does not count. */
function atLeast(version: string, least: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map((part) => Number.parseInt(part, 10))
  for (const [index, wanted] of least.entries()) {
    const part = parts[index] ?? 0
    if (Number.isNaN(part)) return false
    if (part !== wanted) return part > wanted
  }
  return true
}

/** API levels by version, for users who may not ask for the account's. */
const levels: readonly (readonly [level: number, version: readonly number[]])[] = [
  [5, [2, 15]],
  [4, [2, 14]],
  [2, [2, 12]],
  [1, [2, 11]],
]

async function factsOf(
  nc: NatsConnection,
  jsm: JetStreamManager,
  { where, host }: { readonly where: string; readonly host: TransportHost },
): Promise<ServerFacts> {
  const version = nc.info?.version ?? '0.0.0'
  const byVersion = levels.find(([, least]) => atLeast(version, least))?.[0] ?? 0
  let level = byVersion
  const { clock } = host
  const deadline = clock.monotonic() + settlingMs
  for (;;) {
    try {
      const account = (await jsm.getAccountInfo()) as { api?: { level?: number } }
      level = account.api?.level ?? 0
      break
    } catch (error) {
      // Who may not ask may still use it.
      if (isForbidden(error)) break
      const starting = isPassing(error) && nc.info?.jetstream === true
      if (!starting || clock.monotonic() >= deadline) throw noJetStream(where, error)
      await new Promise<void>((resolve) => void clock.at(clock.now() + 250, resolve))
    }
  }
  return {
    version,
    level,
    maxPayload: nc.info?.max_payload ?? 1_048_576,
    exactSequences: level >= 2 || nc.info?.cluster === undefined,
    batchReads: level >= 1,
    messageTtl: level >= 1,
  }
}

function noJetStream(where: string, cause: unknown): JournalError {
  return new JournalError(
    'TRANSPORT_UNSUPPORTED',
    `the NATS server at ${where} has no JetStream for this account; start it with \`nats-server --jetstream\`, or with \`jetstream {}\` in its configuration`,
    { cause, details: { needed: 'jetstream' } },
  )
}
