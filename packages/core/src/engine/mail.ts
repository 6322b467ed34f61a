import { JournalError, TroupeError } from '../base/errors.ts'
import { flowRunIdOf, uuidV4 } from '../base/ids.ts'
import type { Journal } from '../ports/journal.ts'
import type { Mailbox, MailMessage } from '../ports/mailbox.ts'
import type { Random } from '../ports/random.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { findLive } from './run-tree.ts'
import type { Run, Steered } from './run.ts'

/** What an engine asks of the owner of a run. */
export type Order =
  | { readonly do: 'cancel'; readonly runId: string; readonly reason: string | undefined }
  | { readonly do: 'pause' | 'resume'; readonly runId: string }
  | { readonly do: 'give'; readonly runId: string; readonly input: unknown }
  | { readonly do: 'signal'; readonly runId: string; readonly name: string; readonly payload: unknown }

/** An order on its way. */
interface Letter {
  readonly order: Order
  /** Where the answer is expected; undefined where none is. */
  readonly replyTo: string | undefined
}

interface MailHost {
  readonly journal: Journal
  readonly random: Random
  readonly steering: Steered
  rootOf(flowRunId: string): Run | undefined
  report(error: unknown, run: Run | undefined): void
}

/**
 * Letters between engines that share a journal: only its owner moves a run, so whoever else wants something of it writes to
 * its mailbox. A letter is forgotten when the journal of the run tells what came of it, so it may come twice: messages have
 * ids, and everything else may be done again.
 */
export class Mail {
  readonly #host: MailHost
  readonly #mailbox: Mailbox | undefined
  readonly #answers = new Map<string, (answer: { readonly error?: unknown }) => void>()
  /** Letters that are being read, or have been. */
  readonly #read = new Set<string>()
  readonly #stop: (() => void) | undefined

  constructor(host: MailHost) {
    this.#host = host
    this.#mailbox = host.journal.mailbox
    this.#stop = this.#mailbox?.subscribe((message) => this.#arrived(message))
  }

  /** Resolves when the letter is safe. @throws CodecError `NOT_ENCODABLE`; JournalError `JOURNAL_UNAVAILABLE` */
  async send(order: Order, id: string | undefined): Promise<void> {
    await this.#post(order, id ?? uuidV4(this.#host.random), undefined)
  }

  /** Resolves when the owner has done what was asked, or rejects with why it has not. */
  async ask(order: Order): Promise<void> {
    const id = uuidV4(this.#host.random)
    const replyTo = `reply-${id}`
    const answered = new Promise<{ readonly error?: unknown }>((resolve) =>
      this.#answers.set(replyTo, resolve),
    )
    const release = this.#host.journal.hold?.()
    let answer: { readonly error?: unknown }
    try {
      await this.#post(order, id, replyTo)
      answer = await answered
    } finally {
      this.#answers.delete(replyTo)
      release?.()
    }
    await this.#mailbox?.clear(replyTo)
    if ('error' in answer) throw answer.error
  }

  async #post(order: Order, id: string, replyTo: string | undefined): Promise<void> {
    if (this.#mailbox === undefined) {
      throw new JournalError(
        'JOURNAL_UNAVAILABLE',
        `${order.runId} is not owned by this engine, and its journal has no mailbox: ask the engine that runs it`,
        { details: { runId: order.runId } },
      )
    }
    const letter: Letter = { order, replyTo }
    const body = encodeValue(letter, { at: 'message' })
    await this.#mailbox.send({ id, flowRunId: flowRunIdOf(order.runId), body })
  }

  /** Reads what was written to a run before this engine had it. */
  async collect(run: Run): Promise<void> {
    try {
      for (const message of (await this.#mailbox?.pending(run.id)) ?? []) this.#arrived(message)
    } catch (error) {
      this.#host.report(error, run)
    }
  }

  close(): void {
    this.#stop?.()
  }

  #arrived(message: MailMessage): void {
    const answer = this.#answers.get(message.flowRunId)
    if (answer !== undefined) {
      answer(decodeValue(message.body) as { readonly error?: unknown })
      return
    }
    const root = this.#host.rootOf(message.flowRunId)
    if (root === undefined || this.#read.has(message.id)) return
    this.#read.add(message.id)
    void this.#obey(root, message).finally(() => this.#read.delete(message.id))
  }

  async #obey(root: Run, { id, flowRunId, body }: MailMessage): Promise<void> {
    try {
      const { order, replyTo } = decodeValue(body) as Letter
      const error = await this.#do(root, order, id)
      await new Promise<void>((resolve) => root.ledger.whenSafe(resolve))
      // Another engine has the run by now: the letter is for that one.
      if (root.ledger.lost) return
      const answer = error === undefined ? {} : { error }
      if (replyTo !== undefined)
        await this.#mailbox?.send({ id: 'answer', flowRunId: replyTo, body: encodeValue(answer) })
      else if (error !== undefined) this.#host.report(error, root)
      await this.#mailbox?.confirm(flowRunId, id)
    } catch (error) {
      this.#host.report(error, root)
    }
  }

  /** @returns Why it could not be done. */
  async #do(root: Run, order: Order, id: string): Promise<unknown> {
    const { steering } = this.#host
    try {
      switch (order.do) {
        case 'cancel':
          steering.cancel(findLive(root, order.runId) ?? root, order.reason)
          return undefined
        case 'pause':
          await steering.pause(root)
          return undefined
        case 'resume':
          await steering.resume(root, undefined)
          return undefined
        case 'give':
          await steering.resume(root, { input: order.input, id })
          return undefined
        case 'signal':
          steering.signal(root, { name: order.name, payload: order.payload, id })
          return undefined
      }
    } catch (error) {
      if (TroupeError.is(error)) return error
      throw error
    }
  }
}
