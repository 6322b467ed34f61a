import type { Observable } from 'rxjs'
import type { Clock } from '../ports/clock.ts'
import { RunError } from '../base/errors.ts'
import { isTerminal, type RunState } from '../machines/states.ts'
import type { Given, Signal } from '../runs/current-body.ts'
import type { Transition } from '../streams/transition.ts'
import { notFound } from './ends.ts'
import type { Mail, Order } from './mail.ts'

/** A run that this engine does not own, as the engine sees it: from its journal. */
export interface ElsewhereHost {
  readonly clock: Clock
  readonly mail: Mail
  /** Newest state of a run, as its journal tells; undefined where there is no such run. */
  stateOf(runId: string): Promise<RunState | undefined>
  /** Whether a message of an id has reached a flow run. */
  hasMessage(flowRunId: string, id: string): Promise<boolean>
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

/** A run that this engine does not move: only its owner does. */
abstract class Foreign {
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

  abstract cancel(reason: string | undefined): Promise<RunState>
  abstract pause(): Promise<RunState>
  abstract resume(given?: Given): Promise<RunState>
  abstract signal(signal: Signal): Promise<void>
}

/** What a handle shows of a run that this engine does not own: it has ended, or another node goes on with it. */
export class Elsewhere extends Foreign {
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

  /** Asks the owner, and resolves with the terminal state, as for a run of this engine. */
  async cancel(reason: string | undefined): Promise<RunState> {
    if (await this.#hasEnded()) return this.state
    await this.#host.mail.send({ do: 'cancel', runId: this.id, reason }, undefined)
    return (await this.#ended()).state
  }

  async pause(): Promise<RunState> {
    if (!(await this.#hasEnded())) await this.#ask({ do: 'pause', runId: this.id })
    return this.#newest()
  }

  async resume(given?: Given): Promise<RunState> {
    const { id: runId } = this
    const hasEnded = await this.#hasEnded()
    if (given === undefined) {
      if (!hasEnded) await this.#ask({ do: 'resume', runId })
      return this.#newest()
    }
    if (hasEnded || !(await this.#ask({ do: 'give', runId, input: given.input }))) {
      await this.#newest()
      throw this.#over('NO_INPUT_EXPECTED', 'an input')
    }
    return this.#newest()
  }

  /** Asks the owner; of a task run, which can't be paused, nobody. @returns False where the run ended first. */
  async #ask(order: Order): Promise<boolean> {
    if (this.kind === 'task') return true
    let stop = (): void => undefined
    const ended = new Promise<void>((resolve) => {
      const subscription = this.watchStates().subscribe({ complete: resolve, error: () => resolve() })
      stop = () => subscription.unsubscribe()
    })
    try {
      return await this.#host.mail.ask(order, ended)
    } finally {
      stop()
    }
  }

  async signal({ name, payload, id }: Signal): Promise<void> {
    if (await this.#hasEnded()) {
      // The body that sends is replayed, and sent it before.
      if (id !== undefined && (await this.#host.hasMessage(this.id, id))) return
      throw this.#over('RUN_ENDED', `signal ${JSON.stringify(name)}`)
    }
    await this.#host.mail.send({ do: 'signal', runId: this.id, name, payload }, id)
  }

  #over(code: 'NO_INPUT_EXPECTED' | 'RUN_ENDED', what: string): RunError {
    const message = `${this.kind} run ${this.runName} (${this.id}) has ended (${this.state.name}) and takes no ${what}`
    return new RunError(code, message, { details: { runId: this.id, state: this.state.name } })
  }

  /** @throws JournalError `RUN_NOT_FOUND` where it was deleted, and nobody here has heard of its end: no owner would read a letter */
  async #hasEnded(): Promise<boolean> {
    const there = await this.#host.stateOf(this.id)
    // A task run whose submission was lost with its owner is submitted again.
    if (there === undefined && this.kind === 'flow' && !isTerminal(this.state.name)) throw notFound(this.id)
    this.state = there ?? this.state
    return isTerminal(this.state.name)
  }

  async #newest(): Promise<RunState> {
    this.state = (await this.#host.stateOf(this.id)) ?? this.state
    return this.state
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
export class Refused extends Foreign {
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

  cancel(): Promise<RunState> {
    return Promise.resolve(this.state)
  }

  pause(): Promise<RunState> {
    return Promise.resolve(this.state)
  }

  resume(): Promise<RunState> {
    return Promise.resolve(this.state)
  }

  signal(): Promise<void> {
    return Promise.reject(this.#error as Error)
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
