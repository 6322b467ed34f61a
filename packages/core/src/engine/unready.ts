import type { Station } from '../ports/transport.ts'

interface Host {
  readonly closing: boolean
  /** Why it was closed, where it could not be open. */
  readonly refusal: unknown
  /** Whether others are to know of it. */
  readonly isNode: boolean
  /** Whether they do. */
  readonly isThere: boolean
}

/** What keeps an engine from taking work just now, in words for people. */
export function unready(host: Host, station: Station | undefined): readonly string[] {
  const { closing, refusal, isNode, isThere } = host
  if (refusal !== undefined)
    return [`it was closed: ${refusal instanceof Error ? refusal.message : String(refusal)}`]
  if (closing) return ['it is closing, or closed']
  const trouble = station?.trouble?.()
  if (trouble !== undefined) return [trouble]
  return isNode && !isThere ? ['the other nodes do not know of it yet'] : []
}
