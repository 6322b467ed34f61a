/**
 * For browsers, and all that has `fetch`: follows what `transitionResponse` of `@troupe/web` sends. It depends on nothing.
 *
 * @packageDocumentation
 */

/** @public */
export interface FollowOptions extends Omit<RequestInit, 'signal' | 'headers'> {
  /** Ends it, at once. */
  readonly signal?: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
  /**
   * After how many milliseconds without a byte a connection counts as dead; default 45,000, three heartbeats of the server.
   */
  readonly quiet?: number
}

/** The server will not tell: the run is unknown, say. @public */
export class FollowError extends Error {
  /** Of the response. */
  readonly status: number

  constructor(status: number, address: string) {
    super(`${address} answered ${status}`)
    this.status = status
  }
}

const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })

/**
 * Transitions as the server has them: those that were, then those that come; each once and in order, also where the connection
 * is lost, or the server starts anew. Ends when the run has ended, or `signal` is aborted.
 *
 * A connection that is lost is made again, after what the server asks for (a second) at first, and up to half a minute later.
 *
 * @example for await (const { runName, to } of follow('/orders/17/events')) show(runName, to.name)
 * @throws {@link FollowError} where the server refuses, with a status from 400 to 499, or answers with something else than events
 * @public
 */
export async function* follow<T>(
  address: string | URL,
  { signal, quiet = 45_000, headers, ...init }: FollowOptions = {},
): AsyncGenerator<T, void, undefined> {
  /** Position of the last transition of each flow run, and when that was started. A server that begins anew repeats what was. */
  const seen = new Map<string, readonly [position: number, startedAt: number]>()
  let last = ''
  let retry = 1000
  let failures = 0
  while (!signal?.aborted) {
    const connection = new AbortController()
    const abort = (): void => connection.abort()
    signal?.addEventListener('abort', abort)
    let timer = setTimeout(abort, quiet)
    try {
      const response = await fetch(address, {
        ...init,
        headers: { ...headers, accept: 'text/event-stream', ...(last && { 'last-event-id': last }) },
        signal: connection.signal,
      })
      const { status, body } = response
      if (status === 204) return
      const isEvents = response.headers.get('content-type')?.startsWith('text/event-stream')
      if (status < 500 && status !== 429 && status !== 408 && !isEvents)
        throw new FollowError(status, String(address))
      const reader = isEvents && body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (reader) {
        const { done, value } = await reader.read()
        clearTimeout(timer)
        if (done) break
        failures = 0
        const events = (text + value).split('\n\n')
        text = events.pop() ?? ''
        for (const event of events) {
          const field = Object.fromEntries(event.split('\n').map((line) => line.split(/: ([^]*)/)))
          if (field.retry) retry = +field.retry
          if (field.event === 'end') return
          if (!field.data) continue
          last = field.id
          const [flowRunId, position, startedAt = 0] = last.split(':') as [string, string, string?]
          const [had, since] = seen.get(flowRunId) ?? [0, 0]
          // A flow run may have got the id of one that was forgotten. Journals may keep whole milliseconds.
          if (+position <= had && Math.abs(+startedAt - since) < 2) continue
          seen.set(flowRunId, [+position, +startedAt])
          yield JSON.parse(field.data) as T
          if (signal?.aborted) return
        }
        timer = setTimeout(abort, quiet)
      }
    } catch (error) {
      if (error instanceof FollowError) throw error
      // Else the connection failed, and is made again.
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      abort()
    }
    // Not all at once, where many were cut off together.
    if (!signal?.aborted)
      await sleep(Math.min(retry * 2 ** failures++, 30_000) * (0.5 + Math.random()), signal)
  }
}
