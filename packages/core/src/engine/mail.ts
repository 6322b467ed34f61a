import { CodecError, JournalError, UsageError } from '../base/errors.ts'
import { flowRunIdOf, uuidV4 } from '../base/ids.ts'
import { isTerminal } from '../machines/states.ts'
import type { Journal } from '../ports/journal.ts'
import { reportPrefix } from '../remote/worker-report.ts'
import type { Mailbox, MailMessage } from '../ports/mailbox.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { isPassing } from './patient-journal.ts'
import { historyOf } from './read-again.ts'
import { findLive } from './run-tree.ts'
import type { Run } from './run.ts'
import type { Steered } from './steer.ts'
import { WorkerReports } from './worker-reports.ts'

/** What an engine asks of the owner of a run. */
export type Order =
  | { readonly do: 'cancel'; readonly runId: string; readonly reason: string | undefined }
  | { readonly do: 'pause' | 'resume'; readonly runId: string }
  | { readonly do: 'give'; readonly runId: string; readonly input: unknown }
  | { readonly do: 'signal'; readonly runId: string; readonly name: string; readonly payload: unknown }

/** An order on its way. */
interface Letter {
  readonly order: Order
  /** Where the answer is expected, and by which node; undefined where none is. */
  readonly replyTo: string | undefined
  readonly replyNode?: string
}

/** In place of an answer. */
const unread: { readonly error?: unknown } = {}

/** The mailboxes of answers begin so. */
const replyPrefix = 'reply-'

/** How long to wait before something is tried again that failed: doubling from 10 ms to 5 s. */
const firstPauseMs = 10
const longestPauseMs = 5_000

/** How many letters to a run are remembered: one that comes again comes soon. */
const newestKnown = 10_000

interface MailHost {
  readonly journal: Journal
  readonly mailbox: Mailbox | undefined
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  readonly steering: Steered<Run>
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
  /** Letters that came, by the run that they are for: another one of its id, after a takeover, has not heard of them. */
  readonly #letters = new WeakMap<Run, Map<string, 'open' | 'done'>>()
  /** Ends the reading of this node's own mail. */
  readonly #stopOwn: (() => void) | undefined
  /** The nodes whose mail is read here, too: those that had runs before which are here now, with these. */
  readonly #followed = new Map<string, { readonly stop: () => void; readonly runs: Set<string> }>()
  /** By the ids of those runs. */
  readonly #cameFrom = new Map<string, string>()
  /** Flow runs whose mail is being read, and what waits for that. */
  readonly #reading = new Map<string, (() => void)[]>()
  readonly #reports: WorkerReports
  #isClosed = false

