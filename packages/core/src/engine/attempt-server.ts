import { InternalError } from '../base/errors.ts'
import { withOptions } from '../definitions/define.ts'
import type { AllOptions } from '../definitions/options.ts'
import { findCalled } from '../definitions/registry.ts'
import type { BodyResult } from '../ports/task-runner.ts'
import type {
  Answer,
  Ask,
  BodyEvent,
  BodyFacts,
  BodyServer,
  BodyStart,
  FlowFacts,
  Parcel,
  Tell,
} from '../remote/protocol.ts'
import { packFlow } from '../remote/offers.ts'
import { unwrap, unwrapResult, wrap, wrapError, type Leaves } from '../remote/wire.ts'
import type { BodyContext, CurrentBody, Target } from '../runs/current-body.ts'
import { Future, Handle } from '../runs/future.ts'
import type { CurrentRun } from '../runs/types.ts'
import type { LogFields } from '../base/logger.ts'
import { EMPTY, type Observable } from 'rxjs'
import type { BodyDraws } from './body-draws.ts'
import { Refused } from './elsewhere.ts'
import { asError } from './outcome.ts'
import type { Replay } from './replay.ts'
import { Run, type Body } from './run.ts'

/** The attempt whose body is executed elsewhere. */
interface Served extends CurrentBody {
  readonly run: Run
  readonly number: number
  readonly tryFrom: number
  readonly replay: Replay | undefined
  readonly draws: BodyDraws
  /** Where the body ran before this engine had its run. */
  readonly runsOn: string | undefined
  readonly parcel: Parcel
  /** The body waits again. */
  rested(): void
}

/** The engine's side of a body that is executed in another thread: does what the body asks, as if the body did it here. */
export class AttemptServer implements BodyServer, Leaves {
  readonly #attempt: Served
  readonly #sendEvent: (event: BodyEvent) => void
  /** The runs that the body submitted, by the numbers that it knows them by. */
  #targets: Map<number, Target> | undefined
  #refs = 0
  /** Events that were sent to the body. */
  #sent = 0
  #stops: Map<number, () => void> | undefined

  constructor(attempt: Served, send: (event: BodyEvent) => void) {
    this.#attempt = attempt
    this.#sendEvent = send
  }

