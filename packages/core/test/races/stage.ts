import { AsyncResource } from 'node:async_hooks'
import type {
  FlowCallOptions,
  FlowOptions,
  FlowRunHandle,
  Journal,
  RunFuture,
  RunHandle,
  RunState,
  TaskOptions,
  Transition,
} from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'
import { SceneClock } from './clock.ts'
import {
  Chance,
  type Act,
  type Asked,
  type End,
  type RunPlan,
  type ScenePlan,
  type Step,
  type When,
} from './plan.ts'

/** The engine under test: the package as it is, or a copy with a fault in it. */
export type Core = typeof import('@troupe/core')

/** A call of a run's body, and the run that it gave. */
export interface Called {
  readonly plan: RunPlan
  readonly future: RunFuture<unknown>
  readonly handle: RunHandle<unknown>
  readonly caller: Begun | undefined
  /** When somebody asked to cancel it while it was live: nothing of it begins any more. */
  cancelled: boolean
}

/** A body that has begun. */
export interface Begun {
  readonly plan: RunPlan
  readonly runId: string
  readonly attempt: number
  readonly at: number
  readonly tags: readonly string[]
  readonly signal: AbortSignal
  readonly calls: Called[]
  /** How it ended: with what it returned or threw, and whether it had been told to stop before. */
  end:
    | { readonly kind: 'returned' | 'threw'; readonly value: unknown; readonly wasStopped: boolean }
    | undefined
}

/** Something that must not happen. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly check: string

  constructor(check: string, message: string) {
    super(`${check}: ${message}`)
    this.check = check
  }
}

type Engine = ReturnType<Core['createEngine']>

/** What is looked at while a scene is played. */
export interface Checks {
  began(stage: Stage, body: Begun): void
  shown(stage: Stage, transition: Transition): void
}

/** Calls the body of a run. Definitions are shared by all scenes, which are played one after the other. */
let onStage: ((run: number) => unknown) | undefined

const definitions = new WeakMap<Core, ReturnType<typeof define>>()

function define(core: Core) {
  return {
    task: core.task('t', (run: number) => onStage?.(run)),
    flow: core.flow('f', (run: number) => onStage?.(run)),
  }
}

/** Calls something outside any run, wherever it is called from. */
const outside = AsyncResource.bind((fn: () => void) => fn())

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Plays a scene, and keeps what was seen of it. */
export class Stage {
  readonly core: Core
  readonly plan: ScenePlan
  readonly clock: SceneClock
  readonly journal: Journal
  readonly engine: Engine
  readonly log: string[] = []
  readonly called: Called[] = []
  readonly bodies: Begun[] = []
  readonly violations: Violation[] = []
  /** What different observers saw: transitions as they were committed, from the journal, of each root, and by hooks. */
  readonly live: Transition[] = []
  readonly watched: Transition[] = []
  readonly ofRoots = new Map<string, Transition[]>()
  readonly ofHooks = new Map<string, Transition[]>()
  readonly states = new Map<string, RunState[]>()
  readonly paused = new Set<string>()
  /** Slots of each limit, by its place in the plan. */
  readonly slots: number[]
  readonly raised = new Set<number>()
  /** How each run ended for those who waited for it. */
  readonly waits: { readonly runId: string; readonly state: RunState }[] = []
  readonly results: { readonly runId: string; readonly value?: unknown; readonly error?: unknown }[] = []
  readonly #definitions: ReturnType<typeof define>
  readonly #checks: Checks
  readonly #chance: Chance
  readonly #runner: FlowOptions
  readonly #newest = new Map<number, Called>()
  #hooks = 0
  #ends = 0
  #isOver = false

