import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { stateTypes, type StateName } from '../machines/states.ts'
import type { Transition } from './transition.ts'

/** What a transition says of its run. */
export interface Shown {
  readonly id: string
  readonly runName: string
  readonly definition: { readonly kind: 'flow' | 'task'; readonly name: string }
  /** Newest committed entry about its state, before this one. */
  readonly entry: { readonly to: StateName } | undefined
  readonly caller: { readonly run: { readonly id: string } } | undefined
}

/** A transition made from the run that is live here, as a reader of its journal would make it. */
export function liveTransition(
  run: Shown,
  entry: SubmittedEntry | TransitionEntry,
  where: {
    readonly flowRunId: string
    readonly flow: string
    readonly position: number
    readonly node: string
  },
): Transition {
  const { kind, name } = run.definition
  const from = run.entry?.to
  const message = entry.kind === 'transition' ? entry.message : undefined
  return {
    flowRunId: where.flowRunId,
    runId: run.id,
    kind,
    flow: where.flow,
    ...(kind === 'task' ? { task: name } : undefined),
    runName: run.runName,
    from: from === undefined || entry.kind === 'submitted' ? null : { type: stateTypes[from], name: from },
    to: { type: stateTypes[entry.to], name: entry.to, ...(message === undefined ? undefined : { message }) },
    seq: entry.kind === 'submitted' ? 1 : entry.seq,
    position: where.position,
    attempt: entry.kind === 'submitted' ? 1 : entry.attempt,
    at: entry.at,
    node: where.node,
    ...(run.caller === undefined ? undefined : { parentRunId: run.caller.run.id }),
  }
}
