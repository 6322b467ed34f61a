import type { Observable, Observer, Subscription } from 'rxjs'
import type { ActorRefLike, AnyActorRef, AnyStateMachine, InspectionEvent } from 'xstate'
import { flowRunMachine } from '../machines/flow-run-machine.ts'
import { isTerminal, type StateName } from '../machines/states.ts'
import { taskRunMachine } from '../machines/task-run-machine.ts'
import type { Transition } from '../streams/transition.ts'

/**
 * Tells an inspector of XState what runs do: each flow run and task run is an actor with its machine, and each transition an
 * event and a snapshot, in the order of the stream. For `inspect` of `@statelyai/inspect`, or whatever `createActor` takes there.
 *
 * What it shows is committed, and may come from any node; so it is made of transitions and not of the actors themselves. It
 * holds a line for each run that has not ended.
 *
 * @param transitions - Such as `engine.transitions`, or `engine.watch({ flow: 'orders' })`.
 * @param inspect - An observer of inspection events, or a function.
 * @returns The subscription; it ends where the stream does.
 * @public
 */
export function inspectRuns(
  transitions: Observable<Transition>,
  inspect: Partial<Observer<InspectionEvent>> | ((event: InspectionEvent) => void),
): Subscription {
  const tell = typeof inspect === 'function' ? inspect : (event: InspectionEvent) => inspect.next?.(event)
  const shown = new Map<string, ShownRun>()
  return transitions.subscribe({
    next: (transition) => {
      const { runId, parentRunId } = transition
      const known = shown.get(runId)
      const run =
        known ?? new ShownRun(transition, parentRunId === undefined ? undefined : shown.get(parentRunId))
      const event = run.enter(transition)
      const { ref: actorRef, rootId, caller } = run
      if (known === undefined) {
        shown.set(runId, run)
        tell({ type: '@xstate.actor', actorRef, rootId })
      }
      tell({ type: '@xstate.event', actorRef, rootId, sourceRef: caller?.ref, event })
      tell({ type: '@xstate.snapshot', actorRef, rootId, event, snapshot: actorRef.getSnapshot() })
      if (isTerminal(transition.to.name)) shown.delete(runId)
    },
    error: (error: unknown) => {
      if (typeof inspect !== 'function') inspect.error?.(error)
    },
    complete: () => {
      if (typeof inspect !== 'function') inspect.complete?.()
    },
  })
}

interface RunEventShown {
  readonly type: string
  readonly [key: string]: unknown
}

/** What an inspector takes for the actor of a run. */
class ShownRun {
  readonly caller: ShownRun | undefined
  /** Session of the topmost run that is known. */
  readonly rootId: string
  readonly ref: ActorRefLike
  readonly #machine: AnyStateMachine
  #snapshot: ReturnType<AnyActorRef['getSnapshot']>

  constructor({ kind, runId, runName }: Transition, caller: ShownRun | undefined) {
    this.caller = caller
    this.rootId = caller?.rootId ?? runId
    this.#machine = kind === 'flow' ? flowRunMachine : taskRunMachine
    // Inspectors read more of an actor than their types say: its name, its machine and its parent.
    const ref: ActorRefLike & { id: string; logic: AnyStateMachine; _parent: ActorRefLike | undefined } = {
      id: runName,
      sessionId: runId,
      logic: this.#machine,
      _parent: caller?.ref,
      getSnapshot: () => this.#snapshot,
      // A run is steered by its handle.
      send: () => undefined,
    }
    this.ref = ref
  }

  /** @returns The event that a machine would have had to get. */
  enter({ from, to, attempt, node, host, at, seq, position }: Transition): RunEventShown {
    const where = host === undefined ? { node } : { node, host }
    this.#snapshot = this.#machine.resolveState({ value: to.name, context: { attempt, ...where } })
    const type = from === null ? 'xstate.init' : eventBetween(this.#machine, from.name, to.name)
    const message = to.message === undefined ? undefined : { message: to.message }
    return { type, ...message, attempt, ...where, at, seq, position }
  }
}

/** The event that leads from one state to another; where none does, as for what is told of a former owner, the state's name. */
function eventBetween(machine: AnyStateMachine, from: StateName, to: StateName): string {
  const edges = machine.root.states[from]?.transitions.values() ?? []
  for (const edge of edges) {
    for (const { eventType, target } of edge) {
      if (target?.some(({ key }) => key === to) === true) return eventType
    }
  }
  return to
}
