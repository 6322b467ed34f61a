import type { StoredMsg } from '@nats-io/jetstream'
import { JournalError, type Register, type Registered } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { troubleWith } from '../connection/errors.ts'
import type { Link } from '../connection/link.ts'
import { scan } from '../connection/messages.ts'
import { newestOf, store, type Newest } from '../connection/store.ts'
import { subjectsOf, unlimited } from '../connection/streams.ts'
import { namesOf, type Bucket } from '../names.ts'
import { ensureBucket, keyOf, tokenOf } from '../connection/bucket.ts'

/** What is left of a key that was forgotten, as the tools of NATS know it. */
const deletionLines = 'KV-Operation: DEL\r\n'

/** When it tries again to listen, where that failed. */
const listenAgainMs = 1_000

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
    const { message } = await this.#newest(connected, key)
    if (message === undefined || isDeletion(message)) return undefined
    return { value: new Uint8Array(message.data), revision: message.seq, writtenAt: message.time.getTime() }
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

  /** Clears what is left of keys that were forgotten before a time of the store's clock. */
  async forgetMarks(before: number): Promise<void> {
    const connected = await this.#ready()
    const { stream, subject } = this.#bucket
    const marks: { readonly filter: string; readonly seq: number }[] = []
    await scan(connected, stream, {
      subject: `${subject}>`,
      seq: undefined,
      headersOnly: true,
      tell: ({ headers, seq, time, subject: filter }) => {
        if (headers.has('KV-Operation') && time < before) marks.push({ filter, seq: seq + 1 })
      },
    })
    const what = `can't clear the register ${this.#bucket.bucket}`
    for (const mark of marks) {
      // The newest message may be one that does not count.
      if ((await this.get(this.#keyOf(mark.filter))) !== undefined) continue
      await connected.patiently(what, () => connected.jsm.streams.purge(stream, mark))
    }
  }

  subscribe(prefix: string, listener: (key: string) => void): () => void {
    const watch: Watch = { prefix, listener }
    this.#watches.add(watch)
    this.#startListening()
    return () => {
      this.#watches.delete(watch)
      if (this.#watches.size > 0) return
      const listening = this.#listening
      this.#listening = undefined
      listening?.then((end) => end()).catch(() => undefined)
    }
  }

  #startListening(): void {
    if (this.#listening !== undefined) return
    this.#listening = this.#listen()
    // It is reported, tried again, and told to those who ask for something.
    this.#listening.catch(() => undefined)
  }

  /** @returns The revision; undefined where `expected` is not the newest. */
  async #write(
    key: string,
    expected: number,
    { payload, lines }: { readonly payload: Uint8Array; readonly lines: string },
  ): Promise<number | undefined> {
    this.#link.assertWrites('to change a limit')
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
      const { seq, message: newest } = await this.#newest(connected, key)
      const vacant = expected === 0 && (newest === undefined || isDeletion(newest))
      // What came behind the expected write may not count.
      const isNewest = newest?.seq === expected && seq > expected
      if (!vacant && !isNewest) return undefined
      revision = seq
    }
  }

  async #ready(): Promise<Connected> {
    const connected = await this.#link.control()
    const { settings } = this.#link
    this.#made ??= ensureBucket(connected, this.#bucket, settings, unlimited).catch((error: unknown) => {
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
    const report = (error: unknown): void => this.#link.host.report(error)
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
      this.#listening = undefined
      const { clock } = this.#link.host
      if (!this.#link.closed) {
        report(error)
        clock.at(clock.now() + listenAgainMs, () => {
          if (this.#watches.size > 0 && !this.#link.closed) this.#startListening()
        })
      }
      throw error
    }
  }

  #changed(key: string): void {
    for (const { prefix, listener } of this.#watches) if (key.startsWith(prefix)) listener(key)
  }

  #newest(connected: Connected, key: string): Promise<Newest> {
    return newestOf(connected, this.#bucket.stream, this.#subjectOf(key))
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
