import { bodiesWithin } from '../base/bodies-within.ts'
import { calledWithin } from '../base/called-within.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { Definition } from '../definitions/definition.ts'
import { checkLoadable } from '../definitions/loadable.ts'
import type { BodyFunction } from '../definitions/functions.ts'
import type { BodyResult } from '../ports/task-runner.ts'
import type { Clock } from '../ports/clock.ts'
import { systemClock } from '../ports/system-clock.ts'
import { copy, type Awaited, type BodyContext, type CurrentBody, type Target } from '../runs/current-body.ts'
import { notInFlow } from '../runs/not-in-flow.ts'
import type { Deadline } from '../runs/deadline.ts'
import { isFailureOf, runOfError } from '../runs/failed-runs.ts'
import { Future, Handle, isForeignFuture } from '../runs/future.ts'
import { Moved, Unmapped } from '../runs/markers.ts'
import { checkFraction } from '../runs/fraction.ts'
import { nativePromise, twoCopies, unmappedOutside } from '../runs/refused-arguments.ts'
import { runContext } from '../runs/run-context.ts'
import type { CurrentRun } from '../runs/types.ts'
import type { Reference } from '../values/walk-options.ts'
import type { ForeignBody, Link, Runtime } from './link.ts'
import {
  protocolVersion,
  type Answer,
  type Ask,
  type BodyEvent,
  type BodyStart,
  type Parcel,
  type FlowFacts,
  type Submitted,
  type Tell,
} from './protocol.ts'
import { RemoteTarget } from './remote-target.ts'
import { remoteLogger } from './remote-logger.ts'
import { unwrap, unwrapArguments, wrap, wrapError, wrapResult, type Leaves } from './wire.ts'

/** Something that a body waits for. */
interface Waiting {
  value(value: unknown): void
  error(error: unknown): void
  complete?(): void
  /** Whether it is the end of a run. */
  readonly isForRun?: boolean
}

/** A body whose engine is in another thread: what it does is asked and told there. */
class RemoteBody implements CurrentBody, BodyContext, ForeignBody, Leaves {
  readonly copy = copy
  readonly kind = 'task'
  readonly #start: BodyStart
  readonly #link: Link
  readonly #waiting = new Map<number, Waiting>()
  #parameters: readonly unknown[] = []
  #controller: AbortController | undefined
  #reason: unknown
  #isAborted = false
  #tickets = 0
  #asked = false
  #over = false
  #willRest = false
  /** Events that came. */
  #seen = 0

  constructor(start: BodyStart, link: Link) {
    this.#start = start
    this.#link = link
  }

  /** Calls the body. What it finds is told over the link. */
  run(fn: BodyFunction): void {
    let returned: unknown
    try {
      this.#parameters = unwrapArguments(this.#start.args) as readonly unknown[]
      returned = this.#call(fn)
      // A future that was returned is awaited by the body, which may have to lend its slot for it.
      if (returned instanceof Future) returned = runContext.run(this, adopt, returned)
      if (!isThenable(returned)) {
        this.#finish({ value: returned })
        return
      }
    } catch (error) {
      this.#finish({ error })
      return
    }
    Promise.resolve(returned).then(
      (value) => this.#finish({ value }),
      (error: unknown) => this.#finish({ error }),
    )
  }

  #call(fn: BodyFunction): unknown {
    const { trace } = this.#start
    const within = trace === undefined ? undefined : (this.#link.within ?? bodiesWithin())
    const call = (): unknown => runContext.run(this, fn, ...this.#parameters)
    if (trace === undefined || within === undefined) return call()
    return calledWithin(
      (body) => within(trace, body),
      call,
      (error) => this.tell({ tell: 'failed', error: wrapError(error) }),
    )
  }

  #finish(result: BodyResult): void {
    this.#over = true
    this.#link.finished(wrapResult(result, this), this.#asked)
  }

  // --- what the engine tells it -----------------------------------------------------------------------------------

