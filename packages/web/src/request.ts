import type { Transition } from '@troupe/core'

/**
 * What is read of a request: a web-standard `Request` is one, and so are the requests of Node, Express and Fastify.
 *
 * @public
 */
export interface WatchRequest {
  /** Default `GET`. */
  readonly method?: string | undefined
  /** An address, or its path; of it, only the query is read. */
  readonly url?: string | undefined
  readonly headers:
    | { get(name: string): string | null }
    | { readonly [name: string]: string | readonly string[] | undefined }
  /** Aborted when the client has gone. */
  readonly signal?: AbortSignal | undefined
}

/** The query parameter that says where to begin, for those that can't set a header. */
const parameter = 'lastEventId'

/** The id of the last event of a run that has ended. */
export const endId = 'end'

/** Where a client was, as the id of the last event that it got says. */
export interface Place {
  readonly flowRunId: string
  readonly position: number
  /** When the flow run was started: whole milliseconds; undefined where the id does not say so. */
  readonly startedAt: number | undefined
}

/** The id of the event of a transition. */
export function idOf({ flowRunId, position, startedAt }: Transition): string {
  return `${flowRunId}:${position}:${Math.floor(startedAt)}`
}

/** Whether a client that was at a place has had a transition: of this flow run, not of an earlier one of its id. */
export function hasHad(place: Place | undefined, { flowRunId, position, startedAt }: Transition): boolean {
  if (place === undefined || place.flowRunId !== flowRunId || position > place.position) return false
  // Journals may keep whole milliseconds.
  return place.startedAt === undefined || Math.abs(place.startedAt - Math.floor(startedAt)) <= 1
}

/** A header of a request, whatever it is a request of. */
export function headerOf(headers: WatchRequest['headers'], name: string): string | undefined {
  if (typeof headers.get === 'function') return headers.get(name) ?? undefined
  const value = (headers as { readonly [name: string]: string | readonly string[] | undefined })[name]
  return typeof value === 'string' ? value : value?.[0]
}

/**
 * Where the client was. The header is the newer one: an EventSource repeats the address that it was made with.
 *
 * @returns Undefined for a client that begins, and for an id that is none of ours: it begins anew.
 */
export function placeOf(request: WatchRequest): Place | typeof endId | undefined {
  const { url = '' } = request
  const at = url.indexOf('?')
  const query = at === -1 ? undefined : new URLSearchParams(url.slice(at)).get(parameter)
  const id = headerOf(request.headers, 'last-event-id') ?? query ?? ''
  if (id === endId) return endId
  const [, flowRunId, position, startedAt] = /^([\w-]+):(\d{1,15})(?::(\d{1,15}))?$/.exec(id) ?? []
  if (flowRunId === undefined) return undefined
  return {
    flowRunId,
    position: Number(position),
    startedAt: startedAt === undefined ? undefined : Number(startedAt),
  }
}
