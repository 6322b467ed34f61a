import type { MonoTypeOperatorFunction, OperatorFunction } from 'rxjs'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import {
  isTerminal,
  namesOfStates,
  type stateTypes,
  type StateName,
  type StateType,
} from '../machines/states.ts'
import { lifted } from './lifted.ts'
import type { Transition } from './transition.ts'

/** The name of a flow or of a task, or what has that name: the definition. @public */
export type Named = string | { readonly name: string }

/** The id of a run, or what has that id: a future, a handle. @public */
export type Identified = string | { readonly id: string }

/** A transition of a task run. @public */
export type TaskTransition = Transition & { readonly kind: 'task'; readonly task: string }

/** The names of states that a name or a type stands for. @public */
export type NamesOfStates<S extends StateName | StateType> = {
  [N in StateName]: N extends S ? N : (typeof stateTypes)[N] extends S ? N : never
}[StateName]

/** A transition into one of these states, given by name or by type. @public */
export type TransitionTo<S extends StateName | StateType> = Transition & {
  readonly to: { readonly type: (typeof stateTypes)[NamesOfStates<S>]; readonly name: NamesOfStates<S> }
}

/**
 * Lets through the transitions of flows of these names, those of their task runs too: what `flow` of the transition says.
 *
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function ofFlow<T extends Transition>(
  ...flows: readonly [Named, ...Named[]]
): MonoTypeOperatorFunction<T> {
  const names = namesOf(flows, 'ofFlow', 'flows')
  return only(({ flow }) => names.has(flow))
}

/**
 * Lets through the transitions of task runs of these names.
 *
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function ofTask<T extends Transition>(
  ...tasks: readonly [Named, ...Named[]]
): OperatorFunction<T, T & TaskTransition> {
  const names = namesOf(tasks, 'ofTask', 'tasks')
  return only(({ task }) => task !== undefined && names.has(task)) as OperatorFunction<T, T & TaskTransition>
}

/**
 * Lets through the transitions of one run; of a flow run, also those of the task runs in its journal.
 *
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function ofRun<T extends Transition>(run: Identified): MonoTypeOperatorFunction<T> {
  const id = idOf(run, 'ofRun')
  return only(({ runId, flowRunId }) => runId === id || flowRunId === id)
}

/**
 * Lets through the transitions into these states, given by name (`'Retrying'`) or by type (`'FAILED'`).
 *
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function ofType<S extends StateName | StateType, T extends Transition = Transition>(
  ...states: readonly [S, ...S[]]
): OperatorFunction<T, T & TransitionTo<S>> {
  if (states.length === 0) throw invalid('ofType takes names or types of states', 'nothing')
  const names = new Set(namesOfStates(states, 'states'))
  return only(({ to }) => names.has(to.name)) as OperatorFunction<T, T & TransitionTo<S>>
}

/**
 * Completes after the transition with which a run ends, and lets that one through. What is left out before, such as the run's own
 * transitions, is not seen: put filters after it.
 *
 * @param run - Default the flow run of the first transition that comes.
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function untilTerminal<T extends Transition>(run?: Identified): MonoTypeOperatorFunction<T> {
  const given = run === undefined ? undefined : idOf(run, 'untilTerminal')
  return lifted((to) => {
    let id = given
    return {
      next(transition) {
        id ??= transition.flowRunId
        to.next(transition)
        if (transition.runId === id && isTerminal(transition.to.name)) to.complete()
      },
    }
  })
}

function only<T extends Transition>(isAskedFor: (transition: T) => boolean): MonoTypeOperatorFunction<T> {
  return lifted((to) => ({
    next(transition) {
      if (isAskedFor(transition)) to.next(transition)
    },
  }))
}

function namesOf(given: readonly Named[], operator: string, kind: string): ReadonlySet<string> {
  const names = given.map((one) => (typeof one === 'string' ? one : nameOf(one)))
  if (names.length > 0 && names.every((name) => typeof name === 'string' && name !== ''))
    return new Set(names as string[])
  throw invalid(`${operator} takes ${kind}, or their names`, given.length === 0 ? 'nothing' : given)
}

function nameOf(named: { readonly name: string } | null | undefined): unknown {
  return named?.name
}

function idOf(run: Identified, operator: string): string {
  // A future is neither awaited nor shown as a text.
  const id: unknown = typeof run === 'string' ? run : (run as { readonly id?: unknown } | null)?.id
  if (typeof id === 'string' && id !== '') return id
  throw invalid(`${operator} takes a run, or its id`, run)
}

function invalid(what: string, got: unknown): UsageError {
  return new UsageError('INVALID_OPTION', `${what}; got ${inWords(got)}`)
}