  event(event: BodyEvent): void {
    this.#seen++
    if ('abort' in event) {
      this.#isAborted = true
      this.#reason = readable(() => unwrap(event.abort))
      this.#controller?.abort(this.#reason)
      return
    }
    const waiting = this.#waiting.get(event.ticket)
    if (waiting === undefined) {
      // It was on its way when the wait was given up: the body rests as it did before.
      this.#restLater()
      return
    }
    if (waiting.complete === undefined || 'complete' in event) this.#waiting.delete(event.ticket)
    this.#restLater()
    if ('complete' in event) waiting.complete?.()
    else if ('error' in event) waiting.error(readable(() => unwrap(event.error, this)))
    else this.#give(waiting, event.value)
  }

  #give(waiting: Waiting, parcel: Parcel): void {
    let value: unknown
    try {
      value = unwrap(parcel, this)
    } catch (error) {
      // Of a class that is not registered here, say.
      waiting.error(error)
      return
    }
    waiting.value(value)
  }

  /** Where it waits for runs it says so when it has come to rest: then its slot is free for others. */
  #restLater(): void {
    if (this.#willRest || !this.#waitsForRuns) return
    this.#willRest = true
    this.#link.turn(() => {
      this.#willRest = false
      if (this.#waitsForRuns) this.tell({ tell: 'rest', seen: this.#seen })
    })
  }

  get #waitsForRuns(): boolean {
    for (const { isForRun } of this.#waiting.values()) if (isForRun === true) return true
    return false
  }

  /** @returns A number that what it waits for comes with. */
  waits(waiting: Waiting): number {
    const ticket = ++this.#tickets
    if (waiting.isForRun === true) queueMicrotask(() => this.#restLater())
    this.#waiting.set(ticket, waiting)
    return ticket
  }

  stopWaiting(ticket: number): void {
    if (this.#waiting.delete(ticket)) this.tell({ tell: 'stop', ticket })
  }

  // --- what it asks and tells -------------------------------------------------------------------------------------

  ask(ask: Ask): unknown {
    if (this.#over) throw this.#ended()
    this.#asked = true
    const answer: Answer = this.#link.ask(ask)
    if ('error' in answer) throw unwrap(answer.error, this)
    return unwrap(answer.value, this)
  }

  tell(tell: Tell): void {
    if (this.#over) return
    this.#asked = true
    this.#link.tell(tell)
  }

  #ended(): UsageError {
    const { runId, runName } = this.#start
    const message = `task run ${runName} (${runId}) has ended or gone on elsewhere; its body can't go on`
    return new UsageError('RUN_ENDED', message, { details: { runId } })
  }

  // --- the body, as the functions of the run context see it -------------------------------------------------------

  get context(): BodyContext {
    return this
  }

  awaits(): void {
    // The engine notices when it is told of the wait.
  }

  deadlineAfter(ms: number): Deadline {
    let ticket = 0
    const done = new Promise<void>((resolve, reject) => {
      ticket = this.waits({ value: () => resolve(), error: reject })
    })
    this.ask({ ask: 'deadline', ticket, ms })
    return { done, stop: () => this.stopWaiting(ticket) }
  }

  describe(): CurrentRun {
    const { runId: id, name, runName, flowRunId, attempt, tags } = this.#start
    const signal = (): AbortSignal => this.#signal()
    return {
      id,
      name,
      runName,
      flowRunId,
      attempt,
      parameters: this.#parameters,
      tags,
      get signal() {
        return signal()
      },
      logger: remoteLogger('own', (tell) => this.tell(tell)),
      progress: (fraction, message) => {
        checkFraction(fraction)
        this.tell({ tell: 'progress', of: 'own', fraction, message })
      },
    }
  }

  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#isAborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  describeFlow(): CurrentRun | undefined {
    const flow = this.ask({ ask: 'flow' }) as FlowFacts | undefined
    if (flow === undefined) return undefined
    const { parameters, ...facts } = flow
    const signal = (): AbortSignal => this.#signal()
    return {
      ...facts,
      get parameters() {
        if ('error' in parameters) throw parameters.error
        return parameters.value
      },
      get signal() {
        return signal()
      },
      logger: remoteLogger('flow', (tell) => this.tell(tell)),
      progress: (fraction, message) => {
        checkFraction(fraction)
        this.tell({ tell: 'progress', of: 'flow', fraction, message })
      },
    }
  }

  call(definition: Definition, args: readonly unknown[]): Target {
    const { kind, origin, given, settings } = definition
    if (kind === 'task') checkLoadable(definition.name, origin)
    const { name, version, place } = origin
    // `withTags` adds to the settings alone.
    const options = { ...given, ...(settings.tags === undefined ? undefined : { tags: settings.tags }) }
    const ask = {
      ask: 'call',
      kind,
      name,
      version,
      place,
      options: wrap(options, 'options', this),
      args: wrap(args, 'args', this),
    } as const
    if (this.#over) throw this.#ended()
    const submitted = this.#link.submit?.(definition, args, ask) ?? (this.ask(ask) as Submitted)
    const target = new RemoteTarget(this, { kind, name: definition.name, submitted, clock: this.#clock })
    unused.register(target, { body: this, ref: submitted.ref })
    return target
  }

  checkActing(): void {
    // The engine looks when it is asked for what is to be done.
  }

  now(): number {
    return this.ask({ ask: 'draw', draw: 'now' }) as number
  }

  random(): number {
    return this.ask({ ask: 'draw', draw: 'random' }) as number
  }

  uuid(): string {
    return this.ask({ ask: 'draw', draw: 'uuid' }) as string
  }

  sleepUntil(time: number): Promise<void> {
    return this.sleep(Math.max(0, time - this.#clock.now()))
  }

  get #clock(): Clock {
    return this.#link.clock ?? systemClock()
  }

  /** It is the body of a task, which waits for no messages. */
  message(awaited: Awaited): Promise<unknown> {
    throw notInFlow(awaited, this.#start.name)
  }

  /** The engine gives it one. */
  messageId(): undefined {
    return undefined
  }

  sleep(ms: number): Promise<void> {
    const slept = new Promise<void>((resolve, reject) => {
      const ticket = this.waits({ value: () => resolve(), error: reject })
      this.ask({ ask: 'sleep', ticket, ms })
    })
    // One that nobody awaits yet, or never, is no unhandled rejection when its run is cancelled.
    slept.catch(() => undefined)
    return slept
  }

  isPartOf(): boolean {
    // All that it has handles of it submitted itself.
    return false
  }

  // --- what stands in values --------------------------------------------------------------------------------------

  replace(leaf: object): Reference | undefined {
    if (leaf instanceof Handle) {
      const target = Handle.targetOf(leaf)
      if (!(target instanceof RemoteTarget)) throw twoCopies('a future')
      return { tag: leaf instanceof Future ? 'future' : 'handle', data: target.ref }
    }
    if (leaf instanceof Moved) leaf.give('a call or a result')
    if (leaf instanceof Promise) throw nativePromise('the arguments')
    if (leaf instanceof Unmapped) throw unmappedOutside('the arguments')
    if (isForeignFuture(leaf)) throw twoCopies('a future')
    const failed = runOfError(leaf)
    return failed instanceof RemoteTarget ? { tag: 'failure', data: failed.ref } : undefined
  }

  revive(tag: string): unknown {
    throw new UsageError('NOT_ENCODABLE', `a ${inWords(tag)} can't be sent to another thread`)
  }

  /** What is thrown for it is known as the failure of that run when it comes back. */
  isFailure(error: unknown, target: RemoteTarget): unknown {
    isFailureOf(error, target)
    return error
  }
}

/** An error that can't be read here stands for itself. */
function readable(read: () => unknown): unknown {
  try {
    return read()
  } catch (error) {
    return error
  }
}

/** Runs that nothing in this thread refers to any more: the engine need not keep them for the body. */
const unused = new FinalizationRegistry<{ body: RemoteBody; ref: number }>(({ body, ref }) =>
  body.tell({ tell: 'forget', ref }),
)

const adopt = (future: Future): Promise<unknown> => Promise.resolve(future)

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}

/** Executes bodies for an engine that is in another thread. */
export const runtime: Runtime = {
  protocol: protocolVersion,
  body: (start, link) => new RemoteBody(start, link),
}