  constructor(core: Core, plan: ScenePlan, checks: Checks) {
    this.core = core
    this.plan = plan
    this.#checks = checks
    this.#chance = new Chance(plan.seed + 1_000_000_007)
    this.clock = new SceneClock(() => plan.slip > 0 && this.#chance.is(plan.slip))
    this.journal = core.memoryJournal()
    let known = definitions.get(core)
    if (known === undefined) definitions.set(core, (known = define(core)))
    this.#definitions = known
    this.#runner =
      plan.slots === undefined ? {} : { taskRunner: new core.ConcurrentTaskRunner({ limit: plan.slots }) }
    this.slots = plan.limits.map(({ concurrency }) => concurrency)
    this.engine = core.createEngine({
      journal: this.#late(this.journal),
      clock: this.clock,
      random: seededRandom(plan.seed),
      strictValues: plan.strictValues,
      logger: silent,
      node: 'n',
      limits: plan.limits.map(({ target, concurrency, rate }) => ({
        ...target,
        concurrency,
        ...(rate === undefined ? undefined : { rate }),
      })),
    })
  }

  /** Plays the scene to its end. */
  async play(): Promise<this> {
    onStage = (run) => this.#body(run)
    const { engine, plan } = this
    engine.errors.subscribe(({ error }) => this.#errors(error))
    engine.transitions.subscribe((transition) => this.#shown(transition))
    for (const run of plan.runs) if (run.parent === undefined) this.#start(run)
    if (plan.watchFrom === 0) this.#watch()
    for (const { when, act } of plan.acts) {
      if (when.on === 'turn') this.clock.afterTurns(when.count, () => this.#soon(when, act))
      else if (when.on === 'ms') this.clock.after(when.count, () => this.#soon(when, act))
    }
    if (!(await this.clock.rest(() => this.#atRest()))) this.violated('comes to rest', 'it goes on and on')
    if (plan.watchFrom !== 0 && this.watched.length === 0) this.#watch()
    for (const { handle } of this.called) this.#ask(handle)
    await this.clock.rest(() => undefined)
    return this
  }

  async close(): Promise<void> {
    let isClosed = false
    void this.engine.close().then(() => {
      isClosed = true
    })
    await this.clock.rest(() => undefined)
    if (!isClosed) this.violated('comes to rest', 'the engine does not close')
    onStage = undefined
  }

  violated(check: string, message: string): void {
    this.violations.push(new Violation(check, message))
    this.log.push(`! ${check}: ${message}`)
  }

  // --- runs -----------------------------------------------------------------------------------------------------------

  #start(plan: RunPlan): void {
    const { engine } = this
    this.#call(plan, undefined, plan.kind === 'flow' ? { engine } : {})
    for (const { handle } of this.called.slice(-1)) this.#ask(handle)
  }

  #call(plan: RunPlan, caller: Begun | undefined, more: FlowCallOptions): RunFuture<unknown> {
    const definition = this.#definitions[plan.kind]
    const future = definition.with({ ...this.#options(plan), ...more })(plan.index)
    const called = { plan, future, handle: future.handle, caller, cancelled: false }
    this.called.push(called)
    caller?.calls.push(called)
    this.#newest.set(plan.index, called)
    this.log.push(`call ${plan.name} ${future.id}`)
    return future
  }

  #options(plan: RunPlan): TaskOptions & FlowOptions {
    const { name, retryDelay, retryOn, timeout, waitTimeout, grace, priority, tags, onBodyError } = plan
    return {
      runName: name,
      retries: plan.retries,
      retryJitter: plan.retryJitter,
      timeout,
      waitTimeout,
      grace,
      priority,
      tags,
      onBodyError,
      ...(retryDelay === undefined ? undefined : { retryDelay }),
      ...(retryOn === undefined ? undefined : { retryOn: () => this.#asked(retryOn) }),
      ...(plan.cached ? { cacheKey: () => 'k' } : undefined),
      ...(plan.cleanup ? { cleanup: true } : undefined),
      ...(plan.hooked ? this.#hookOptions : undefined),
      ...(plan.kind === 'flow' ? this.#runner : undefined),
    }
  }

  readonly #hook = ({ transition }: { readonly transition: Transition }): void => {
    const seen = this.ofHooks.get(transition.runId) ?? []
    this.ofHooks.set(transition.runId, [...seen, transition])
    this.#due('hook', ++this.#hooks)
  }

  readonly #hookOptions = {
    onScheduled: this.#hook,
    onPending: this.#hook,
    onRunning: this.#hook,
    onPaused: this.#hook,
    onCancelling: this.#hook,
    onCompletion: this.#hook,
    onFailure: this.#hook,
    onCrashed: this.#hook,
    onCancellation: this.#hook,
  }

  #asked(answer: Asked): boolean | Promise<boolean> {
    if (answer === 'throws') throw new RangeError('retryOn threw')
    if (answer === 'yes' || answer === 'no') return answer === 'yes'
    const turns = 1 + this.#chance.below(3)
    return this.#turns(turns).then(() => answer === 'yes, later')
  }

  // --- bodies -----------------------------------------------------------------------------------------------------------

  /** The body of every run: does what its plan says. */
  #body(index: number): unknown {
    const plan = this.plan.runs[index]
    if (plan === undefined) return undefined
    const run = plan.kind === 'task' ? this.core.currentTaskRun() : this.core.currentFlowRun()
    const { id: runId, attempt, tags, signal } = run
    const at = this.clock.now()
    const body: Begun = { plan, runId, attempt, at, tags, signal, calls: [], end: undefined }
    this.log.push(`${at} body ${plan.name} ${attempt}`)
    this.#checks.began(this, body)
    this.bodies.push(body)
    // One that has nothing to wait for returns in the turn in which it begins.
    if (plan.steps.length === 0) return this.#ended(body, () => this.#end(body))
    return this.#perform(body)
  }

  async #perform(body: Begun): Promise<unknown> {
    try {
      for (const step of body.plan.steps) await this.#do(step, body)
    } catch (error) {
      return this.#ended(body, () => {
        throw error
      })
    }
    return this.#ended(body, () => this.#end(body))
  }

  #ended(body: Begun, end: () => unknown): unknown {
    this.#due('end', ++this.#ends)
    const wasStopped = body.signal.aborted
    try {
      const value = end()
      body.end = { kind: 'returned', value, wasStopped }
      return value
    } catch (error) {
      body.end = { kind: 'threw', value: error, wasStopped }
      throw error
    } finally {
      this.log.push(`${this.clock.now()} body ${body.plan.name} ${body.attempt} ${body.end?.kind}`)
    }
  }

  async #do(step: Step, body: Begun): Promise<void> {
    switch (step.kind) {
      case 'turns':
        return this.#turns(step.turns)
      case 'sleep':
        return this.core.sleep(step.ms)
      case 'wait':
        return this.#wait(step.ms)
      case 'signal': {
        const stopped = (go: () => void): void => body.signal.addEventListener('abort', go)
        if (body.signal.aborted) return undefined
        return new Promise<void>((resolve) => stopped(this.clock.after(step.ms, resolve)))
      }
      case 'call':
        return this.#callBelow(step, body)
      case 'join':
        await this.core.waitAll(body.calls.map(({ handle }) => handle))
        return undefined
      case 'act':
        return this.#act(step.act)
    }
  }

  async #callBelow({ run, then }: Step & { kind: 'call' }, body: Begun): Promise<void> {
    const plan = this.plan.runs[run]
    if (plan === undefined) return
    const last = body.calls.at(-1)
    const more = plan.waitsForLast && last !== undefined ? { waitFor: last.future } : {}
    const future = this.#call(plan, body, more)
    if (then === 'ignore') future.ignore()
    if (then !== 'await' && then !== 'catch') return
    const { id: runId } = future
    try {
      this.results.push({ runId, value: await future })
    } catch (error) {
      this.results.push({ runId, error })
      if (then === 'await') throw error
    }
  }

  #end({ plan, attempt, calls }: Begun): unknown {
    const { abort, cancelled, failed, retryAfter } = this.core
    const words = `${plan.name}@${attempt}`
    const error = new RangeError(words)
    const end: End = plan.ends[Math.min(attempt, plan.ends.length) - 1] ?? 'value'
    switch (end) {
      case 'value':
        return words
      case 'child':
        return calls[0]?.handle ?? words
      case 'throw':
        throw error
      case 'failed':
        return failed(error)
      case 'abort':
        throw abort(error)
      case 'again now':
        throw retryAfter(0, error)
      case 'again soon':
        throw retryAfter(1, error)
      case 'cancelled':
        return cancelled(words)
    }
  }

