import { TroupeError } from '@troupe/core'

/** What is used of the response of Node's `http`, and so of Express. @public */
export interface NodeResponse {
  statusCode: number
  readonly destroyed: boolean
  setHeader(name: string, value: string | readonly string[]): unknown
  flushHeaders(): void
  /** False where it wants to be written to again only after `drain`. */
  write(chunk: Uint8Array): boolean
  end(): unknown
  destroy(): unknown
  on(event: 'close' | 'drain' | 'error', listener: () => void): unknown
  off(event: 'close' | 'drain' | 'error', listener: () => void): unknown
}

/**
 * Writes a web-standard `Response` to a response of Node's `http`, for servers that take none: Express, and Node's own. It reads
 * on only when the client has taken what was written, and stops when the client has gone.
 *
 * Resolves when all is written, or the client has gone.
 *
 * @example app.get('/orders/:id/events', (req, res) => sendResponse(res, transitionResponse(engine.watch({ … }), req)))
 * @throws what the response rejects with, and what its body fails with; the connection is cut then (all as rejections)
 * @public
 */
export async function sendResponse(to: NodeResponse, response: Response | Promise<Response>): Promise<void> {
  const { status, headers, body } = await response
  const reader = body?.getReader()
  if (to.destroyed) {
    await reader?.cancel()
    return
  }
  to.statusCode = status
  for (const [name, value] of headers) if (name !== 'set-cookie') to.setHeader(name, value)
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) to.setHeader('set-cookie', cookies)
  if (reader === undefined) {
    to.end()
    return
  }
  await pump(reader, to)
}

async function pump(reader: ReadableStreamDefaultReader<Uint8Array>, to: NodeResponse): Promise<void> {
  let goOn: (() => void) | undefined
  const drained = (): void => goOn?.()
  const gone = (): void => {
    void reader.cancel().catch(() => undefined) // where the body has failed, its read says so
    goOn?.()
  }
  to.on('close', gone)
  to.on('error', gone)
  to.on('drain', drained)
  // It may fail while nobody reads, for that very reason.
  const failed = reader.closed.catch((error: unknown) => {
    to.destroy()
    if (!TroupeError.is(error, 'WATCHER_DROPPED')) throw error
  })
  // It is looked at below, maybe much later.
  failed.catch(() => undefined)
  try {
    to.flushHeaders()
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }) as const)
      if (done || to.destroyed) break
      if (to.write(value)) continue
      await new Promise<void>((resolve) => {
        goOn = resolve
        if (to.destroyed) resolve()
      })
      goOn = undefined
    }
    if (!to.destroyed) to.end()
    else await reader.cancel().catch(() => undefined)
    await failed
  } finally {
    to.off('close', gone)
    to.off('error', gone)
    to.off('drain', drained)
  }
}
