import { findDefinition } from '../definitions/registry.ts'
import { isTerminal } from '../machines/states.ts'
import type { Journal } from '../ports/journal.ts'
import { readHistory } from './read-journal.ts'
import { recoverRoot } from './roots.ts'
import type { Run, RunHost } from './run.ts'

/** The engine that recovers. */
interface Recovering extends RunHost {
  readonly journal: Journal
}

/** Claims and goes on with every unfinished root of the journal that is not live here. */
export async function recoverRoots(host: Recovering): Promise<Run[]> {
  const recovered: Run[] = []
  let after = 0
  for (;;) {
    const page = await host.journal.list({ ended: false, parent: null, limit: 100, after })
    for (const { flowRunId } of page) {
      // A run that was just started with this id is refused soon, for its journal is there.
      const starting = host.rootOf(flowRunId)
      if (starting?.ledger.position === 0) await new Promise<void>((go) => starting.ledger.whenSafe(go))
      const run = host.rootOf(flowRunId) === undefined ? await recoverOne(host, flowRunId) : undefined
      if (run !== undefined) recovered.push(run)
    }
    after = page.at(-1)?.order ?? after
    if (page.length < 100) return recovered
  }
}

/** One that can't be recovered is reported, and does not hold up the others. */
async function recoverOne(host: Recovering, flowRunId: string): Promise<Run | undefined> {
  try {
    const history = await readHistory(host.journal, flowRunId)
    if (history === undefined || isTerminal(history.root.stateName) || host.closed) return undefined
    const live = host.rootOf(flowRunId)
    if (live !== undefined && live.ledger.position > 0) return live
    const { runKind, name, version } = history.root.submitted
    return recoverRoot(host, history, findDefinition(runKind, name, version))
  } catch (error) {
    host.report(error, undefined)
    return undefined
  }
}
