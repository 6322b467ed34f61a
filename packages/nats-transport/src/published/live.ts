import type { Transition } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import type { Link } from '../connection/link.ts'
import { namesOf } from '../names.ts'
import type { PublishSettings } from '../options.ts'
import { publishedPayload } from './payload.ts'
import { publishedSubject } from './subjects.ts'

/** So many wait at most until the connection is known. */
const mostEarly = 1_000

/**
 * Publishes transitions to whoever listens, and keeps none. They go over the connection of the appends, before the next one, so that a
 * server that takes them slowly slows down what makes them, and no more of them wait than appends are in flight. While the connection
 * is down they are dropped.
 */
export class LivePublisher {
  readonly #link: Link
  readonly #format: PublishSettings['format']
  readonly #prefix: string
  #connected: Connected | undefined
  #connecting = false
  #early: Transition[] = []
  #closed = false

  constructor(link: Link, format: PublishSettings['format']) {
    this.#link = link
    this.#format = format
    this.#prefix = namesOf(link.settings.namespace).published.subjects
  }

  publish(transition: Transition): void {
    if (this.#closed) return
    if (this.#connected !== undefined) this.#send(this.#connected, transition)
    else if (this.#early.push(transition) > mostEarly) this.#early.shift()
    if (this.#connected === undefined && !this.#connecting) void this.#connect()
  }

  /** Resolves when the servers have what was published. */
  async close(): Promise<void> {
    this.#closed = true
    this.#early = []
    await this.#connected?.flush()
  }

  /** The connection is there, for something was appended over it. */
  async #connect(): Promise<void> {
    this.#connecting = true
    try {
      const connected = await this.#link.control()
      this.#connected = connected
      for (const transition of this.#early.splice(0)) if (!this.#closed) this.#send(connected, transition)
    } catch (error) {
      if (!this.#closed) this.#link.host.report(error)
    } finally {
      this.#connecting = false
    }
  }

  #send({ up, nc }: Connected, transition: Transition): void {
    if (!up) return
    try {
      nc.publish(publishedSubject(this.#prefix, transition), publishedPayload(transition, this.#format))
    } catch (error) {
      // Too large for the server, or the connection ends at this moment.
      if (!nc.isClosed()) this.#link.host.report(error)
    }
  }
}
