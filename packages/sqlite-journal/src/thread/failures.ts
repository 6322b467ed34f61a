import type { Failure } from '../wires.ts'

/** Thrown in the thread where a call can't be done; the journal makes a public error of it. */
export class Refusal extends Error {
  readonly failure: Failure

  constructor(code: Failure['code'], message: string, details: Failure['details'] = {}) {
    super(message)
    this.failure = { code, message, details }
  }
}

/** Primary result codes of SQLite. */
const codes = {
  busy: 5,
  locked: 6,
  nomem: 7,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  notADatabase: 26,
} as const

/** The primary result code of an error of either driver; undefined for one that is not of SQLite. */
function sqliteCode(error: unknown): number | undefined {
  const { errcode, rawCode } = (error ?? {}) as { errcode?: unknown; rawCode?: unknown }
  const code = errcode ?? rawCode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** Whether another connection holds the lock that this one needs. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error)
  return code === codes.busy || code === codes.locked
}

/** Whether the journal can't be written at all just now, so that a smaller transaction fails as well. */
export function isOfDisk(error: unknown): boolean {
  const code = sqliteCode(error)
  return code === codes.full || code === codes.ioError || code === codes.readOnly || code === codes.nomem
}

/** Whether pages of the file do not hold what they should. */
export function isOfPages(error: unknown): boolean {
  return sqliteCode(error) === codes.corrupt
}

export function failureOf(error: unknown, folder: string): Failure {
  if (error instanceof Refusal) return error.failure
  const message = error instanceof Error ? error.message : String(error)
  const code = sqliteCode(error)
  const failure = (name: Failure['code'], text: string, reason: string): Failure => ({
    code: name,
    message: `the journal in ${folder} ${text} (${message})`,
    details: { folder, reason },
  })
  switch (code) {
    case codes.corrupt:
      return failure('JOURNAL_DAMAGED', 'is damaged: a page of its file does not hold what it should', 'page')
    case codes.notADatabase:
      return failure('NOT_A_JOURNAL', 'is no journal: its journal.db is another file', 'foreign')
    case codes.full:
      return failure('JOURNAL_UNAVAILABLE', 'took nothing: the disk is full', 'full')
    case codes.busy:
    case codes.locked:
      return failure('JOURNAL_UNAVAILABLE', 'is held by another process', 'busy')
    case codes.readOnly:
      return failure(
        'JOURNAL_UNAVAILABLE',
        "can't be written; `readOnly: true` opens it for reading",
        'read-only',
      )
    case codes.cantOpen:
      return failure('JOURNAL_UNAVAILABLE', "can't be opened", 'open')
    case codes.ioError:
    case codes.nomem:
      return failure('JOURNAL_UNAVAILABLE', 'could not be read or written', 'i/o')
    default:
  }
  const { code: system } = (error ?? {}) as { code?: unknown }
  if (typeof system === 'string' && /^E[A-Z]+$/.test(system))
    return failure('JOURNAL_UNAVAILABLE', "can't be opened", system)
  return {
    code: 'INTERNAL',
    message: error instanceof Error ? (error.stack ?? message) : message,
    details: { folder },
  }
}
