import {
  TroupeError,
  UsageError,
  type Clock,
  type Duration,
  type Transition,
  type Watched,
} from '@troupe/core'
import { systemClock, toMilliseconds } from '@troupe/core/internal'
import { endId, placeOf, type WatchRequest } from './request.ts'
import { Watcher, type WatcherSettings } from './watcher.ts'

/** @public */
export interface TransitionResponseOptions {
  /** How long a client that was cut off is asked to wait before it comes again; default `'1s'`. */
  readonly retry?: Duration
  /** After how long without an event a comment is sent, so that the connection is not taken for dead; default `'15s'`. */
  readonly heartbeat?: Duration
  /**
   * What becomes of a client that reads nothing for `idleAfter`: it is cut off (`'drop'`, the default), or may go on whenever
   * it likes (`'wait'`). Nothing is kept for either but their place: what they did not read is read from the journal.
   */
  readonly idle?: 'drop' | 'wait'
  /** Default `'1m'`. */
  readonly idleAfter?: Duration
  /**
   * What is sent of a transition, as JSON; nothing where it gives undefined. Default the whole transition: who may see a stream
   * sees the messages of errors, and the names of nodes.
   */
  readonly show?: (transition: Transition) => unknown
  /** Told why a client is answered 503: the client is told no more than that. What it throws, the response rejects with. */
  readonly onUnavailable?: (error: unknown) => void
  /** More headers of the response, for CORS say. */
  readonly headers?: Readonly<Record<string, string>>
  /** For tests; default this machine's. */
  readonly clock?: Clock
}

const optionNames = ['retry', 'heartbeat', 'idle', 'idleAfter', 'show', 'onUnavailable', 'headers', 'clock']

/** One for all watchers: one timer of the machine, however many deadlines. */
const machineClock = systemClock()

const unavailable = 'what is to be told can not be read just now'

/**
 * What a client is to be told of an error that came before the first event; undefined for all others. Not its message, which
 * may say where servers are.
 */
const answers: { readonly [code: string]: { readonly status: number; readonly message: string } } = {
  RUN_NOT_FOUND: { status: 404, message: 'there is no such run' },
  ENGINE_CLOSED: { status: 503, message: unavailable },
  JOURNAL_UNAVAILABLE: { status: 503, message: unavailable },
  TRANSPORT_UNAVAILABLE: { status: 503, message: unavailable },
}

/**
 * Transitions as Server-Sent Events: those that were, then those that come, until the run that is watched has ended or the
 * client has gone. A client that comes again with the id of the last event that it got (`Last-Event-ID`) goes on after it.
 *
 * Resolves with the response when the first transition is there, or a moment has passed without one: 200; 204 where the client
 * has seen the end; 404 for a run that there is not, 503 where the engine is closed or the journal does not answer; 405 for
 * other methods than GET and HEAD.
 *
 * @example app.get('/orders/:id/events', (c) => transitionResponse(engine.watch({ flowRunId: c.req.param('id') }), c.req.raw))
 * @param watched - What `engine.watch(…)` gives; from its beginning, so without `from`.
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`, and what reading the journal gives (all as rejections)
 * @public
 */
export async function transitionResponse(
  watched: Watched<Transition>,
  request: WatchRequest,
  options: TransitionResponseOptions = {},
): Promise<Response> {
  const settings = settingsOf(options)
  const { method = 'GET', signal } = request
  if (method !== 'GET' && method !== 'HEAD') {
    return new Response(null, { status: 405, headers: { ...options.headers, allow: 'GET, HEAD' } })
  }
  const place = placeOf(request)
  // A client that has seen the end is told so: an EventSource gives up only then.
  if (place === endId) return new Response(null, { status: 204, headers: { ...options.headers } })
  const watcher = new Watcher(watched, settings, place)
  try {
    await watcher.begin(signal)
  } catch (error) {
    watcher.stop()
    const answer = TroupeError.is(error) ? answers[error.code] : undefined
    if (!TroupeError.is(error) || answer === undefined) throw error
    const { code } = error
    const { status, message } = answer
    if (status === 503) options.onUnavailable?.(error)
    return Response.json({ code, message }, { status, headers: headersOf(options, 'application/json') })
  }
  const headers = headersOf(options, 'text/event-stream; charset=utf-8')
  if (method === 'HEAD') {
    watcher.stop()
    return new Response(null, { headers })
  }
  return new Response(watcher.stream, { headers })
}

function headersOf({ headers }: TransitionResponseOptions, type: string): Record<string, string> {
  return {
    // Nobody on the way is to keep, gather or compress it: events would wait for one another.
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    ...headers,
    'content-type': type,
  }
}

function settingsOf(options: TransitionResponseOptions): WatcherSettings {
  for (const name of Object.keys(options)) {
    if (!optionNames.includes(name))
      throw refused(name, `transitionResponse has no option \`${name}\`; it takes ${optionNames.join(', ')}`)
  }
  const { idle = 'drop', show = (transition) => transition, clock = machineClock } = options
  if (idle !== 'drop' && idle !== 'wait')
    throw refused('idle', `expected \`idle\` to be 'drop' or 'wait', got ${String(idle)}`)
  const { onUnavailable } = options
  if (onUnavailable !== undefined && typeof onUnavailable !== 'function')
    throw refused('onUnavailable', 'expected `onUnavailable` to be a function')
  if (typeof show !== 'function') throw refused('show', 'expected `show` to be a function')
  const retryMs = toMilliseconds(options.retry ?? '1s', 'retry')
  const heartbeatMs = toMilliseconds(options.heartbeat ?? '15s', 'heartbeat')
  if (heartbeatMs === 0) throw refused('heartbeat', 'expected `heartbeat` to be longer than nothing')
  const idleMs = toMilliseconds(options.idleAfter ?? '1m', 'idleAfter')
  return { retryMs, heartbeatMs, idleMs: idle === 'drop' ? idleMs : undefined, show, clock }
}

function refused(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
