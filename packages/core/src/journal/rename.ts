import type { Entry } from './entries.ts'

/** Gives the new id of a flow run; the same one where it keeps its id. */
export type Rename = (flowRunId: string) => string

/** The new id of any run: that of a task run begins with its flow run's. */
export function renamedRun(runId: string, rename: Rename): string {
  const dot = runId.indexOf('.')
  return dot === -1 ? rename(runId) : rename(runId.slice(0, dot)) + runId.slice(dot)
}

/**
 * The entries of a journal with other ids of runs: its own, its parent's, its subflows'. Values are left as they are, and so
 * are the identities of calls, which may depend on ids that stand in arguments.
 */
export function renameRuns(entries: readonly Entry[], rename: Rename): Entry[] {
  return entries.map((entry) => {
    if (entry.kind === 'child') return { ...entry, flowRunId: rename(entry.flowRunId) }
    if (entry.kind !== 'submitted') return entry
    const runId = renamedRun(entry.runId, rename)
    if (entry.parentRunId === undefined) return { ...entry, runId }
    return { ...entry, runId, parentRunId: renamedRun(entry.parentRunId, rename) }
  })
}
