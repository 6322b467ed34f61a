import type { ActorLogic, ActorScope, ActorSystem, Snapshot } from 'xstate'
import { newRootId } from '../base/ids.ts'
import type { Flow } from '../definitions/flow.ts'
import type { RunState } from '../machines/states.ts'
import { systemRandom } from '../ports/random.ts'
import type { Args, FlowRun, FlowRunHandle } from '../runs/types.ts'

type System = ActorSystem<{ actors: Record<string, never> }>

/**
 * What an actor of a flow run tells: `done` with the run's value as `output`, or `error` with what it ended with. It can be
 * persisted, and restored: the actor then follows the same run.
 *
 * @public
 */
export type FlowActorSnapshot<R, I> = Snapshot<R> & {
  readonly input: I
  /** Undefined until the run has been started. */
  readonly runId: string | undefined
  /** Newest state of the run; undefined until it has one. */
  readonly state: RunState | undefined
}

/** What can be sent to an actor of a flow run; each does what the method of {@link FlowRun} does. @public */
export type FlowActorEvent =
  | { readonly type: 'signal'; readonly name: string; readonly payload?: unknown }
  | { readonly type: 'pause' }
  | { readonly type: 'resume'; readonly input?: unknown }
  | { readonly type: 'cancel'; readonly reason?: string }

/** Emitted where the run does not take what was sent to it: it has ended, say, or its schema refuses an input. @public */
export interface FlowActorRefused {
  readonly type: 'refused'
  readonly event: FlowActorEvent
  readonly error: unknown
}

/** @public */
export interface FlowActorOptions {
  /**
   * What becomes of a run that has not ended when its actor is stopped, as it is when a machine leaves the state that invoked
   * it: cancelled (`'cancel'`, the default), or nothing (`'leave'`).
   */
  readonly whenStopped?: 'cancel' | 'leave'
}

/** @public */
export interface FromFlowOptions<A extends readonly unknown[]> extends FlowActorOptions {
  /** Id of the flow run; default a new one for each actor. Letters, digits, `-` and `_`, up to 64. */
  readonly id?: (args: A) => string
}

/** @public */
export type FlowActorLogic<R, I> = ActorLogic<
  FlowActorSnapshot<R, I>,
  FlowActorEvent,
  I,
  System,
  FlowActorRefused
>

/**
 * Actor logic that starts a flow run and follows it to its end, for `createActor` and `invoke`. The input is the list of the
 * flow's arguments; the output is the run's value. A persisted actor that is restored follows the run that it had started: its
 * id is kept in the snapshot, so it starts nothing twice where the journal is durable.
 *
 * @param flow - With `flow.with({ engine })` where more than one engine is open.
 * @public
 */
export function fromFlow<A extends readonly unknown[], R>(
  flow: Flow<A, R>,
  options: FromFlowOptions<Args<A>> = {},
): FlowActorLogic<R, Args<A>> {
  const newId = options.id ?? ((): string => newRootId(systemRandom()))
  return logic((input, id) => flow.with({ id })(...input), newId, options)
}

/**
 * Actor logic that follows a flow run which is started, or looked up, in any other way: on whichever node serves it, by the name
 * of its flow, by its id.
 *
 * @param start - Called with the input when the actor starts, and again when it is restored: it must give the same run then,
 * by an id or an `idempotencyKey`.
 * @public
 */
export function fromRun<I, R>(
  start: (input: I) => FlowRun<R> | FlowRunHandle<R> | Promise<FlowRunHandle<R>>,
  options: FlowActorOptions = {},
): FlowActorLogic<R, I> {
  return logic(start, () => undefined, options)
}

/** What the actor tells itself of its run. */
type News<R> =
  | { readonly type: 'troupe.run'; readonly run: FlowRunHandle<R> }
  | { readonly type: 'troupe.state'; readonly state: RunState }
  | { readonly type: 'troupe.value'; readonly value: R }
  | { readonly type: 'troupe.error'; readonly error: unknown }
  | { readonly type: 'xstate.stop' }

type Started<R> = FlowRun<R> | FlowRunHandle<R> | Promise<FlowRunHandle<R>>

