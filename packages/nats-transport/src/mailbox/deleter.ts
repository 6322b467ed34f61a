import type { Connected } from '../connection/connected.ts'
import { troubleWith } from '../connection/errors.ts'
import { messageOf } from '../connection/store.ts'
import type { MailNames } from './names.ts'
import type { Mail } from './reader.ts'

/** Subjects at once. */
const atOnce = 32
/** From one batch to the next, in milliseconds, so that most of what is confirmed goes by few purges. */
const pauseMs = 100
/** Subjects whose beginning is known to be deleted. */
const mostSubjects = 10_000
interface Batch {
  readonly mail: Mail[]
  readonly done: Promise<void>
  readonly begin: () => void
}

/**
 * Deletes messages that were confirmed: the first at once, and what is confirmed within the next 100 ms together. On each subject they
 * are deleted from the oldest on, by one purge for as many as follow each other, and what is confirmed before an older one waits for that: servers of
 * 2.9 lose the other messages of a subject from their sight when its newest is deleted before them.
 */
export class Deleter {
  readonly #connected: Connected
  readonly #names: MailNames
  /** By subject: up to where everything was deleted. */
  readonly #deleted = new Map<string, number>()
  /** By subject and sequence: what is confirmed and still there. */
  readonly #waiting = new Map<string, Map<number, Mail>>()
  #next: Batch | undefined
  #isRunning = false
  #running: Promise<void> | undefined
  /** Ends the pause between two batches. */
  #goOn: (() => void) | undefined
  #isHurried = false

  constructor(connected: Connected, names: MailNames) {
    this.#connected = connected
    this.#names = names
  }

  /** Resolves when it is forgotten, or will be with older ones. @throws JournalError `TRANSPORT_UNAVAILABLE`, `ENGINE_CLOSED` */
  delete(mail: Mail): Promise<void> {
    this.#next ??= this.#newBatch()
    const { done } = this.#next
    this.#next.mail.push(mail)
    if (!this.#isRunning) this.#running = this.#run()
    return done
  }

  /** Whether a message was confirmed, though it is still there. */
  has({ subject, seq }: Mail): boolean {
    return this.#waiting.get(subject)?.has(seq) === true
  }

  /** All messages of a flow run are deleted, or will be. */
  forget(subjectPart: string): void {
    for (const subject of this.#waiting.keys())
      if (subject.includes(subjectPart)) this.#waiting.delete(subject)
  }

  /** Resolves when all that was confirmed is deleted, or could not be. */
  async settled(): Promise<void> {
    this.#isHurried = true
    this.#goOn?.()
    await this.#running
  }

  #newBatch(): Batch {
    let begin = (): void => {}
    const mail: Mail[] = []
    const done = new Promise<void>((resolve) => (begin = resolve)).then(() => this.#deleteAll(mail))
    return { mail, done, begin }
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    // What is confirmed in this turn of the event loop goes together.
    await new Promise<void>((resolve) => void setImmediate(resolve))
    for (let batch = this.#take(); batch !== undefined; batch = this.#take()) {
      batch.begin()
      // Whoever confirmed is told.
      await batch.done.catch(() => undefined)
      await this.#pause()
    }
    // In the same turn as the look that found nothing: what comes next begins anew.
    this.#isRunning = false
  }

  async #pause(): Promise<void> {
    if (this.#isHurried) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs).unref()
      this.#goOn = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#goOn = undefined
  }

  #take(): Batch | undefined {
    const batch = this.#next
    this.#next = undefined
    return batch
  }

  async #deleteAll(all: readonly Mail[]): Promise<void> {
    for (const mail of all) this.#waitingOn(mail.subject).set(mail.seq, mail)
    const subjects = [...new Set(all.map(({ subject }) => subject))]
    const results = await Promise.allSettled(
      Array.from({ length: Math.min(atOnce, subjects.length) }, async () => {
        for (let subject = subjects.pop(); subject !== undefined; subject = subjects.pop())
          await this.#deleteOldest(subject)
      }),
    )
    const failed = results.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  #waitingOn(subject: string): Map<number, Mail> {
    let waiting = this.#waiting.get(subject)
    if (waiting === undefined) this.#waiting.set(subject, (waiting = new Map()))
    return waiting
  }

  /** Deletes what waits on a subject, as far as nothing older is there. */
  async #deleteOldest(subject: string): Promise<void> {
    const waiting = this.#waitingOn(subject)
    const sorted = [...waiting.values()].toSorted((a, b) => a.seq - b.seq)
    for (let [first] = sorted; first !== undefined; [first] = sorted) {
      if (first.previous > (this.#deleted.get(subject) ?? 0)) {
        const query = { seq: 1, next_by_subj: subject }
        const oldest = await messageOf(this.#connected, this.#names.stream, query)
        if (oldest !== undefined && oldest.seq < first.seq) return
        if (oldest?.seq !== first.seq) {
          // Somebody else has deleted it.
          sorted.shift()
          waiting.delete(first.seq)
          continue
        }
      }
      const gap = sorted.findIndex(({ previous }, index) => index > 0 && previous !== sorted[index - 1]?.seq)
      const chain = sorted.splice(0, gap === -1 ? sorted.length : gap)
      const upTo = chain.at(-1)?.seq ?? first.seq
      await this.#purge(subject, upTo)
      this.#remember(subject, upTo)
      for (const { seq } of chain) waiting.delete(seq)
    }
    this.#waiting.delete(subject)
  }

  #remember(subject: string, upTo: number): void {
    this.#deleted.delete(subject)
    this.#deleted.set(subject, upTo)
    if (this.#deleted.size <= mostSubjects) return
    for (const oldest of this.#deleted.keys()) {
      this.#deleted.delete(oldest)
      break
    }
  }

  async #purge(subject: string, upTo: number): Promise<void> {
    const { jsm } = this.#connected
    const what = `can't confirm messages in ${this.#names.stream}`
    try {
      await this.#connected.patiently(what, () =>
        jsm.streams.purge(this.#names.stream, { filter: subject, seq: upTo + 1 }),
      )
    } catch (error) {
      throw troubleWith(what, this.#connected.where, error)
    }
  }
}
