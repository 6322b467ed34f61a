import { unpackReports, type WorkerReport } from '../remote/worker-report.ts'
import type { MailMessage } from '../ports/mailbox.ts'
import type { Assignment } from '../ports/task-runner.ts'
import type { Run } from './run.ts'

interface Host {
  /** See `Clock.turn`. */
  turn(fn: () => void): void
  /** Forgets a message of a flow run. */
  confirm(message: MailMessage): void
  report(error: unknown, run: Run): void
}

/** A message with reports, which is forgotten when all of them are heard and what came of them is safe. */
interface Arrived {
  readonly message: MailMessage
  readonly root: Run
  left: number
}

type Listener = (report: WorkerReport) => void

interface Waiting {
  readonly report: WorkerReport
  readonly arrived: Arrived
}

/**
 * How many messages of a flow run are remembered: one that comes again comes soon. Later it would do no harm, for the attempts
 * that it tells of have ended; it would only be kept.
 */
const newestKnown = 10_000

/**
 * What workers report of task runs, from the mailboxes of their flow runs to the task runners that wait for it. What comes
 * before its task run is there again, in a flow run that this engine has just taken over, is kept for it.
 */
export class WorkerReports {
  readonly #host: Host
  readonly #listeners = new Map<string, Listener>()
  /** By flow run, then by attempt. */
  readonly #waiting = new Map<string, Map<string, Waiting[]>>()
  /** Messages of live flow runs that came: they may come again. */
  readonly #known = new Map<string, Set<string>>()

  constructor(host: Host) {
    this.#host = host
  }

  /** Calls `listener` with the reports on an attempt: first with those that are there, in a later turn. */
  listen({ flowRunId, runId, attempt }: Assignment, listener: Listener): () => void {
    const key = keyOf(runId, attempt)
    this.#listeners.set(key, listener)
    const early = this.#waiting.get(flowRunId)?.get(key)
    if (early !== undefined) {
      this.#waiting.get(flowRunId)?.delete(key)
      this.#host.turn(() => {
        for (const { report, arrived } of early) {
          if (this.#listeners.get(key) === listener) listener(report)
          this.#heard(arrived)
        }
      })
    }
    return () => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key)
    }
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
      this.#host.confirm(message)
      return
    }
    const arrived: Arrived = { message, root, left: reports.length }
    for (const report of reports) this.#hand(report, arrived)
    if (reports.length === 0) this.#safe(arrived)
  }

  #hand(report: WorkerReport, arrived: Arrived): void {
    const key = keyOf(report.runId, report.attempt)
    const listener = this.#listeners.get(key)
    if (listener !== undefined) {
      listener(report)
      this.#heard(arrived)
      return
    }
    const { id } = arrived.root
    let ofRun = this.#waiting.get(id)
    if (ofRun === undefined) this.#waiting.set(id, (ofRun = new Map()))
    const waiting = ofRun.get(key)
    if (waiting === undefined) ofRun.set(key, [{ report, arrived }])
    else waiting.push({ report, arrived })
  }

  #heard(arrived: Arrived): void {
    if (--arrived.left === 0) this.#safe(arrived)
  }

  #safe({ root, message }: Arrived): void {
    root.ledger.whenSafe(() => {
      // Where another engine has the run by now, it is that one's to read.
      if (!root.ledger.lost) this.#host.confirm(message)
    })
  }

  /** The flow run has ended, or left this engine. @returns Whether anything had come for it. */
  forget(flowRunId: string): boolean {
    this.#waiting.delete(flowRunId)
    return this.#known.delete(flowRunId)
  }
}

function keyOf(runId: string, attempt: number): string {
  return `${runId} ${attempt}`
}
