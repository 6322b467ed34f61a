import type { Link } from '../connection/link.ts'
import { nodeToken } from '../thread/keys.ts'
import { isNobody } from '../thread/pings.ts'

/** The subject on which a node hears questions. */
export const questionsTo = (link: Link, node: string): string =>
  `${link.settings.namespace}.node.${nodeToken(node)}.ask`

/** Asks a node, as `ClusterNodes.ask` does. */
export async function askNode(
  link: Link,
  {
    node,
    question,
    withinMs,
  }: { readonly node: string; readonly question: Uint8Array; readonly withinMs: number },
): Promise<Uint8Array | undefined> {
  link.assertOpen()
  const bytes = question.slice()
  const connected = await link.control()
  if (!connected.up) return undefined
  try {
    const answer = await connected.nc.request(questionsTo(link, node), bytes, { timeout: withinMs })
    return new Uint8Array(answer.data)
  } catch (error) {
    link.assertOpen()
    // Nobody listens, nobody answers in time, or the connection was lost meanwhile.
    if (isNobody(error) || isSilence(error)) return undefined
    throw error
  }
}

function isSilence(error: unknown): boolean {
  return (
    error instanceof Error &&
    ['TimeoutError', 'ConnectionError', 'DrainingConnectionError'].includes(error.name)
  )
}
