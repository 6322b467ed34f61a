import type { ActorLogic, AnyStateMachine, AnyStateNode, EventFromLogic, SnapshotFrom } from 'xstate'

/** What actors of a machine run whose plain steps are remembered. */
export type Remembering<M extends AnyStateMachine> = ActorLogic<SnapshotFrom<M>, EventFromLogic<M>>

/**
 * Logic for actors of a machine that lets XState decide each plain step once.
 *
 * A step is plain where the machine's own edges say that nothing counts but the snapshot and the type of the event: no guard
 * asks for more of the event, and the edge that is taken has no action. What XState decides about a plain step of a snapshot that many actors share holds for all of
 * them: later ones are handed the very snapshot that it gave. Any other step, and each of a snapshot that an actor has to
 * itself, is decided when it comes.
 *
 * One snapshot is shared for each state at most, so what is remembered does not grow with the number of actors.
 *
 * @param machine - Its states are atomic or final, and its snapshots have neither children nor a history.
 * @param first - What all actors begin with that are not restored.
 * @param askContextAlone - Names of the guards that look at the context and at nothing else.
 */
export function remembering<M extends AnyStateMachine>(
  machine: M,
  first: SnapshotFrom<M>,
  askContextAlone: ReadonlySet<string>,
): Remembering<M> {
  const steps = new Steps(machine, first, askContextAlone)
  const hearsOfEnds = machine.events.some((type) => type.startsWith('xstate') || type.includes('*'))
  return {
    config: machine,
    transition: (snapshot, event, scope) => {
      if (!hearsOfEnds && isEndBelow(event)) return snapshot
      return (
        steps.after(snapshot, event.type) ??
        steps.remember(snapshot, event.type, machine.transition(snapshot, event, scope) as SnapshotFrom<M>)
      )
    },
    getInitialSnapshot: () => first,
    getPersistedSnapshot: (snapshot, options) => machine.getPersistedSnapshot(snapshot, options),
    // One that is shared is as it was made: there is nothing to restore in it.
    restoreSnapshot: (snapshot, scope) =>
      steps.shares(snapshot)
        ? (snapshot as SnapshotFrom<M>)
        : (machine.restoreSnapshot(snapshot, scope) as SnapshotFrom<M>),
  }
}

/**
 * Whether the event tells an actor that one below has come to its end, which changes nothing where no edge is for it. By what it
 * holds: its type is a new text for each actor, and costs more than the step.
 */
function isEndBelow(event: object): boolean {
  return 'actorId' in event && 'output' in event
}

interface Stated {
  readonly value: unknown
}

/** The plain steps of a machine from one snapshot on. */
class Steps<S extends Stated> {
  readonly #machine: AnyStateMachine
  readonly #askContextAlone: ReadonlySet<string>
  readonly #shared = new Map<unknown, S>()
  readonly #next: Map<unknown, Map<string, S>>

  constructor(machine: AnyStateMachine, first: S, askContextAlone: ReadonlySet<string>) {
    this.#machine = machine
    this.#askContextAlone = askContextAlone
    this.#next = new Map([[first, new Map()]])
    this.#shared.set(first.value, first)
  }

  shares(snapshot: unknown): boolean {
    return this.#next.has(snapshot)
  }

  after(snapshot: S, event: string): S | undefined {
    return this.#next.get(snapshot)?.get(event)
  }

  /** @returns What came of the step: the snapshot of that state that is shared, where the step is plain. */
  remember(from: S, event: string, to: S): S {
    const next = this.#next.get(from)
    if (next === undefined || !this.#isPlain(from, event, to)) return to
    // The context is that of `from`, and so of all that are shared.
    const shared = this.#shared.get(to.value) ?? to
    this.#shared.set(to.value, shared)
    next.set(event, shared)
    if (!this.#next.has(shared)) this.#next.set(shared, new Map())
    return shared
  }

  #isPlain(from: S, event: string, to: S): boolean {
    const source = this.#stateOf(from)
    const target = this.#stateOf(to)
    if (source === undefined || target === undefined || !isQuiet(source) || !isQuiet(target)) return false
    const edges = source.transitions.get(event) ?? []
    const taken = edges.filter((edge) => edge.target?.[0] === target)
    if (taken.length === 0 || taken.some(({ actions }) => actions.length > 0)) return false
    return edges.every(
      ({ guard }) => guard === undefined || (typeof guard === 'string' && this.#askContextAlone.has(guard)),
    )
  }

  #stateOf({ value }: S): AnyStateNode | undefined {
    return this.#machine.root.states[String(value)] as AnyStateNode | undefined
  }
}

/** Whether nothing is done when the state is entered or left. */
function isQuiet({ type, entry, exit, invoke, always }: AnyStateNode): boolean {
  const isSimple = type === 'atomic' || type === 'final'
  return isSimple && entry.length + exit.length + invoke.length === 0 && always === undefined
}