function logic<I, R>(
  start: (input: I, id: string) => Started<R>,
  newId: (input: I) => string | undefined,
  { whenStopped = 'cancel' }: FlowActorOptions,
): FlowActorLogic<R, I> {
  type Shown = FlowActorSnapshot<R, I>
  type Scope = ActorScope<Shown, FlowActorEvent, System, FlowActorRefused>
  const followed = new WeakMap<object, Following<R>>()
  return {
    config: start,
    getInitialSnapshot: (_, input) => ({
      status: 'active',
      output: undefined,
      error: undefined,
      input,
      runId: newId(input),
      state: undefined,
    }),
    getPersistedSnapshot: (snapshot) => snapshot,
    restoreSnapshot: (snapshot) => snapshot as Shown,
    start: (snapshot, { self }) => {
      if (snapshot.status !== 'active') return
      // Its own news are events like any other, which its type does not show to others.
      const tell = self.send.bind(self) as unknown as (news: News<R>) => void
      followed.set(self, new Following(() => start(snapshot.input, snapshot.runId ?? ''), tell))
    },
    transition: (snapshot, given, scope: Scope) => {
      if (snapshot.status !== 'active') return snapshot
      const event = given as FlowActorEvent | News<R>
      switch (event.type) {
        case 'troupe.run':
          return { ...snapshot, runId: event.run.id, state: event.run.state }
        case 'troupe.state':
          return { ...snapshot, state: event.state }
        case 'troupe.value':
          return { ...snapshot, status: 'done', output: event.value } as Shown
        case 'troupe.error':
          return { ...snapshot, status: 'error', error: event.error } as Shown
        case 'xstate.stop':
          followed.get(scope.self)?.stop(whenStopped)
          return { ...snapshot, status: 'stopped' } as Shown
        case 'signal':
        case 'pause':
        case 'resume':
        case 'cancel':
          followed.get(scope.self)?.send(event, (error) => scope.emit({ type: 'refused', event, error }))
          return snapshot
        default:
          // A machine may send what is meant for others, as to every actor.
          return snapshot
      }
    },
  }
}

/** A run, for one actor. */
class Following<R> {
  readonly #tell: (news: News<R>) => void
  readonly #run: Promise<FlowRunHandle<R>>
  #over = false
  #unsubscribe = (): void => undefined

  constructor(start: () => Started<R>, tell: (news: News<R>) => void) {
    this.#tell = (news) => {
      if (!this.#over) tell(news)
    }
    this.#run = this.#follow(start)
    this.#run.catch((error: unknown) => this.#end({ type: 'troupe.error', error }))
  }

  async #follow(start: () => Started<R>): Promise<FlowRunHandle<R>> {
    const started = start()
    // The run itself is a promise of its value.
    const run = 'handle' in started ? started.handle : await started
    this.#tell({ type: 'troupe.run', run })
    const end = run.result().then(
      (value): News<R> => ({ type: 'troupe.value', value }),
      (error: unknown): News<R> => ({ type: 'troupe.error', error }),
    )
    // The end comes after the states, which are read from the journal; where that fails, at once.
    const toldEnd = (): void => void end.then((news) => this.#end(news))
    const states = run.states.subscribe({
      next: (state) => this.#tell({ type: 'troupe.state', state }),
      error: toldEnd,
      complete: toldEnd,
    })
    this.#unsubscribe = () => states.unsubscribe()
    if (this.#over) this.#unsubscribe()
    return run
  }

  #end(news: News<R>): void {
    this.#tell(news)
    this.#over = true
    this.#unsubscribe()
  }

  send(event: FlowActorEvent, refused: (error: unknown) => void): void {
    this.#run.then((run) => act(run, event)).catch(refused)
  }

  stop(whenStopped: 'cancel' | 'leave'): void {
    this.#over = true
    this.#unsubscribe()
    if (whenStopped === 'leave') return
    // Where it can't be cancelled it has ended, or its engine is closed and another one goes on with it.
    this.#run.then((run) => run.cancel('its actor was stopped')).catch(() => undefined)
  }
}

async function act(run: FlowRunHandle<unknown>, event: FlowActorEvent): Promise<void> {
  switch (event.type) {
    case 'signal':
      return run.signal(event.name, event.payload)
    case 'pause':
      return void (await run.pause())
    case 'resume':
      return void (await ('input' in event ? run.resume(event.input) : run.resume()))
    case 'cancel':
      return void (await run.cancel(event.reason))
  }
}
