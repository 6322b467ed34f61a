import type { Connected } from '../connection/connected.ts'
import { codeOf, troubleWith } from '../connection/errors.ts'
import { messageOf } from '../connection/store.ts'
import type { MailNames } from './names.ts'
import type { Mail } from './reader.ts'

/** Deletions at once. */
const atOnce = 32
/** From one batch to the next, in milliseconds, so that most of what is confirmed goes by few purges. */
const pauseMs = 100
/** So few are deleted one by one. */
const fewMessages = 4
/** Subjects whose beginning is known to be deleted. */
const mostSubjects = 10_000
/** JetStream's refusals to delete what is not there. */
const notThere: readonly (number | undefined)[] = [10_043, 10_057, 10_037]

interface Batch {
  readonly mail: Mail[]
  readonly done: Promise<void>
  readonly begin: () => void
}

/**
 * Deletes messages that were confirmed: the first at once, and what is confirmed within the next 100 ms together. Where they are the
 * oldest of their subject, with none in between that may not have been heard of, one purge takes them all.
 */
export class Deleter {
  readonly #connected: Connected
  readonly #names: MailNames
  /** By subject: up to where everything was deleted. */
  readonly #deleted = new Map<string, number>()
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

  /** Resolves when they are forgotten. @throws JournalError `TRANSPORT_UNAVAILABLE`, `ENGINE_CLOSED` */
  delete(mail: Mail): Promise<void> {
    this.#next ??= this.#newBatch()
    const { done } = this.#next
    this.#next.mail.push(mail)
    if (!this.#isRunning) this.#running = this.#run()
    return done
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
    const bySubject = new Map<string, Mail[]>()
    for (const mail of all) {
      const list = bySubject.get(mail.subject)
      if (list === undefined) bySubject.set(mail.subject, [mail])
      else list.push(mail)
    }
    const calls = [...bySubject].flatMap(([subject, list]) => this.#callsFor(subject, list))
    const results = await Promise.allSettled(
      Array.from({ length: Math.min(atOnce, calls.length) }, async () => {
        for (let call = calls.pop(); call !== undefined; call = calls.pop()) await call()
      }),
    )
    const failed = results.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  #callsFor(subject: string, list: readonly Mail[]): (() => Promise<void>)[] {
    const sorted = list.toSorted((a, b) => a.seq - b.seq)
    const [first] = sorted
    if (first === undefined) return []
    const gap = sorted.findIndex(({ previous }, index) => index > 0 && previous !== sorted[index - 1]?.seq)
    const chain = gap === -1 ? sorted : sorted.slice(0, gap)
    const rest = sorted.slice(chain.length).map(
      ({ seq }) =>
        () =>
          this.#deleteOne(seq),
    )
    const isOldest = first.previous <= (this.#deleted.get(subject) ?? 0)
    if (isOldest) this.#remember(subject, chain.at(-1)?.seq ?? 0)
    if (isOldest && chain.length > 1) return [() => this.#purge(subject, chain), ...rest]
    if (chain.length >= fewMessages) return [() => this.#purgeIfOldest(subject, chain), ...rest]
    return [
      ...chain.map(
        ({ seq }) =>
          () =>
            this.#deleteOne(seq),
      ),
      ...rest,
    ]
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

  async #purge(subject: string, chain: readonly Mail[]): Promise<void> {
    const { jsm } = this.#connected
    const seq = (chain.at(-1)?.seq ?? 0) + 1
    await this.#ask(() => jsm.streams.purge(this.#names.stream, { filter: subject, seq }))
  }

  /** Asks first whether the chain's first is the oldest of its subject. */
  async #purgeIfOldest(subject: string, chain: readonly Mail[]): Promise<void> {
    const oldest = await messageOf(this.#connected, this.#names.stream, { seq: 1, next_by_subj: subject })
    if (oldest?.seq === chain[0]?.seq) await this.#purge(subject, chain)
    else for (const { seq } of chain) await this.#deleteOne(seq)
  }

  async #deleteOne(seq: number): Promise<void> {
    const { jsm } = this.#connected
    await this.#ask(() => jsm.streams.deleteMessage(this.#names.stream, seq, false))
  }

  async #ask(call: () => Promise<unknown>): Promise<void> {
    const what = `can't confirm messages in ${this.#names.stream}`
    try {
      await this.#connected.patiently(what, call)
    } catch (error) {
      if (notThere.includes(codeOf(error))) return
      throw troubleWith(what, this.#connected.where, error)
    }
  }
}
