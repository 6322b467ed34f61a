import type { MailOnWire, Write } from '../wires.ts'
import { checksumWith } from './checksums.ts'
import type { Session } from './connection.ts'
import { bytesOf, type SqlBytes } from './driver.ts'
import { Refusal } from './failures.ts'

interface MailRow {
  readonly seq: number
  readonly flow_run_id: string
  readonly id: string
  readonly body: SqlBytes
  readonly crc: number
}

/** The table of messages. Its numbers are never used twice. */
export class Mail {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  send({ flowRunId, message, bytes }: Extract<Write, { op: 'send' }>): void {
    this.#session
      .sql('insert or ignore into messages(flow_run_id, id, body, crc) values (?, ?, ?, ?)')
      .run(flowRunId, message, bytes, checksumWith(bytes, [flowRunId, message]))
  }

  confirm(flowRunId: string, message: string): void {
    this.#session.sql('delete from messages where flow_run_id = ? and id = ?').run(flowRunId, message)
  }

  clear(flowRunId: string): void {
    this.#session.sql('delete from messages where flow_run_id = ?').run(flowRunId)
  }

  pending(flowRunId: string): MailOnWire[] {
    const rows = this.#session.sql('select * from messages where flow_run_id = ? order by seq').all(flowRunId)
    return (rows as MailRow[]).map((row) => {
      const mail = mailOf(row)
      if (mail !== undefined) return mail
      const { folder } = this.#session
      throw new Refusal(
        'JOURNAL_DAMAGED',
        `the journal in ${folder} is damaged: a message to flow run ${flowRunId} is not what was sent`,
        { folder, flowRunId, message: row.id, reason: 'checksum' },
      )
    })
  }

  newest(): number {
    const { seq } = this.#session.sql('select max(seq) as seq from messages').get() as { seq: number | null }
    return seq ?? 0
  }

  /** Messages after a number, in order. Damaged ones are left to those who ask for all. */
  after(seq: number): { readonly mail: MailOnWire[]; readonly seq: number } {
    const rows = this.#session.sql('select * from messages where seq > ? order by seq').all(seq) as MailRow[]
    return { mail: rows.map(mailOf).filter((mail) => mail !== undefined), seq: rows.at(-1)?.seq ?? seq }
  }
}

/** @returns Undefined where the row is not what was sent. */
function mailOf({ flow_run_id: flowRunId, id: message, body, crc }: MailRow): MailOnWire | undefined {
  const bytes = bytesOf(body)
  if (bytes === undefined || checksumWith(bytes, [flowRunId, message]) !== crc) return undefined
  return { flowRunId, message, bytes }
}
