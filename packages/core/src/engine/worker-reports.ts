import type { History } from '../journal/history.ts'
import { isTerminal } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import { unpackReports, type WorkerReport } from '../remote/worker-report.ts'
import type { MailMessage } from '../ports/mailbox.ts'
import type { Assignment } from '../ports/task-runner.ts'
import type { Run } from './run.ts'

interface Host {
  readonly clock: Clock
  /** What the journal of a flow run says; undefined where that has ended, or left this engine. */
  history(root: Run): Promise<History | undefined>
  /** Forgets a message of a flow run. */
  confirm(root: Run, message: MailMessage): void
  report(error: unknown, run: Run): void
}

/** A message with reports, which is forgotten when it is decided what comes of all of them, and that is safe. */
interface Arrived {
  readonly message: MailMessage
  readonly root: Run
  left: number
}

type Listener = (report: WorkerReport) => void

/** An attempt that workers report of. */
export interface Reported extends Assignment {
  /** See `AssignedBody.whenDecided`. */
  whenDecided(go: () => void): void
}

interface Listening {
  readonly attempt: Reported
  readonly listener: Listener
}

interface Waiting {
  readonly report: WorkerReport
  readonly arrived: Arrived
}

/** What waits for its task run in one flow run. */
interface Early {
  /** By attempt. */
  readonly reports: Map<string, Waiting[]>
  /** After how long it is looked next whether it waits in vain. */
  pauseMs: number
  stopLook: (() => void) | undefined
}

/** How soon it is looked whether reports wait in vain, in milliseconds; then less and less often, for that reads the whole journal. */
const firstLookMs = 5_000
const longestLookMs = 300_000

/**
 * How many messages of a flow run are remembered: one that comes again comes soon. Later it would do no harm, for the attempts
 * that it tells of have ended; it would only be kept.
 */
const newestKnown = 10_000

/**
 * What workers report of task runs, from the mailboxes of their flow runs to the task runners that wait for it. What comes
 * before its task run is there again, in a flow run that this engine has just taken over, is kept for it. Of a task run that has ended, or
 * goes on with another attempt, nobody asks for reports any more: the owner before had heard them, and had not come to forget them.
 */
export class WorkerReports {
  readonly #host: Host
  readonly #listeners = new Map<string, Listening>()
  /** By flow run. */
  readonly #early = new Map<string, Early>()
  /** Messages of live flow runs that came: they may come again. */
  readonly #known = new Map<string, Set<string>>()

  constructor(host: Host) {
    this.#host = host
  }

  /** Calls `listener` with the reports on an attempt: first with those that are there, in a later turn. */
  listen(attempt: Reported, listener: Listener): () => void {
    const { flowRunId } = attempt
    const key = keyOf(attempt.runId, attempt.attempt)
    const listening: Listening = { attempt, listener }
    this.#listeners.set(key, listening)
    const early = this.#early.get(flowRunId)?.reports.get(key)
    if (early !== undefined) {
      this.#early.get(flowRunId)?.reports.delete(key)
      this.#host.clock.turn(() => {
        for (const { report, arrived } of early) {
          if (this.#listeners.get(key) === listening) this.#tell(listening, report, arrived)
          else this.#heard(arrived)
        }
      })
    }
    return () => {
      if (this.#listeners.get(key) === listening) this.#listeners.delete(key)
    }
  }

  /** Whether an attempt that failed is tried again may be decided later; until then the next owner is to hear of it, too. */
  #tell({ attempt, listener }: Listening, report: WorkerReport, arrived: Arrived): void {
    listener(report)
    attempt.whenDecided(() => this.#heard(arrived))
  }

  /** A message with reports on runs of `root` has come. */
  arrived(root: Run, message: MailMessage): void {
    let known = this.#known.get(root.id)
    if (known === undefined) this.#known.set(root.id, (known = new Set()))
    if (known.has(message.id)) return
    known.add(message.id)
    if (known.size > newestKnown) for (const oldest of known) if (known.delete(oldest)) break
    let reports: readonly WorkerReport[]
    try {
      reports = unpackReports(message.body)
    } catch (error) {
      // Nobody will ever understand it.
      this.#host.report(error, root)
      this.#host.confirm(root, message)
      return
    }
    const arrived: Arrived = { message, root, left: reports.length }
    for (const report of reports) this.#hand(report, arrived)
    if (reports.length === 0) this.#safe(arrived)
  }

  #hand(report: WorkerReport, arrived: Arrived): void {
    const key = keyOf(report.runId, report.attempt)
    const listening = this.#listeners.get(key)
    if (listening !== undefined) {
      this.#tell(listening, report, arrived)
      return
    }
    const early = this.#earlyOf(arrived.root)
    const waiting = early.reports.get(key)
    if (waiting === undefined) early.reports.set(key, [{ report, arrived }])
    else waiting.push({ report, arrived })
  }

  #earlyOf(root: Run): Early {
    let early = this.#early.get(root.id)
    if (early === undefined) {
      early = { reports: new Map(), pauseMs: firstLookMs, stopLook: undefined }
      this.#early.set(root.id, early)
    }
    if (early.stopLook === undefined) this.#lookLater(root, early)
    return early
  }

  #lookLater(root: Run, early: Early): void {
    const { clock } = this.#host
    early.stopLook = clock.at(clock.now() + early.pauseMs, () => void this.#look(root, early))
    early.pauseMs = Math.min(early.pauseMs * 2, longestLookMs)
  }

  /** Those that nobody will ask for are heard: what is not confirmed keeps what its worker sent after it from being forgotten, too. */
  async #look(root: Run, early: Early): Promise<void> {
    const history = early.reports.size === 0 ? undefined : await this.#host.history(root)
    if (this.#early.get(root.id) !== early) return
    /** From which attempt on somebody may still ask; of a run that the journal does not have yet, from the first. */
    const attempts = new Map<string, number>()
    for (const { submitted, attempt, stateName } of history?.runs ?? [])
      attempts.set(submitted.runId, isTerminal(stateName) ? Number.POSITIVE_INFINITY : attempt)
    for (const [key, waiting] of early.reports) {
      const isOver = waiting.every(({ report }) => report.attempt < (attempts.get(report.runId) ?? 0))
      if (!isOver) continue
      early.reports.delete(key)
      for (const { arrived } of waiting) this.#heard(arrived)
    }
    early.stopLook = undefined
    if (early.reports.size > 0) this.#lookLater(root, early)
    else this.#early.delete(root.id)
  }

  #heard(arrived: Arrived): void {
    if (--arrived.left === 0) this.#safe(arrived)
  }

  #safe({ root, message }: Arrived): void {
    root.ledger.whenSafe(() => {
      // Where another engine has the run by now, it is that one's to read.
      if (!root.ledger.lost) this.#host.confirm(root, message)
    })
  }

  /** The flow run has ended, or left this engine. @returns Whether anything had come for it. */
  forget(flowRunId: string): boolean {
    this.#early.get(flowRunId)?.stopLook?.()
    this.#early.delete(flowRunId)
    return this.#known.delete(flowRunId)
  }

  close(): void {
    for (const { stopLook } of this.#early.values()) stopLook?.()
    this.#early.clear()
  }
}

function keyOf(runId: string, attempt: number): string {
  return `${runId} ${attempt}`
}
