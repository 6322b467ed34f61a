import type { Nodes } from '../ports/nodes.ts'
import type { Station } from '../ports/transport.ts'
import type { EngineHealth } from './engine-options.ts'

interface Host {
  readonly closing: boolean
  /** Why it was closed, where it could not be open. */
  readonly refusal: unknown
  readonly nodes: Nodes | undefined
  /** Whether the other nodes know of it. */
  readonly isThere: boolean
}

/** Whether an engine takes work just now. */
export function readiness(
  host: Host,
  station: Station | undefined,
): Pick<EngineHealth, 'open' | 'ready' | 'unready'> {
  const why = whyNot(host, station)
  return { open: !host.closing, ready: why === undefined, unready: why === undefined ? [] : [why] }
}

function whyNot(
  { closing, refusal, nodes, isThere }: Host,
  station: Station | undefined,
): string | undefined {
  if (refusal !== undefined)
    return refusal instanceof Error ? `it was closed: ${refusal.message}` : 'it was closed'
  if (closing) return 'it is closing, or closed'
  const trouble = station?.trouble?.()
  if (trouble !== undefined || nodes === undefined || isThere) return trouble
  return 'the other nodes do not know of it yet'
}
