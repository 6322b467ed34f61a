import { runNameOf } from '../base/ids.ts'
import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { stateNames, stateTypes, type StateName, type StateType } from '../machines/states.ts'
import type { Transition } from './transition.ts'

/** What a transition says of its run. */
export interface Shown {
  readonly id: string
  readonly index: number
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
    readonly startedAt: number
    readonly position: number
    readonly node: string
  },
): Transition {
  const { kind, name } = run.definition
  const submitted = entry.kind === 'submitted'
  const from = submitted ? undefined : run.entry?.to
  // Written out, and optional properties added after: this is made for each transition, and spreads are slow.
  const transition: { -readonly [K in keyof Transition]: Transition[K] } = {
    flowRunId: where.flowRunId,
    runId: run.id,
    kind,
    flow: where.flow,
    // A run may have been named by its arguments since it was submitted.
    runName: submitted ? runNameOf(entry.runName, name, run.index) : run.runName,
    from: from === undefined ? null : typed[from],
    to:
      submitted || entry.message === undefined
        ? typed[entry.to]
        : { ...typed[entry.to], message: entry.message },
    seq: submitted ? 1 : entry.seq,
    position: where.position,
    attempt: submitted ? 1 : entry.attempt,
    at: entry.at,
    startedAt: where.startedAt,
    node: where.node,
  }
  if (kind === 'task') transition.task = name
  if (!submitted && entry.host !== undefined) transition.host = entry.host
  if (run.caller !== undefined) transition.parentRunId = run.caller.run.id
  return transition
}

/** Each state with its type; shared by all transitions, for they only read it. */
const typed = Object.fromEntries(
  stateNames.map((name) => [name, Object.freeze({ type: stateTypes[name], name })]),
) as Readonly<Record<StateName, { readonly type: StateType; readonly name: StateName }>>
