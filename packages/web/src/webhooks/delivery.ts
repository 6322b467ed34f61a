import {
  cancelled,
  currentTaskRun,
  flow,
  retryAfter,
  RunError,
  task,
  type Flow,
  type Transition,
} from '@troupe/core'
import { eventOf } from './event.ts'
import { flowPrefix, type Endpoint, type Settings } from './options.ts'
import { sign } from './signature.ts'

/** Why a delivery is cancelled whose receiver wants no more. */
const goneReason = 'the receiver answered 410 Gone'

/** Whether the message of a state says so. */
export function isGone(message: string | undefined): boolean {
  return message?.endsWith(goneReason) === true
}

/** The longest wait that a receiver can ask for. */
const longestMs = 3_600_000

/** A flow whose runs deliver one transition each. */
export type DeliveryFlow = Flow<[Transition], number>

/** The name of the flow of an endpoint's deliveries. */
export function flowOf({ id }: Endpoint): string {
  return `${flowPrefix}to-${id}`
}

/**
 * The flow of an endpoint's deliveries. What must not be in a journal, address and secret, it knows by where it is defined, and
 * so it is defined anew by each process.
 */
export function deliveryFlow(endpoint: Endpoint, settings: Settings): DeliveryFlow {
  const { retries, retryDelay, retryJitter, timeout } = settings
  const post = task(
    { name: 'troupe-webhook-post', retries, retryDelay, retryJitter, timeout },
    (transition: Transition) => send(endpoint, settings, transition),
  )
  return flow(
    { name: flowOf(endpoint), runName: '{0.flow} {0.runName} {0.to.name}' },
    async (transition: Transition): Promise<number> => {
      const status = await post(transition)
      return status === 410 ? (cancelled(goneReason) as never) : status
    },
  )
}

/** @returns The status, 2xx or 410 */
async function send(endpoint: Endpoint, settings: Settings, transition: Transition): Promise<number> {
  const { flowRunId, signal } = currentTaskRun()
  const { clock } = settings
  const body = JSON.stringify(eventOf(transition))
  // The same for each attempt, each node and each restart: a receiver can tell what it has had.
  const id = `msg_${flowRunId}`
  const timestamp = String(Math.floor(clock.now() / 1000))
  const sent = settings.fetch(endpoint.url, {
    method: 'POST',
    headers: {
      ...endpoint.headers,
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': sign({ id, timestamp, body }, endpoint.keys),
    },
    body,
    signal,
    // Who signs for one address does not go on to another.
    redirect: 'manual',
  })
  const response = await sent.catch((error: unknown) => {
    throw notReached(error)
  })
  const { status, ok, headers } = response
  // Nobody reads what it says, however long it is.
  await response.body?.cancel()
  if (ok || status === 410) return status
  const error = new RunError('RUN_FAILED', `the receiver answered ${status}`)
  const waitMs = waitOf(headers.get('retry-after'), clock.now())
  throw waitMs === undefined ? error : retryAfter(Math.min(waitMs, longestMs), error)
}

/** The journal must not learn the address, which stands in what the platform says of names and connections: only its code. */
function notReached(error: unknown): RunError {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: { readonly code?: unknown } }
  const why = [cause?.code, code].find((each) => typeof each === 'string' && /^[A-Z\d_]+$/.test(each))
  const told = typeof why === 'string' ? ` (${why})` : ''
  return new RunError('RUN_FAILED', `the receiver could not be reached${told}`)
}

/** What a receiver asks for: seconds, or a date. Nothing where that is no time to wait. */
function waitOf(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return ms > 0 ? ms : undefined
}
