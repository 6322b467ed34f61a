/**
 * Every error that Troupe throws or rejects with, each a class with a stable `code`.
 *
 * Codes are part of the public contract and never change meaning; messages may. Branch on `code` or on
 * {@link TroupeError.is}, not on `instanceof`: two copies of the package in one program have two sets of classes.
 */

const marker = Symbol.for('@troupe/core/error')

/** The stable codes of all errors. `docs/errors.md` says what to do about each. */
export type ErrorCode =
  // misuse: thrown synchronously, no run is created
  | 'MISSING_NAME'
  | 'INVALID_OPTION'
  | 'INVALID_DURATION'
  | 'MAP_LENGTHS'
  | 'NATIVE_PROMISE'
  | 'FUTURE_AS_VALUE'
  | 'FOREIGN_ENGINE'
  | 'TWO_COPIES'
  | 'DEADLOCK'
  | 'NO_ENGINE'
  | 'NO_TRANSPORT'
  | 'READ_ONLY'
  | 'ENGINE_CLOSED'
  | 'NO_RUN_CONTEXT'
  | 'RUN_ENDED'
  | 'RUN_CANCELLING'
  | 'RUN_SUSPENDED'
  | 'RUN_NOT_ENDED'
  | 'NOT_ENCODABLE'
  | 'UNKNOWN_DEFINITION'
  | 'AMBIGUOUS_NAME'
  | 'TASK_NOT_FOUND'
  | 'FLOW_STARTED_IN_WORKER'
  | 'NO_THREAD'
  | 'NO_WORKER'
  // what awaiting a run gives
  | 'INVALID_PARAMETERS'
  | 'RUN_FAILED'
  | 'RUNS_FAILED'
  | 'NON_ERROR_THROWN'
  | 'UPSTREAM_FAILED'
  | 'UNOBSERVED_FAILURE'
  | 'RUN_CANCELLED'
  | 'RUN_CRASHED'
  | 'RUN_TIMED_OUT'
  | 'LIMIT_DEADLOCK'
  | 'RUN_DIVERGED'
  | 'IDEMPOTENCY_CONFLICT'
  | 'WAIT_TIMEOUT'
  | 'NO_INPUT_EXPECTED'
  | 'INVALID_INPUT'
  // events that are to start flow runs
  | 'BAD_EVENT'
  | 'BUFFER_FULL'
  | 'INTAKE_STOPPED'
  | 'NO_CONSUMER'
  | 'MAX_DELIVERIES'
  // storage and values
  | 'RUN_NOT_FOUND'
  | 'JOURNAL_CONFLICT'
  | 'OWNERSHIP_LOST'
  | 'PAYLOAD_TOO_LARGE'
  | 'MALFORMED_PAYLOAD'
  | 'UNSUPPORTED_FORMAT'
  | 'DECRYPTION_FAILED'
  | 'NOT_A_JOURNAL'
  | 'JOURNAL_DAMAGED'
  | 'JOURNAL_UNAVAILABLE'
  | 'NODE_IN_USE'
  | 'RUN_EXISTS'
  | 'TRANSPORT_UNAVAILABLE'
  | 'TRANSPORT_UNSUPPORTED'
  // the web
  | 'WATCHER_DROPPED'
  | 'INVALID_SIGNATURE'
  // what tests of flows find
  | 'CRASH_FOUND'
  // a defect of Troupe itself
  | 'INTERNAL'

/** Facts about an error that a program may want to read; keys depend on the code. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/**
 * The base of every error of Troupe.
 *
 * @public
 */
export class TroupeError extends Error {
  /** What happened, stable across versions. */
  readonly code: ErrorCode
  /** Facts such as the run id or the option's name. */
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.details = options.details ?? {}
    Object.defineProperty(this, marker, { value: true })
  }

  /** Written out in each class: minifiers change the names of classes. */
  override get name(): string {
    return 'TroupeError'
  }

  /** Whether `value` is an error of any copy of Troupe, and of `code` where one is given. */
  static is(value: unknown, code?: ErrorCode): value is TroupeError {
    if (typeof value !== 'object' || value === null || !(marker in value)) return false
    return code === undefined || (value as unknown as TroupeError).code === code
  }
}

/** A definition, an option or a call that can never work; thrown synchronously, and no run is created. @public */
export class UsageError extends TroupeError {
  override get name(): string {
    return 'UsageError'
  }
}

/** What awaiting a run that did not complete rejects with, where the body itself threw no error. @public */
export class RunError extends TroupeError {
  override get name(): string {
    return 'RunError'
  }
}

/** A value that can't be written to a journal, or bytes that can't be read back. `details.path` names the place. @public */
export class CodecError extends TroupeError {
  override get name(): string {
    return 'CodecError'
  }
}

/** A journal refused or could not do what was asked of it. @public */
export class JournalError extends TroupeError {
  override get name(): string {
    return 'JournalError'
  }
}

/** A broken invariant of Troupe: please report it, with the message and the journal of the run. @public */
export class InternalError extends TroupeError {
  override get name(): string {
    return 'InternalError'
  }

  constructor(message: string, cause?: unknown) {
    super('INTERNAL', `${message}; this is a defect of Troupe, please report it`, { cause })
  }
}
