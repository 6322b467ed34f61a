import { observe } from '#observe'
import type { Observable } from 'rxjs'
import type { RunState } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Given, Signal, Target } from '../runs/current-body.ts'
import type { Transition } from '../streams/transition.ts'
import type { Ask, Parcel, Submitted, Tell } from './protocol.ts'
import { wrap } from './wire.ts'

/** The body that submitted it. */
interface Submitter {
  ask(ask: Ask): unknown
  tell(tell: Tell): void
  waits(waiting: {
    value(value: unknown): void
    error(error: unknown): void
    complete?(): void
    readonly isForRun?: boolean
  }): number
  stopWaiting(ticket: number): void
  isFailure(error: unknown, target: RemoteTarget): unknown
}

/** A run that was submitted by a body in this thread: its engine is in another one. */
export class RemoteTarget implements Target {
  readonly kind: 'flow' | 'task'
  readonly name: string
  /** For waits outside of the body; those of the body are the engine's. */
  readonly clock: Clock
  readonly #submitted: Submitted
  readonly #body: Submitter
  #looked = false
  #promise: Promise<unknown> | undefined
  #end: Promise<RunState> | undefined

  constructor(
    body: Submitter,
    init: {
      readonly kind: 'flow' | 'task'
      readonly name: string
      readonly submitted: Submitted
      readonly clock: Clock
    },
  ) {
    this.#body = body
    this.kind = init.kind
    this.name = init.name
    this.#submitted = init.submitted
    this.clock = init.clock
  }

  get id(): string {
    return this.#submitted.id
  }

  get runName(): string {
    return this.#submitted.runName
  }

  get ref(): number {
    return this.#submitted.ref
  }

  get state(): RunState {
    return this.#body.ask({ ask: 'state', ref: this.ref }) as RunState
  }

  get looked(): boolean {
    return this.#looked
  }

  set looked(looked: boolean) {
    if (looked && !this.#looked) this.#body.tell({ tell: 'look', ref: this.ref })
    this.#looked = looked
  }

  promise(): Promise<unknown> {
    if (this.#promise === undefined) {
      this.#looked = true
      this.#promise = this.#when('value')
      // Whoever asked hears of it; the promise that all share is none's own.
      this.#promise.catch(() => undefined)
    }
    return this.#promise
  }

  untilEnd(): Promise<RunState> {
    if (this.#end === undefined) {
      this.#looked = true
      this.#end = this.#when('end') as Promise<RunState>
      this.#end.catch(() => undefined)
    }
    return this.#end
  }

  #when(what: 'value' | 'end'): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ticket = this.#body.waits({
        isForRun: true,
        value: resolve,
        error: (error) => reject(this.#body.isFailure(error, this) as Error),
      })
      this.#body.tell({ tell: 'await', ref: this.ref, ticket, what })
    })
  }

  cancel(reason: string | undefined): Promise<RunState> {
    return this.#steer('cancel', reason)
  }

  pause(): Promise<RunState> {
    return this.#steer('pause')
  }

  async resume(given?: Given): Promise<RunState> {
    return this.#steer('resume', undefined, given === undefined ? undefined : wrap(given.input, 'input'))
  }

  async signal({ name, payload }: Signal): Promise<void> {
    const parcel = wrap(payload, 'payload')
    await this.#told((ticket) => ({ tell: 'signal', ref: this.ref, ticket, name, payload: parcel }))
  }

  async #steer(what: 'cancel' | 'pause' | 'resume', reason?: string, input?: Parcel): Promise<RunState> {
    const state = await this.#told((ticket) => ({
      tell: 'steer',
      ref: this.ref,
      ticket,
      what,
      reason,
      input,
    }))
    return state as RunState
  }

  #told(tell: (ticket: number) => Tell): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#body.tell(tell(this.#body.waits({ value: resolve, error: reject })))
    })
  }

  watch(): Observable<Transition> {
    return this.#observe('transitions') as Observable<Transition>
  }

  watchStates(): Observable<RunState> {
    return this.#observe('states') as Observable<RunState>
  }

  #observe(what: 'states' | 'transitions'): Observable<unknown> {
    return observe((observer) => {
      const ticket = this.#body.waits(observer)
      this.#body.tell({ tell: 'watch', ref: this.ref, ticket, what })
      return () => this.#body.stopWaiting(ticket)
    })
  }
}
