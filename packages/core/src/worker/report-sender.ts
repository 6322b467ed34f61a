import { CodecError, TroupeError } from '../base/errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Mailbox } from '../ports/mailbox.ts'
import type { Address } from '../remote/node-talk.ts'
import { packReports, reportPrefix, type WorkerReport } from '../remote/worker-report.ts'
import { wrapError } from '../remote/wire.ts'

/** What goes with one message at most. */
const mostReports = 500
const mostBytes = 512 * 1_024

const firstPauseMs = 20
const longestPauseMs = 2_000

interface SenderHost {
  readonly clock: Clock
  readonly mailbox: Mailbox
  /** Whether the node is known to be gone. */
  isLost(owner: Address): boolean
  report(error: unknown): void
}

interface Row {
  readonly report: WorkerReport
  readonly safe: () => void
}

/** Whom reports are for. */
interface Addressee {
  readonly flowRunId: string
  /** Who is believed to own it. */
  readonly owner: Address
}

interface Group {
  readonly flowRunId: string
  owner: Address
  rows: Row[]
  isBusy: boolean
}

/**
 * Sends reports to the mailboxes of their flow runs. One message of each flow run is on its way; what comes meanwhile goes with
 * the next. One that is not answered is repeated under its id.
 */
export class ReportSender {
  readonly #host: SenderHost
  readonly #session: string
  readonly #groups = new Map<string, Group>()
  #sent = 0
  #isClosed = false
  readonly #idle: (() => void)[] = []

  /** @param session - Of this worker: no other one has it, before or after. */
  constructor(host: SenderHost, session: string) {
    this.#host = host
    this.#session = session
  }

  /** @param safe - Called when the report is as safe as an entry of the journal. */
  add({ flowRunId, owner }: Addressee, report: WorkerReport, safe: () => void): void {
    let group = this.#groups.get(flowRunId)
    if (group === undefined)
      this.#groups.set(flowRunId, (group = { flowRunId, owner, rows: [], isBusy: false }))
    group.owner = owner
    group.rows.push({ report, safe })
    if (group.isBusy) return
    group.isBusy = true
    const open = group
    // What ends in the same turn goes along.
    this.#host.clock.turn(() => void this.#send(open))
  }

  /** Resolves when nothing is on its way. */
  idle(): Promise<void> {
    return this.#groups.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  close(): void {
    this.#isClosed = true
  }

  async #send(group: Group): Promise<void> {
    while (group.rows.length > 0 && !this.#isClosed) await this.#sendRows(group, takeSome(group.rows))
    this.#groups.delete(group.flowRunId)
    if (this.#groups.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #sendRows(group: Group, rows: readonly Row[]): Promise<void> {
    const { clock, mailbox } = this.#host
    const { flowRunId } = group
    const body = packReports(rows.map(({ report }) => report))
    const id = `${reportPrefix}${this.#session}:${++this.#sent}`
    for (let pauseMs = firstPauseMs; !this.#isClosed; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      // Where it is gone, whoever has the flow run next is to hear it.
      const owner = this.#host.isLost(group.owner) ? undefined : { owner: group.owner.node }
      try {
        await mailbox.send({ id, flowRunId, body, ...owner })
        for (const { safe } of rows) safe()
        return
      } catch (error) {
        if (TroupeError.is(error, 'PAYLOAD_TOO_LARGE')) {
          await this.#sendParts(group, rows, error)
          return
        }
        this.#host.report(error)
      }
      await new Promise<void>((resolve) => void clock.at(clock.now() + pauseMs, resolve))
    }
  }

  /** The transport does not take so much at once: each goes by itself, and one that is too large fails its run. */
  async #sendParts(group: Group, rows: readonly Row[], cause: TroupeError): Promise<void> {
    const [first] = rows
    if (first === undefined) return
    if (rows.length > 1) {
      for (const row of rows) await this.#sendRows(group, [row])
      return
    }
    const { report, safe } = first
    const message = `the result of ${report.runId} is too large to be sent to its owner: ${cause.message}`
    const error = new CodecError('PAYLOAD_TOO_LARGE', message, { details: { runId: report.runId } })
    const result = { ...wrapError(error), thrown: true }
    await this.#sendRows(group, [{ report: { ...report, result }, safe }])
  }
}

function takeSome(rows: Row[]): readonly Row[] {
  let count = 0
  let bytes = 0
  for (const { report } of rows) {
    bytes += report.result?.bytes.length ?? 0
    if (count > 0 && (count >= mostReports || bytes > mostBytes)) break
    count++
  }
  return rows.splice(0, count)
}
