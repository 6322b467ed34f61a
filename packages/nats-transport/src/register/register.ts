import type { StoredMsg } from '@nats-io/jetstream'
import { JournalError, type Register, type Registered } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { lastOf, store } from '../connection/store.ts'
import { subjectsOf } from '../connection/streams.ts'
import { namesOf, type Bucket } from '../names.ts'
import { ensureBucket, keyOf, tokenOf } from './bucket.ts'

/** What is left of a key that was forgotten, as the tools of NATS know it. */
const deletionLines = 'KV-Operation: DEL\r\n'

interface Watch {
  readonly prefix: string
  readonly listener: (key: string) => void
}

/**
 * A register in a key-value bucket of NATS. Reads ask the leader, and a write is one message that the server takes only where the
 * one before it is the newest of its key.
 */
export class NatsRegister implements Register {
  readonly #link: Link
  readonly #bucket: Bucket
  readonly #watches = new Set<Watch>()
  readonly #token: string
  #made: Promise<void> | undefined
  #listening: Promise<() => void> | undefined
  #written = 0

  constructor(link: Link) {
    this.#link = link
    this.#bucket = namesOf(link.settings.namespace).register
    const { random } = link.host
    this.#token = `${random.uint32().toString(36)}${random.uint32().toString(36)}`
  }

  async get(key: string): Promise<Registered | undefined> {
    const connected = await this.#ready()
    const last = await this.#last(connected, key)
    if (last === undefined || isDeletion(last)) return undefined
    return { value: last.data.slice(), revision: last.seq, writtenAt: last.time.getTime() }
  }

  async put(key: string, value: Uint8Array, expected: number): Promise<number | undefined> {
    // The caller may go on with its bytes at once.
    return this.#write(key, expected, { payload: value.slice(), lines: '' })
  }

  async delete(key: string, expected: number): Promise<boolean> {
    // A key that is not there can't be of a revision.
    if (expected === 0) return (await this.get(key)) === undefined
    const deleted = await this.#write(key, expected, { payload: new Uint8Array(0), lines: deletionLines })
    return deleted !== undefined
  }

  async keys(prefix: string): Promise<readonly string[]> {
    const connected = await this.#ready()
    const subjects = await subjectsOf(connected, this.#bucket.stream, `${this.#bucket.subject}>`)
    const named = subjects.map((subject) => this.#keyOf(subject)).filter((key) => key.startsWith(prefix))
    // A key that was forgotten has its mark.
    const there = await Promise.all(named.map((key) => this.get(key)))
    return named.filter((_, index) => there[index] !== undefined)
  }

  subscribe(prefix: string, listener: (key: string) => void): () => void {
    const watch: Watch = { prefix, listener }
    this.#watches.add(watch)
    this.#listening ??= this.#listen()
    return () => {
      this.#watches.delete(watch)
      if (this.#watches.size > 0) return
      const listening = this.#listening
      this.#listening = undefined
      void listening?.then((end) => end())
    }
  }

  /** @returns The revision; undefined where `expected` is not the newest. */
  async #write(
    key: string,
    expected: number,
    { payload, lines }: { readonly payload: Uint8Array; readonly lines: string },
  ): Promise<number | undefined> {
    const connected = await this.#ready()
    const { stream } = this.#bucket
    const id = `${this.#token}.${(++this.#written).toString(36)}`
    const message = { stream, subject: this.#subjectOf(key), payload, lines, id }
    for (let revision = expected; ;) {
      const stored = await store(connected, { ...message, expected: revision })
      if (stored.kind === 'stored') return stored.seq
      if (stored.kind === 'full')
        throw new JournalError(
          'JOURNAL_UNAVAILABLE',
          `the register ${this.#bucket.bucket} takes nothing: ${stored.refusal.description}`,
          { details: { stream, reason: 'full' } },
        )
      // A key that was forgotten is there no more than one that never was.
      const { last } = stored
      const vacant = expected === 0 && (last === undefined || isDeletion(last))
      if (!vacant) return undefined
      revision = last?.seq ?? 0
    }
  }

  async #ready(): Promise<Connected> {
    const connected = await this.#link.control()
    this.#made ??= ensureBucket(connected, this.#bucket, this.#link.settings).catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    await this.#made
    // What is asked after a subscription finds a server that knows of it.
    await this.#listening
    this.#link.assertOpen()
    return connected
  }

  async #listen(): Promise<() => void> {
    const { report } = this.#link.host
    try {
      const connected = await this.#link.control()
      const { live, stream, subject } = this.#bucket
      const subscription = connected.nc.subscribe(`${live}>`, {
        callback: (error, message) => {
          if (error !== null) report(troubleWith('no news of the register', connected.where, error))
          else this.#changed(keyOf(message.subject.slice(live.length)))
        },
      })
      // What came while there was no connection: any key may have changed.
      const end = connected.onReconnect(() => {
        subjectsOf(connected, stream, `${subject}>`).then((subjects) => {
          for (const one of subjects) this.#changed(this.#keyOf(one))
        }, report)
      })
      await connected.patiently('no answer of the server', () => connected.nc.flush())
      return () => {
        end()
        if (!subscription.isClosed()) subscription.unsubscribe()
      }
    } catch (error) {
      // The next subscription or call tries again.
      this.#listening = undefined
      throw error
    }
  }

  #changed(key: string): void {
    for (const { prefix, listener } of this.#watches) if (key.startsWith(prefix)) listener(key)
  }

  #last(connected: Connected, key: string): Promise<StoredMsg | undefined> {
    return lastOf(connected, this.#bucket.stream, this.#subjectOf(key))
  }

  #subjectOf(key: string): string {
    return this.#bucket.subject + tokenOf(key)
  }

  #keyOf(subject: string): string {
    return keyOf(subject.slice(this.#bucket.subject.length))
  }
}

function isDeletion({ header }: StoredMsg): boolean {
  return header.has('KV-Operation')
}