  async #turns(turns: number): Promise<void> {
    if (turns > 0) await new Promise<void>((resolve) => this.clock.afterTurns(turns, resolve))
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => void this.clock.after(ms, resolve))
  }

  // --- acts -----------------------------------------------------------------------------------------------------------

  #due(on: 'transition' | 'hook' | 'end', count: number): void {
    for (const { when, act } of this.plan.acts)
      if (when.on === on && when.count === count) this.#soon(when, act)
  }

  #soon({ microtasks }: Pick<When, 'microtasks'>, act: Act): void {
    if (microtasks === 0) this.#act(act)
    else queueMicrotask(() => this.#soon({ microtasks: microtasks - 1 }, act))
  }

  #act(act: Act): void {
    if (act.kind === 'raise') {
      const limit = this.plan.limits[act.limit]
      if (limit === undefined) return
      this.slots[act.limit] = 2
      this.raised.add(act.limit)
      this.engine.limits.set({ ...limit.target, concurrency: 2 })
      return
    }
    const called = this.#newest.get(act.run)
    if (called === undefined || this.#isOver) return
    this.log.push(`${this.clock.now()} ${act.kind} ${called.plan.name}`)
    if (act.kind === 'cancel') this.#cancel(called)
    else if (act.kind === 'look') outside(() => this.#ask(called.handle))
    else if (called.plan.kind === 'flow') this.#pause(called.handle)
  }

  #cancel(called: Called): void {
    if (!liveRun(called.handle).ended) called.cancelled = true
    const { id } = called.handle
    void called.handle.cancel('enough').then((state) => {
      // From within the run itself it is not waited for.
      if (isTerminal(state)) this.waits.push({ runId: id, state })
    })
  }

  /** What is paused goes on soon. */
  #pause(handle: RunHandle<unknown>): void {
    const flow = handle as FlowRunHandle<unknown>
    this.paused.add(handle.id)
    void flow.pause()
    const resume = (): void => void flow.resume()
    if (this.#chance.is(0.5)) this.clock.after(1, resume)
    else this.clock.afterTurns(1 + this.#chance.below(8), resume)
  }

  // --- observers ------------------------------------------------------------------------------------------------------

  /** Hears of the end of a run, in both ways. */
  #ask(handle: RunHandle<unknown>): void {
    const { id: runId } = handle
    void handle.wait().then(
      (state) => this.waits.push({ runId, state }),
      // One that never ended is told of by the checks.
      () => undefined,
    )
    void handle.result().then(
      (value) => this.results.push({ runId, value }),
      (error: unknown) => this.results.push({ runId, error }),
    )
  }

  #shown(transition: Transition): void {
    const { runName, to, seq, attempt, at, position } = transition
    this.live.push(transition)
    this.#checks.shown(this, transition)
    this.log.push(`${at} ${runName} ${seq} ${to.name} ${attempt} (${position}) ${to.message ?? ''}`)
    if (this.live.length === this.plan.watchFrom) this.#watch()
    this.#due('transition', this.live.length)
  }

  /** From the journal: all of it, and the part or the states of one root. */
  #watch(): void {
    this.engine.watch().subscribe((transition) => this.watched.push(transition))
    const { handle } = this.#chance.of(this.#roots)
    if (this.#chance.is(0.5)) {
      const seen: Transition[] = []
      this.ofRoots.set(handle.id, seen)
      handle.transitions.subscribe((transition) => seen.push(transition))
    } else {
      const states: RunState[] = []
      this.states.set(handle.id, states)
      handle.states.subscribe((state) => states.push(state))
    }
  }

  get #roots(): [Called, ...Called[]] {
    return this.called.filter(({ plan }) => plan.parent === undefined) as [Called, ...Called[]]
  }

  #errors(error: unknown): void {
    // What `retryOn` throws is reported, and what a body threw that nobody asked for; all else would be a fault inside.
    if (error instanceof RangeError) this.log.push(`error ${error.message}`)
    else this.violated('no error inside', String(error))
  }

  /** When all is over, nothing of the engine waits for a time. */
  #atRest(): void {
    if (this.#isOver || this.called.some(({ handle }) => !isTerminal(handle.state))) return
    if (this.bodies.some(({ end }) => end === undefined)) return
    this.#isOver = true
    if (this.clock.deadlines > 0)
      this.violated('nothing is held in the end', `${this.clock.deadlines} deadlines of the engine wait`)
  }

  /** A journal that answers when the scene says so. */
  #late(journal: Journal): Journal {
    const { lateTurns, lateMs } = this.plan
    if (lateTurns === 0 && lateMs === 0) return journal
    const later = async (): Promise<void> => {
      await this.#turns(this.#chance.below(lateTurns + 1))
      if (lateMs > 0 && this.#chance.is(0.5)) await this.#wait(this.#chance.below(lateMs + 1))
    }
    return {
      encodes: journal.encodes,
      append: async (request) => {
        await later()
        const answer = await journal.append(request)
        await later()
        return answer
      },
      read: async (id, from, limit) => {
        const entries = await journal.read(id, from, limit)
        await later()
        return entries
      },
      summary: (id) => journal.summary(id),
      list: (query) => journal.list(query),
      delete: (id) => journal.delete(id),
      subscribe: (listener) => journal.subscribe(listener),
      close: () => journal.close(),
    }
  }
}

const terminal = new Set(['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'])

export function isTerminal({ type }: { readonly type: string }): boolean {
  return terminal.has(type)
}

/** The run behind a handle, as its engine moves it: what a journal is compared with, before anything is committed. */
export interface LiveRun {
  readonly stateName: string
  readonly seq: number
  readonly ended: boolean
  readonly context: { readonly attempt: number; readonly tries: number; readonly recoveries: number }
}

export function liveRun(handle: RunHandle<unknown>): LiveRun {
  return (handle as unknown as { readonly target: { readonly run: LiveRun } }).target.run
}
