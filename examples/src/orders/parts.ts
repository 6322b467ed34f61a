/** For this demonstration only: the page sees the processes of the service, and may kill them. */
import type { Hono } from 'hono'

export interface Part {
  readonly name: string
  readonly isUp: boolean
  /** How often it was started. */
  readonly starts: number
}

/** What a node hears from the supervisor. */
export interface PartsMessage {
  readonly parts: readonly Part[]
}

/** What a node asks of the supervisor. */
export interface KillMessage {
  /** A part, or `all` of them in one moment. */
  readonly kill: string
  /** Which of its lives is meant, of all of them the sum: what is asked twice, for the answer was lost, kills once. */
  readonly start: number
}

export function partsOf(app: Hono): () => readonly Part[] {
  let parts: readonly Part[] = []
  process.on('message', (message: PartsMessage) => (parts = message.parts))
  app.post('/parts/:name/:start/kill', (c) => {
    const { name, start } = c.req.param()
    const message: KillMessage = { kill: name, start: Number(start) }
    process.send?.(message)
    return c.body(null, process.send === undefined ? 404 : 202)
  })
  return () => parts
}
