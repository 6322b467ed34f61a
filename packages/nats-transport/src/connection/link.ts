import type { NatsConnection } from '@nats-io/transport-node'
import { JournalError, UsageError, type TransportHost } from '@troupe/core'
import type { Settings } from '../options.ts'
import { Connected } from './connected.ts'
import { dial } from './dial.ts'
import { troubleWith } from './errors.ts'

/**
 * The connections of one node: one for what others wait for, and one for what is long (histories, large values), so that it does
 * not stand in the way. Each is made when it is first asked for.
 */
export class Link {
  readonly settings: Settings
  readonly host: TransportHost
  #control: Promise<Connected> | undefined
  #bulk: Promise<Connected> | undefined
  #closing: Promise<void> | undefined
  /** The connection for what others wait for, once it is made. */
  #made: Connected | undefined

  constructor(settings: Settings, host: TransportHost) {
    this.settings = settings
    this.host = host
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  /** The connection for what others wait for, where that is made: for those who would not wait for it. */
  get made(): Connected | undefined {
    return this.closed ? undefined : this.#made
  }

  /** What is wrong with the connection just now; undefined where it is there, or nobody has asked for it. */
  get trouble(): string | undefined {
    const made = this.#made
    return made === undefined || made.up
      ? undefined
      : `it is not connected to the NATS server at ${made.where}`
  }

  /**
   * For appends, queues, registers and news. A connection that could not be made is tried again by the next call.
   *
   * @throws JournalError `TRANSPORT_UNAVAILABLE`, `TRANSPORT_UNSUPPORTED`, `ENGINE_CLOSED`
   */
  control(): Promise<Connected> {
    this.assertOpen()
    this.#control ??= this.#connect('control').then(
      (made) => (this.#made = made),
      (error: unknown) => {
        this.#control = undefined
        throw error
      },
    )
    return this.#control
  }

  /**
   * For histories, lists and large values.
   *
   * @throws JournalError `TRANSPORT_UNAVAILABLE`, `TRANSPORT_UNSUPPORTED`, `ENGINE_CLOSED`
   */
  bulk(): Promise<Connected> {
    this.assertOpen()
    this.#bulk ??= this.#connect('bulk').catch((error: unknown) => {
      this.#bulk = undefined
      throw error
    })
    return this.#bulk
  }

  /** @throws JournalError `ENGINE_CLOSED` */
  assertOpen(): void {
    if (this.#closing !== undefined) throw new JournalError('ENGINE_CLOSED', 'the NATS transport was closed')
  }

  /** @throws JournalError `ENGINE_CLOSED`; UsageError `READ_ONLY` */
  assertWrites(what: string): void {
    this.assertOpen()
    if (!this.settings.readOnly) return
    const message = `${what} is not for an engine that only reads; give natsTransport no \`readOnly\``
    throw new UsageError('READ_ONLY', message)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const connection of [this.#control, this.#bulk]) {
      // One that could not be made was told to whoever asked.
      const made = await connection?.catch(() => undefined)
      await made?.close()
    }
  }

  async #connect(use: 'control' | 'bulk'): Promise<Connected> {
    const { settings, host } = this
    const where = settings.dial?.servers.join(', ') ?? 'the server of the given connection'
    let nc: NatsConnection
    try {
      nc =
        settings.dial === undefined
          ? await this.#given()
          : await dial(settings.dial, `troupe ${settings.namespace} ${host.node} ${use}`)
    } catch (error) {
      throw firstFailure(where, error)
    }
    return Connected.over(nc, { host, settings, where: settings.dial === undefined ? nc.getServer() : where })
  }

  #given(): Promise<NatsConnection> {
    const { connection } = this.settings
    if (connection === undefined) throw new JournalError('ENGINE_CLOSED', 'the NATS transport has no servers')
    return connection()
  }
}

function firstFailure(where: string, cause: unknown): Error {
  const said = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof Error && cause.name === 'AuthorizationError') {
    return new JournalError(
      'TRANSPORT_UNAVAILABLE',
      `the NATS server at ${where} does not take this user (${said}); look at \`auth\` and at the server's users`,
      { cause, details: { servers: where, reason: 'authorization' } },
    )
  }
  if (cause instanceof Error && ['ConnectionError', 'TimeoutError'].includes(cause.name)) {
    return new JournalError(
      'TRANSPORT_UNAVAILABLE',
      `can't connect to a NATS server at ${where} (${said}); start one with \`nats-server --jetstream\`, or give its address as \`servers\``,
      { cause, details: { servers: where, reason: 'connect' } },
    )
  }
  return troubleWith("can't connect to a NATS server", where, cause)
}