  constructor(host: MailHost) {
    this.#host = host
    this.#mailbox = host.mailbox
    this.#reports = new WorkerReports({
      clock: host.clock,
      history: historyOf,
      confirm: (root, message) => void this.#confirm(root, message),
      report: (error, run) => host.report(error, run),
    })
    this.#stopOwn = this.#mailbox?.subscribe((message) => this.#arrived(message), host.node)
  }

  get reports(): Pick<WorkerReports, 'listen'> {
    return this.#reports
  }

  /** For as long as the run is here. */
  #follow(owner: string, flowRunId: string): void {
    this.#unfollow(flowRunId)
    // One that nobody had is written to as one of nobody.
    if (this.#mailbox === undefined || owner === this.#host.node || owner === '') return
    let followed = this.#followed.get(owner)
    if (followed === undefined) {
      followed = {
        stop: this.#mailbox.subscribe((message) => this.#arrived(message), owner),
        runs: new Set(),
      }
      this.#followed.set(owner, followed)
    }
    followed.runs.add(flowRunId)
    this.#cameFrom.set(flowRunId, owner)
  }

  #unfollow(flowRunId: string): void {
    const owner = this.#cameFrom.get(flowRunId)
    if (owner === undefined) return
    this.#cameFrom.delete(flowRunId)
    const followed = this.#followed.get(owner)
    followed?.runs.delete(flowRunId)
    if (followed?.runs.size !== 0) return
    this.#followed.delete(owner)
    followed.stop()
  }

  /** What is not forgotten is received again by the next owner, who knows it. */
  #confirm(root: Run, { flowRunId, id }: MailMessage): Promise<boolean> {
    return this.#patiently(root, () => this.#mailbox?.confirm(flowRunId, id))
  }

  /**
   * Does what may fail for now, again until it is done or another engine has the run: a message is told of once, so nobody else comes
   * to do it.
   *
   * @returns Whether it is done
   */
  async #patiently(root: Run, act: () => Promise<void> | undefined): Promise<boolean> {
    for (let pauseMs = firstPauseMs; !root.ledger.lost && !this.#isClosed;) {
      try {
        await act()
        return true
      } catch (error) {
        if (pauseMs === firstPauseMs) this.#host.report(error, root)
        // What is left of one that has ended is swept.
        if (this.#isClosed || (root.ended && !isPassing(error))) return false
      }
      await deadlineAfter(this.#host.clock, pauseMs).done
      pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    }
    return false
  }

  /** The run has ended, or left this engine; of one that has ended nobody reads the mail any more. */
  ended({ id, settled }: Run): void {
    this.#unfollow(id)
    if (!this.#reports.forget(id) || !settled) return
    this.#mailbox?.clear(id).catch((error: unknown) => this.#host.report(error, undefined))
  }

  whenRead(flowRunId: string, go: () => void): void {
    const waiting = this.#reading.get(flowRunId)
    if (waiting === undefined) go()
    else waiting.push(go)
  }

  /** Resolves when the letter is safe. @throws CodecError `NOT_ENCODABLE`; JournalError `JOURNAL_UNAVAILABLE` */
  async send(order: Order, id: string | undefined): Promise<void> {
    await this.#post(order, id ?? uuidV4(this.#host.random), undefined)
  }

  /**
   * Resolves when the owner has done what was asked; rejects with why it was not done.
   *
   * @param ended - Resolves when the run has ended.
   * @returns False where the run ended before its owner read that.
   */
  async ask(order: Order, ended: Promise<void>): Promise<boolean> {
    const id = uuidV4(this.#host.random)
    const replyTo = `${replyPrefix}${id}`
    const answered = new Promise<{ readonly error?: unknown }>((resolve) =>
      this.#answers.set(replyTo, resolve),
    )
    const release = this.#host.journal.hold?.()
    let answer: { readonly error?: unknown }
    try {
      await this.#post(order, id, replyTo)
      answer = await Promise.race([answered, ended.then(() => unread)])
      if (answer === unread) await this.#mailbox?.confirm(flowRunIdOf(order.runId), id)
    } finally {
      this.#answers.delete(replyTo)
      release?.()
    }
    await this.#mailbox?.clear(replyTo)
    if ('error' in answer) throw answer.error
    return answer !== unread
  }

  async #post(order: Order, id: string, replyTo: string | undefined): Promise<void> {
    if (this.#mailbox === undefined) {
      throw new JournalError(
        'JOURNAL_UNAVAILABLE',
        `${order.runId} is not owned by this engine, and its journal has no mailbox: ask the engine that runs it`,
        { details: { runId: order.runId } },
      )
    }
    const letter: Letter = { order, replyTo, replyNode: this.#host.node }
    const body = encodeValue(letter, { at: 'message' })
    await this.#mailbox.send({ id, flowRunId: flowRunIdOf(order.runId), body })
  }

  /** Reads what was written to a run before this engine had it. @param from - The node that owned it. */
  async collect(run: Run, from: string | undefined): Promise<void> {
    // Who does not know yet that it is here writes to that node.
    if (from !== undefined) this.#follow(from, run.id)
    this.#reading.set(run.id, this.#reading.get(run.id) ?? [])
    try {
      await this.#collect(run)
    } finally {
      const waiting = this.#reading.get(run.id) ?? []
      this.#reading.delete(run.id)
      for (const go of waiting) go()
    }
  }

  /** Reads what was written to a run that is here: the mailbox may have failed to tell of it. */
  async readAgain(flowRunId: string): Promise<void> {
    const root = this.#host.rootOf(flowRunId)
    if (root === undefined) return
    await this.#collect(root)
  }

  async #collect(run: Run): Promise<void> {
    for (
      let pauseMs = firstPauseMs;
      !run.ended && !run.ledger.lost;
      pauseMs = Math.min(pauseMs * 2, longestPauseMs)
    ) {
      try {
        for (const message of (await this.#mailbox?.pending(run.id)) ?? []) this.#arrived(message)
        return
      } catch (error) {
        this.#host.report(error, run)
        await deadlineAfter(run.clock, pauseMs).done
      }
    }
  }

  close(): void {
    this.#isClosed = true
    this.#reports.close()
    this.#stopOwn?.()
    for (const { stop } of this.#followed.values()) stop()
    const error = new UsageError(
      'ENGINE_CLOSED',
      'the engine was closed before the owner of the run had answered',
    )
    for (const answer of this.#answers.values()) answer({ error })
  }

  #arrived(message: MailMessage): void {
    const answer = this.#answers.get(message.flowRunId)
    if (answer !== undefined) {
      answer(decodeValue(message.body) as { readonly error?: unknown })
      return
    }
    const root = this.#host.rootOf(message.flowRunId)
    if (root === undefined) {
      this.#forNobody(message)
      return
    }
    if (message.id.startsWith(reportPrefix)) {
      this.#reports.arrived(root, message)
      return
    }
    const letters = this.#lettersTo(root)
    const known = letters.get(message.id)
    // It was sent again, or read before it was forgotten.
    if (known === 'done') void this.#confirm(root, message)
    if (known !== undefined) return
    letters.set(message.id, 'open')
    // One that can't be read stays for the next owner, who may understand it.
    this.#obey(root, message).catch((error: unknown) => this.#host.report(error, root))
  }

  /** An answer that comes when whoever asked has heard enough: only this node knows that nobody waits for it. */
  #forNobody({ flowRunId, owner }: MailMessage): void {
    if (owner !== this.#host.node || !flowRunId.startsWith(replyPrefix)) return
    this.#mailbox?.clear(flowRunId).catch((error: unknown) => this.#host.report(error, undefined))
  }

  #lettersTo(root: Run): Map<string, 'open' | 'done'> {
    let letters = this.#letters.get(root)
    if (letters === undefined) this.#letters.set(root, (letters = new Map()))
    return letters
  }

  async #obey(root: Run, message: MailMessage): Promise<void> {
    const letter = decodeValue(message.body) as Letter
    const error = await this.#do(root, letter.order, message.id)
    await new Promise<void>((resolve) => root.ledger.whenSafe(resolve))
    // Another engine has the run by now: the letter is for that one.
    if (root.ledger.lost) return
    // It is not obeyed again, however often that fails.
    const isTold = await this.#answer(root, letter, error)
    if (isTold && (await this.#confirm(root, message))) this.#done(root, message.id)
  }

  async #answer(root: Run, { replyTo, replyNode: owner }: Letter, error: unknown): Promise<boolean> {
    if (replyTo === undefined) {
      if (error !== undefined) this.#host.report(error, root)
      return true
    }
    const to = owner === undefined ? undefined : { owner }
    const answer = { id: 'answer', flowRunId: replyTo, ...to, body: answerOf(error) }
    return this.#patiently(root, () => this.#mailbox?.send(answer))
  }

  #done(root: Run, id: string): void {
    const letters = this.#lettersTo(root)
    letters.set(id, 'done')
    if (letters.size <= newestKnown) return
    for (const [oldest, state] of letters)
      if (state === 'done') {
        letters.delete(oldest)
        return
      }
  }

  /** @returns Why it could not be done. */
  async #do(root: Run, order: Order, id: string): Promise<unknown> {
    const { steering } = this.#host
    try {
      switch (order.do) {
        case 'cancel': {
          const run = await this.#find(root, order.runId)
          // The letter is forgotten when that is done.
          if (run !== undefined) await steering.cancel(run, order.reason)
          return undefined
        }
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
      return error
    }
  }

  /** The live run of an id, once the body that submitted it is back; undefined where it has ended, or left. */
  async #find(root: Run, runId: string): Promise<Run | undefined> {
    const { clock } = root
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const live = findLive(root, runId)
      if (live !== undefined || root.ended || root.ledger.lost) return live
      const history = await historyOf(root)
      const recorded = history?.runs.find(({ submitted }) => submitted.runId === runId)
      if (recorded === undefined || isTerminal(recorded.stateName)) return undefined
      await deadlineAfter(clock, pauseMs).done
    }
  }
}

/** An error that can't be sent is told of in words: whoever asked waits for an answer. */
function answerOf(error: unknown): Uint8Array {
  if (error === undefined) return encodeValue({}, { at: 'answer' })
  try {
    return encodeValue({ error }, { at: 'answer' })
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause
    const message = `why it could not be done can't be sent: ${cause.message}`
    return encodeValue({ error: new CodecError(cause.code, message) }, { at: 'answer' })
  }
}
