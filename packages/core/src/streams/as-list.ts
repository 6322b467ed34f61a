import type { OperatorFunction } from 'rxjs'
import type { StateName, StateType } from '../machines/states.ts'
import { lifted } from './lifted.ts'

/** What a live query says of a run: plain data, and no value. @public */
export interface RunSummary {
  /** Id of the flow run; of a task run outside any flow, its own. */
  readonly id: string
  readonly kind: 'flow' | 'task'
  /** Name of the flow; of the task, where a task run outside any flow is meant. */
  readonly flow: string
  readonly version: string
  readonly runName: string
  readonly state: { readonly type: StateType; readonly name: StateName }
  readonly tags: readonly string[]
  /** When it was started, and when it reached its state: wall time in milliseconds since 1970. */
  readonly startedAt: number
  readonly changedAt: number
  /** The node that owns it, or did last; empty while none has. */
  readonly node: string
  /** The run that started it, of subflows. */
  readonly parentRunId?: string
  /** Place in the order of creation. */
  readonly order: number
}

/**
 * What a live query tells: first what there is, then what becomes of it.
 *
 * @public
 */
export type RunsChange =
  | { readonly kind: 'list'; readonly runs: readonly RunSummary[]; readonly newestFirst: boolean }
  | { readonly kind: 'added' | 'changed'; readonly run: RunSummary }
  /** It is no longer one of those that were asked for: as its state says, or it was forgotten, or others come before it. */
  | { readonly kind: 'removed'; readonly run: RunSummary }

/**
 * Folds what a live query tells to the list as it is: a new array for each change, in the order of the query.
 *
 * @public
 */
export function asList(): OperatorFunction<RunsChange, readonly RunSummary[]> {
  return lifted((to) => {
    let runs: readonly RunSummary[] = []
    let newestFirst = false
    return {
      next(change) {
        if (change.kind === 'list') {
          runs = [...change.runs]
          newestFirst = change.newestFirst
        } else {
          const others = runs.filter(({ id }) => id !== change.run.id)
          if (change.kind !== 'removed')
            others.splice(placeOf(others, change.run.order, newestFirst), 0, change.run)
          runs = others
        }
        to.next(runs)
      },
    }
  })
}

/** Where one of this order is to stand: behind all that come before it, and behind an equal one. */
export function placeOf(
  sorted: readonly { readonly order: number }[],
  order: number,
  newestFirst: boolean,
): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = sorted[middle]?.order ?? 0
    if (newestFirst ? at >= order : at <= order) low = middle + 1
    else high = middle
  }
  return low
}
