import { unpackReports, type WorkerReport } from '../remote/worker-report.ts'
import type { MailMessage } from '../ports/mailbox.ts'
import type { Assignment } from '../ports/task-runner.ts'
import type { Run } from './run.ts'

interface Host {
  /** See `Clock.turn`. */
  turn(fn: () => void): void
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
  readonly #listeners = new Map<string, Listening>()
  /** By flow run, then by attempt. */
  readonly #waiting = new Map<string, Map<string, Waiting[]>>()
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
    const early = this.#waiting.get(flowRunId)?.get(key)
    if (early !== undefined) {
      this.#waiting.get(flowRunId)?.delete(key)
      this.#host.turn(() => {
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
      if (!root.ledger.lost) this.#host.confirm(root, message)
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
