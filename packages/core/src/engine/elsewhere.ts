import type { Observable } from 'rxjs'
import type { Clock } from '../ports/clock.ts'
import type { RunState } from '../machines/states.ts'
import type { Transition } from '../streams/transition.ts'

/** A run that this engine does not own, as the engine sees it: from its journal. */
export interface ElsewhereHost {
  readonly clock: Clock
  untilEnd(
    runId: string,
  ): Promise<
    | { readonly state: RunState; readonly value: unknown }
    | { readonly state: RunState; readonly error: unknown }
  >
  watch(runId: string): Observable<Transition>
  watchStates(runId: string): Observable<RunState>
}

interface Names {
  readonly kind: 'flow' | 'task'
  readonly name: string
  readonly runName: string
}

/** A run that can't be steered from here: only its owner moves a run. Calls resolve with the state as it is. */
abstract class Unsteered {
  readonly kind: 'flow' | 'task'
  readonly name: string
  readonly runName: string
  abstract state: RunState
  looked = true

  constructor({ kind, name, runName }: Names) {
    this.kind = kind
    this.name = name
    this.runName = runName
  }

  cancel(): Promise<RunState> {
    return Promise.resolve(this.state)
  }

  pause(): Promise<RunState> {
    return Promise.resolve(this.state)
  }

  resume(): Promise<RunState> {
    return Promise.resolve(this.state)
  }
}

/** What a handle shows of a run that this engine does not own: it has ended, or another node goes on with it. */
export class Elsewhere extends Unsteered {
  readonly id: string
  override state: RunState
  readonly #host: ElsewhereHost
  #end: ReturnType<ElsewhereHost['untilEnd']> | undefined

  constructor(host: ElsewhereHost, id: string, state: RunState, names: Names) {
    super(names)
    this.#host = host
    this.id = id
    this.state = state
  }

  get clock(): Clock {
    return this.#host.clock
  }

  async promise(): Promise<unknown> {
    const end = await this.#ended()
    if ('error' in end) throw end.error
    return end.value
  }

  async untilEnd(): Promise<RunState> {
    return (await this.#ended()).state
  }

  watch(): Observable<Transition> {
    return this.#host.watch(this.id)
  }

  watchStates(): Observable<RunState> {
    return this.#host.watchStates(this.id)
  }

  async #ended(): ReturnType<ElsewhereHost['untilEnd']> {
    this.#end ??= this.#host.untilEnd(this.id)
    const end = await this.#end
    this.state = end.state
    return end
  }
}

/** A run that could not be started as asked: awaiting it rejects, and nothing else was done. */
export class Refused extends Unsteered {
  readonly id: string
  override readonly state: RunState
  readonly clock: Clock
  readonly #error: unknown
  readonly #nothing: <T>() => Observable<T>

  constructor(init: {
    id: string
    kind: 'flow' | 'task'
    name: string
    clock: Clock
    error: Error
    nothing: <T>() => Observable<T>
  }) {
    super({ kind: init.kind, name: init.name, runName: init.name })
    this.id = init.id
    this.clock = init.clock
    this.#error = init.error
    this.#nothing = init.nothing
    this.state = { type: 'FAILED', name: 'Failed', at: init.clock.now(), message: init.error.message }
  }

  promise(): Promise<unknown> {
    return Promise.reject(this.#error as Error)
  }

  untilEnd(): Promise<RunState> {
    return Promise.resolve(this.state)
  }

  watch(): Observable<Transition> {
    return this.#nothing()
  }

  watchStates(): Observable<RunState> {
    return this.#nothing()
  }
}
