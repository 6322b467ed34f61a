import { inspect } from 'node:util'
import type { Observable } from 'rxjs'
import { UsageError } from '../base/errors.ts'
import { toMilliseconds, type Duration } from '../base/duration.ts'
import type { CurrentBody, Target } from './current-body.ts'
import type { RunState } from '../machines/states.ts'
import type { Transition } from '../streams/transition.ts'
import { deadlineAfter } from './deadline.ts'
import { currentBody } from './run-context.ts'

/** Marks futures of every copy of the package, so that a foreign one is noticed. */
const brand = Symbol.for('@troupe/core/future')

/** A handle: all that can be done with a run, but no `then`. */
export class Handle {
  protected readonly target: Target

  constructor(target: Target) {
    this.target = target
  }

  static targetOf(handle: Handle): Target {
    return handle.target
  }

  get id(): string {
    return this.target.id
  }

  get kind(): 'flow' | 'task' {
    return this.target.kind
  }

  get name(): string {
    return this.target.name
  }

  get runName(): string {
    return this.target.runName
  }

  get state(): RunState {
    return this.target.state
  }

  /** A future in a text or a sum is a forgotten await, and must not pass for a value. */
  [Symbol.toPrimitive](): never {
    throw new UsageError(
      'FUTURE_AS_VALUE',
      `the future of ${this.kind} run ${this.runName} (${this.id}) was used as a text or a number; ` +
        'await it, or pass it to a task as an argument',
      { details: { runId: this.id } },
    )
  }

  toJSON(): object {
    return { kind: this.kind, id: this.id, runName: this.runName, state: this.state.name }
  }

  [inspect.custom](): string {
    return `${this.kind} run ${this.runName} (${this.id}) ${this.state.name}`
  }

  get states(): Observable<RunState> {
    return this.target.watchStates()
  }

  get transitions(): Observable<Transition> {
    return this.target.watch()
  }

  async wait(options?: { readonly timeout?: Duration }): Promise<RunState> {
    const { target } = this
    const ms = options?.timeout === undefined ? undefined : toMilliseconds(options.timeout, 'timeout')
    const asker = this.#waits()
    const ended = target.untilEnd(asker)
    if (ms === undefined) return ended
    const deadline = asker?.deadlineAfter(ms) ?? deadlineAfter(target.clock, ms)
    try {
      return await Promise.race([ended, deadline.done.then(() => target.state)])
    } finally {
      deadline.stop()
    }
  }

  result(): Promise<unknown> {
    // A promise of the caller's own: what the engine holds is never unhandled.
    return this.asked().then((value) => value)
  }

  /** The promise that all who ask in the same way share. */
  protected asked(): Promise<unknown> {
    return this.target.promise(this.#waits())
  }

  cancel(reason?: string): Promise<RunState> {
    if (currentBody()?.context.isPartOf(this.target) === true) {
      // From inside: the end can't come before the body that would wait for it.
      void this.target.cancel(reason)
      return Promise.resolve(this.target.state)
    }
    return this.target.cancel(reason)
  }

  ignore(): this {
    this.target.looked = true
    return this
  }

  pause(): Promise<RunState> {
    return this.target.pause()
  }

  resume(...input: readonly [] | readonly [unknown]): Promise<RunState> {
    if (input.length === 0) return this.target.resume()
    return this.target.resume({ input: input[0], id: undefined })
  }

  async signal(name: string, payload?: unknown): Promise<void> {
    if (typeof name !== 'string' || name === '') {
      const message = 'expected the name of a signal: run.signal(name, payload)'
      throw new UsageError('INVALID_OPTION', message, { details: { option: 'name' } })
    }
    if (this.kind === 'task') {
      const message = `a signal goes to a flow run; ${this.runName} (${this.id}) is a task run`
      throw new UsageError('INVALID_OPTION', message, { details: { runId: this.id } })
    }
    const id = currentBody()?.context.messageId(this.target, name)
    await this.target.signal({ name, payload, id })
  }

  /** The body that asks, if one does; it may lend its slot. @throws UsageError `DEADLOCK` where it waits for itself */
  #waits(): CurrentBody | undefined {
    const asker = currentBody()
    asker?.awaits(this.target)
    return asker
  }
}

/** A handle that can be awaited. Its promise is made when somebody asks for it, so one that is never asked can't be unhandled. */
export class Future extends Handle {
  get [brand](): true {
    return true
  }

  get handle(): Handle {
    return new Handle(this.target)
  }

  then<A, B>(
    ok?: ((value: unknown) => A | PromiseLike<A>) | null,
    no?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.asked().then(ok, no)
  }

  catch<B>(no?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<unknown> {
    return this.asked().catch(no)
  }

  finally(done?: (() => void) | null): Promise<unknown> {
    return this.asked().finally(done)
  }
}

/** Whether the value is a future that another copy of the package made. */
export function isForeignFuture(leaf: object): boolean {
  return brand in leaf && !(leaf instanceof Future)
}