  #send(event: BodyEvent): void {
    this.#sent++
    this.#sendEvent(event)
  }

  get #context(): BodyContext {
    return this.#attempt.context
  }

  get size(): number {
    return this.#attempt.parcel.bytes.length
  }

  start(): BodyStart {
    const { run, number, parcel } = this.#attempt
    const { name, runName, tags } = run
    const trace = run.host.instruments?.traceOf(run, number)
    const { id: runId, ledger } = run
    const start = { runId, flowRunId: ledger.flowRunId, name, runName, attempt: number, tags, args: parcel }
    return trace === undefined ? start : { ...start, trace }
  }

  facts(): BodyFacts {
    const { tryFrom, replay, run } = this.#attempt
    const { cleanup } = run.definition.settings
    if (replay === undefined) return { tryFrom, cleanup, draws: none, ids: none }
    const draws = replay.draws.map(({ draw, value }) => [draw, value] as const)
    return { tryFrom, cleanup, draws, ids: replay.ids }
  }

  flow(): Uint8Array | undefined {
    const body = bodyOfFlow(this.#attempt.run)
    if (body === undefined) return undefined
    let packed = packedFlows.get(body)
    if (packed === undefined) packedFlows.set(body, (packed = packFlow(factsOf(body.context.describe()))))
    return packed
  }

  /** The body is to stop. */
  abort(reason: unknown): void {
    this.#send({ abort: wrapError(reason) })
  }

  result(parcel: Parcel): BodyResult {
    try {
      return unwrapResult(parcel, this)
    } catch (error) {
      // Of a class that is not registered here, say.
      return { error }
    }
  }

  // --- what it asks -----------------------------------------------------------------------------------------------

  answer(ask: Ask): Answer {
    try {
      return { value: wrap(this.#answer(ask), 'answer') }
    } catch (error) {
      if (ask.ask === 'call' && ask.ref !== undefined) this.#refused(ask, ask.ref, error)
      return { error: wrapError(error, this) }
    }
  }

  /** The body does not wait for the answer: it hears of it when it asks for the run that it believes to have. */
  #refused({ kind, name }: Ask & { ask: 'call' }, ref: number, error: unknown): void {
    const { host } = this.#attempt.run
    const target = new Refused({
      id: '',
      kind,
      name,
      clock: host.clock,
      error: asError(error),
      nothing: () => EMPTY,
    })
    ;(this.#targets ??= new Map()).set(ref, target)
  }

  #answer(ask: Ask): unknown {
    const context = this.#context
    switch (ask.ask) {
      case 'call': {
        const given = unwrap(ask.options, this) as AllOptions
        const found = findCalled(ask.kind, ask)
        const definition = Object.keys(given).length === 0 ? found : withOptions(found, given)
        const target = context.call(definition, unwrap(ask.args, this) as readonly unknown[])
        const ref = ask.ref ?? ++this.#refs
        ;(this.#targets ??= new Map()).set(ref, target)
        return { ref, id: target.id, runName: target.runName }
      }
      case 'draw':
        context.checkActing()
        return context[ask.draw]()
      case 'flow':
        return flowFactsOf(context.describeFlow())
      case 'state':
        return this.#target(ask.ref).state
      case 'sleep':
        context.checkActing()
        this.#answerLater(ask.ticket, context.sleep(ask.ms))
        return undefined
      case 'deadline': {
        const deadline = this.#attempt.deadlineAfter(ask.ms)
        this.#stopBy(ask.ticket, deadline.stop)
        this.#answerLater(ask.ticket, deadline.done)
        return undefined
      }
    }
  }

  #target(ref: number): Target {
    const target = this.#targets?.get(ref)
    if (target !== undefined) return target
    throw new InternalError(`a body asked for run ${ref}, which it did not submit`)
  }

  #answerLater(ticket: number, promise: Promise<unknown>): void {
    promise.then(
      (value) => this.#tell(ticket, value),
      (error: unknown) => this.#send({ ticket, error: wrapError(error, this) }),
    )
  }

  #tell(ticket: number, value: unknown): void {
    let event: BodyEvent
    try {
      event = { ticket, value: wrap(value, 'value') }
    } catch (error) {
      event = { ticket, error: wrapError(error, this) }
    }
    this.#send(event)
  }

  // --- what it tells ----------------------------------------------------------------------------------------------

  told(tell: Tell): void {
    try {
      this.#told(tell)
    } catch (error) {
      if ('ticket' in tell) this.#send({ ticket: tell.ticket, error: wrapError(error, this) })
      else this.#attempt.run.host.report(error, this.#attempt.run)
    }
  }

  #told(tell: Tell): void {
    switch (tell.tell) {
      case 'await':
        this.#await(tell)
        return
      case 'steer':
        this.#answerLater(tell.ticket, this.#steer(tell))
        return
      case 'signal':
        this.#answerLater(tell.ticket, this.#signal(tell))
        return
      case 'rest':
        // One that is about to be woken does not rest.
        if (tell.seen === this.#sent) this.#attempt.rested()
        return
      case 'forget':
        this.#targets?.delete(tell.ref)
        return
      case 'look':
        this.#target(tell.ref).looked = true
        return
      case 'watch':
        this.#watch(tell)
        return
      case 'stop':
        this.#stops?.get(tell.ticket)?.()
        this.#stops?.delete(tell.ticket)
        return
      case 'drew':
        // What one that goes on here drew before is in the journal, and was drawn by no body that could be told of it.
        if (this.#attempt.runsOn === undefined) this.#attempt.draws.draw(tell.draw, () => tell.value)
        return
      case 'log': {
        const { logger } = this.#describe(tell.of)
        logger[tell.level](unwrap(tell.fields) as LogFields, tell.message)
        return
      }
      case 'failed': {
        const { run } = this.#attempt
        run.host.report(unwrap(tell.error), run)
        return
      }
      case 'progress':
        this.#describe(tell.of).progress(tell.fraction, tell.message)
        return
    }
  }

  #describe(of: 'own' | 'flow'): CurrentRun {
    const own = this.#context.describe()
    return of === 'own' ? own : (this.#context.describeFlow() ?? own)
  }

  #await({ ref, ticket, what }: Tell & { tell: 'await' }): void {
    const target = this.#target(ref)
    this.#attempt.awaits(target)
    const asker = this.#attempt
    this.#answerLater(ticket, what === 'value' ? target.promise(asker) : target.untilEnd(asker))
  }

  #steer({ ref, what, reason, input }: Tell & { tell: 'steer' }): Promise<unknown> {
    const target = this.#target(ref)
    if (what === 'cancel') return target.cancel(reason)
    if (what === 'pause' || input === undefined) return target[what]()
    return target.resume({ input: unwrap(input, this), id: undefined })
  }

  #signal({ ref, name, payload }: Tell & { tell: 'signal' }): Promise<unknown> {
    const target = this.#target(ref)
    const id = this.#context.messageId(target, name)
    return target.signal({ name, payload: unwrap(payload, this), id })
  }

  #watch({ ref, ticket, what }: Tell & { tell: 'watch' }): void {
    const target = this.#target(ref)
    const watched: Observable<unknown> = what === 'states' ? target.watchStates() : target.watch()
    const subscription = watched.subscribe({
      next: (value) => this.#tell(ticket, value),
      error: (error: unknown) => this.#send({ ticket, error: wrapError(error) }),
      complete: () => this.#send({ ticket, complete: true }),
    })
    this.#stopBy(ticket, () => subscription.unsubscribe())
  }

  /** The body is gone: nothing is told to it any more. */
  close(): void {
    for (const stop of this.#stops?.values() ?? []) stop()
    this.#stops = undefined
  }

  #stopBy(ticket: number, stop: () => void): void {
    ;(this.#stops ??= new Map()).set(ticket, stop)
  }

  // --- what stands in values --------------------------------------------------------------------------------------

  replace(): undefined {
    return undefined
  }

  revive(tag: string, data: unknown): unknown {
    const target = this.#target(data as number)
    if (tag === 'future') return new Future(target)
    if (tag === 'handle') return new Handle(target)
    return target instanceof Run ? target.error : undefined
  }
}

const none: readonly never[] = []

/** The body of the flow run that a task run is part of. */
function bodyOfFlow({ caller }: Run): Body | undefined {
  let body = caller
  while (body !== undefined && body.run.kind === 'task') body = body.run.caller
  return body
}

/** What bodies may know of a flow run stays the same for as long as its body runs. */
const packedFlows = new WeakMap<Body, Uint8Array>()

function flowFactsOf(flow: CurrentRun | undefined): FlowFacts | undefined {
  return flow === undefined ? undefined : factsOf(flow)
}

function factsOf(flow: CurrentRun): FlowFacts {
  const { id, name, runName, flowRunId, attempt, tags } = flow
  const facts = { id, name, runName, flowRunId, attempt, tags }
  try {
    wrap(flow.parameters, 'parameters')
    return { ...facts, parameters: { value: flow.parameters } }
  } catch (error) {
    return { ...facts, parameters: { error } }
  }
}
