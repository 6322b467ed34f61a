import type { Run } from './run.ts'

/** A run and all live ones below it in the same journal. */
export function liveBelow(run: Run): Run[] {
  const children = run.body?.liveRuns.filter(({ ledger }) => ledger === run.ledger) ?? []
  return [run, ...children.flatMap(liveBelow)]
}

/** The live run of an id: `run`, or one below it in the same journal. */
export function findLive(run: Run, id: string): Run | undefined {
  if (run.id === id) return run
  for (const child of run.body?.liveRuns ?? []) {
    const found = child.ledger === run.ledger ? findLive(child, id) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** The flow run whose pause keeps a run from beginning: itself, or the one that it belongs to. */
export function pausedAbove(run: Run): Run | undefined {
  if (run.stateName === 'Paused') return run
  let above = run.caller
  while (above !== undefined && above.run.definition.kind === 'task') above = above.run.caller
  return above?.run.stateName === 'Paused' ? above.run : undefined
}
