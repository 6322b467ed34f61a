import { JetStreamApiError, JetStreamError } from '@nats-io/jetstream'
import { errors } from '@nats-io/transport-node'
import { JournalError, TroupeError } from '@troupe/core'

/** Codes of JetStream's refusals that mean something to a transport. */
export const codes = {
  streamNotFound: 10_059,
  streamNameInUse: 10_058,
  /** Another stream has the subjects. */
  subjectsOverlap: 10_065,
  consumerNotFound: 10_014,
  messageNotFound: 10_037,
  /** The newest message of the subject is another one than was expected. */
  wrongLastSequence: 10_071,
  /** Another message of the subject is being stored. */
  sequenceInFlight: 10_164,
  /** A message of this id is being stored. */
  duplicateInFlight: 10_158,
  /** No room in the stream, or already a message of the subject where only one may be. */
  notStored: 10_077,
  noStorage: 10_047,
  /** The account has no more room. */
  accountFull: 10_002,
  noResources: 10_023,
  /** Of a cluster: a server is away, or none has what a stream asks for. */
  noSuitablePeers: 10_005,
} as const

/** The code of a refusal by JetStream; undefined for any other error. */
export function codeOf(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined
}

/** What is said of what the server does not let this user do. */
export const notAllowed =
  'the user of this connection may not do it; see the permissions of its role in docs/nats-server.md'

/** Whether the server does not let this user do what was asked. */
export function isForbidden(error: unknown): boolean {
  if (error instanceof errors.PermissionViolationError) return true
  return error instanceof Error && error.cause !== undefined && isForbidden(error.cause)
}

/** Whether it may work a moment later: the connection is gone, a server is starting or away, or its group elects a leader. */
export function isPassing(error: unknown): boolean {
  if (error instanceof JetStreamApiError) {
    if (error.code === codes.noSuitablePeers) return error.message.includes('offline')
    return error.status === 503 && error.code !== codes.notStored && error.code !== codes.noResources
  }
  if (
    error instanceof errors.TimeoutError ||
    error instanceof errors.NoRespondersError ||
    error instanceof errors.ConnectionError ||
    error instanceof errors.ClosedConnectionError ||
    isLostPull(error)
  )
    return true
  // The client says of a request that nobody answers that JetStream is not enabled, and has the reason as its cause.
  return error instanceof Error && error.cause !== undefined && isPassing(error.cause)
}

/**
 * Whether a consumer that was being read has gone from under its reader, which makes another one: with the server that had it, or
 * because that one had not heard of it yet. The client does not export the class of what a consumer answers instead of messages.
 */
function isLostPull(error: unknown): boolean {
  if (!(error instanceof JetStreamError)) return false
  const { code } = error as { code?: unknown }
  if (code === undefined) return error.message === 'heartbeats missed'
  return code === 503 || (code === 409 && /deleted|leadership|shutdown/.test(error.message))
}

/** What can't be reached, with what to do about it. */
export function unavailable(
  what: string,
  servers: string,
  options: { cause?: unknown; reason: string },
): JournalError {
  return new JournalError(
    'TRANSPORT_UNAVAILABLE',
    `${what} at ${servers}; look whether the server runs and can be reached from here`,
    { cause: options.cause, details: { servers, reason: options.reason } },
  )
}

/** What a server has no room for. */
export function noRoom(
  what: string,
  servers: string,
  refused: { readonly stream: string; readonly said: string },
): JournalError {
  const { stream, said } = refused
  return new JournalError(
    'TRANSPORT_UNAVAILABLE',
    `${what} at ${servers}: ${said}; give its JetStream more room, or forget ended runs with \`keep\``,
    { details: { servers, stream, reason: 'full' } },
  )
}

/** Whether something was not stored because there was no room for it. */
export function isNoRoom(error: unknown): boolean {
  return TroupeError.is(error) && error.details['reason'] === 'full'
}

/** Errors of the client as those of Troupe. */
export function troubleWith(what: string, servers: string, cause: unknown): TroupeError {
  if (TroupeError.is(cause)) return cause
  if (isForbidden(cause)) {
    return new JournalError('TRANSPORT_UNAVAILABLE', `${what}: ${notAllowed}`, {
      cause,
      details: { servers, reason: 'permissions' },
    })
  }
  const said = cause instanceof Error ? cause.message : String(cause)
  return new JournalError('TRANSPORT_UNAVAILABLE', `${what} at ${servers}: ${said}`, {
    cause,
    details: { servers, reason: codeOf(cause) ?? 'unanswered' },
  })
}
