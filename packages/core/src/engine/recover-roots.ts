import type { Definition } from '../definitions/definition.ts'
import { findDefinition } from '../definitions/registry.ts'
import { isTerminal } from '../machines/states.ts'
import type { Journal, JournalSummary } from '../ports/journal.ts'
import type { Nodes } from '../ports/nodes.ts'
import { readHistory } from './read-journal.ts'
import { recoverRoot } from './roots.ts'
import type { Run, RunHost } from './run.ts'
import { withStored } from './stored-options.ts'

/** The engine that recovers. */
interface Recovering extends RunHost {
  readonly journal: Journal
  readonly nodes: Nodes | undefined
  readonly node: string
}

const page = 100

/**
 * Claims and goes on with every unfinished root of the journal that is not live here, and not owned by another engine that
 * is there.
 *
 * @param isLeft - Tells which are for other nodes.
 */
export async function recoverRoots(
  host: Recovering,
  isLeft: (root: JournalSummary) => boolean = () => false,
): Promise<Run[]> {
  const recovered: Run[] = []
  let after = 0
  for (;;) {
    const roots = await host.journal.list({ ended: false, parent: null, limit: page, after })
    const orphans = await ownerless(
      host,
      roots.filter((root) => !isLeft(root)),
    )
    for (const { flowRunId } of orphans) {
      // A run that was just started with this id is refused soon, for its journal is there.
      const starting = host.rootOf(flowRunId)
      if (starting?.ledger.position === 0) await new Promise<void>((go) => starting.ledger.whenSafe(go))
      const run = host.rootOf(flowRunId) === undefined ? await tryRecover(host, flowRunId) : undefined
      if (run !== undefined) recovered.push(run)
    }
    after = roots.at(-1)?.order ?? after
    if (roots.length < page) return recovered
  }
}

/** Those that no engine owns which is there; all, where the journal does not know. */
async function ownerless(
  { nodes, node }: Recovering,
  roots: readonly JournalSummary[],
): Promise<readonly JournalSummary[]> {
  if (nodes === undefined) return roots
  const owners = new Set(roots.map((root) => root.node).filter((owner) => owner !== node))
  const gone = new Set(await nodes.gone([...owners]))
  return roots.filter((root) => root.node === node || gone.has(root.node))
}

/**
 * Claims a flow run and goes on with it.
 *
 * @param served - Flows as this engine serves them, which go before what else is defined.
 * @returns The run, or why it is left alone: it has ended, or is for an engine that has its version
 */
export async function recoverOne(
  host: Recovering,
  flowRunId: string,
  served: readonly Definition[] = [],
): Promise<Run | 'over' | 'pinned'> {
  const history = await readHistory(host.journal, flowRunId)
  if (history === undefined || isTerminal(history.root.stateName) || host.closed) return 'over'
  const live = host.rootOf(flowRunId)
  if (live !== undefined && live.ledger.position > 0) return live
  const { runKind, name, version, options } = history.root.submitted
  const own = served.filter((flow) => runKind === 'flow' && flow.name === name)
  const found =
    own.find((flow) => flow.version === version) ?? own[0] ?? findDefinition(runKind, name, version)
  const definition = withStored(found, options)
  const isPinned = definition.version !== version && definition.settings.onVersionChange === 'pin'
  return isPinned ? 'pinned' : recoverRoot(host, history, definition)
}

/** One that can't be recovered is reported, and does not hold up the others. */
async function tryRecover(host: Recovering, flowRunId: string): Promise<Run | undefined> {
  try {
    const run = await recoverOne(host, flowRunId)
    return typeof run === 'string' ? undefined : run
  } catch (error) {
    host.report(error, undefined)
    return undefined
  }
}
