import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { flow } from '../../definitions/flow.ts'
import type { FlowOptions } from '../../definitions/options.ts'
import type { Engine } from '../../engine/create-engine.ts'
import type { EngineHealth } from '../../engine/engine-options.ts'
import type { StateName } from '../../machines/states.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Journal } from '../../ports/journal.ts'
import type { TaskRunner } from '../../ports/task-runner.ts'
import { sleep } from '../../runs/context.ts'
import type { RunHandle } from '../../runs/types.ts'
import type { Transition } from '../../streams/transition.ts'
import { checkTransitions } from '../transitions.ts'
import { span, stubborn } from './bodies.ts'

/** An engine that a case of the contract runs on. @public */
export interface ContractEngine extends Engine {
  readonly clock: Clock
  readonly journal: Journal
  /** Lets time pass until the promise settles; on real time just the promise. */
  settle<T>(promise: PromiseLike<T>): Promise<T>
}

/** What a case knows of the runner. */
export interface Facts {
  readonly mode: TaskRunner['mode']
  /** How many bodies run at once: of a sequential runner in one flow run, of any other over all. */
  readonly slots: number
  /** Whether bodies go on when their engine is closed, for the next one. */
  readonly outlives: boolean
  /** How long bodies take to come to rest where time is real, in milliseconds; 0 on virtual time. */
  readonly restMs: number
}

export interface Case {
  readonly name: string
  /** The modes that it applies to; default all. */
  readonly modes?: readonly TaskRunner['mode'][]
  /** Whether it applies; default always. */
  readonly when?: (facts: Facts) => boolean
  readonly test: (world: World) => Promise<void>
}

/** Enough turns of the event loop for the engine to come to rest where no time passes. */
const turnsToRest = 40

/** How long bodies may take to leave a trace: in milliseconds of real time, or in rests where time does not pass. */
const tracedWithinMs = 30_000
const mostRests = 5_000

/** A flow that only takes time, and no slot. */
export const pausing = flow('contract/pausing', async (ms: number) => sleep(ms))

/** What a case works with: an engine, the runner, a folder, and all that was seen. */
export class World implements Facts {
  readonly engine: ContractEngine
  readonly runner: TaskRunner
  readonly mode: TaskRunner['mode']
  readonly slots: number
  /** How long a short wait is, in milliseconds. */
  readonly tick: number
  readonly transitions: Transition[] = []
  readonly errors: unknown[] = []
  readonly restMs: number
  readonly outlives: boolean
  readonly #folder: string

  constructor(init: Facts & { engine: ContractEngine; runner: TaskRunner; tick: number; folder: string }) {
    this.engine = init.engine
    this.runner = init.runner
    this.mode = init.mode
    this.slots = init.slots
    this.restMs = init.restMs
    this.outlives = init.outlives
    this.tick = init.tick
    this.#folder = init.folder
    this.engine.transitions.subscribe((transition) => this.transitions.push(transition))
    this.engine.errors.subscribe(({ error }) => this.errors.push(error))
  }

  /** A file for traces. */
  file(name = 'trace'): string {
    return join(this.#folder, name)
  }

  lines(name = 'trace'): string[] {
    const file = this.file(name)
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []
  }

  /** Lets `stubborn` bodies end. @returns Nothing; they notice. */
  open(gate: string): void {
    writeFileSync(this.file(gate), '')
  }

  /** Starts a flow run with this body on the runner. */
  start<R>(body: () => R, options: Pick<FlowOptions, 'retries' | 'grace' | 'timeout'> = {}) {
    return this.engine.run(flow({ name: 'contract', taskRunner: this.runner, ...options }, body))
  }

  /** Starts a flow run, and waits for its value. */
  async run<R>(body: () => R, options: Pick<FlowOptions, 'retries' | 'grace' | 'timeout'> = {}) {
    return this.settle(this.start(body, options))
  }

  /** Lets time pass until the promise settles. */
  settle<T>(promise: PromiseLike<T>): Promise<T> {
    return this.engine.settle(promise)
  }

  /** Waits until a run is in a state, while no virtual time passes. @throws AssertionError where it ends before */
  async reached(run: RunHandle<unknown>, name: StateName): Promise<void> {
    const seen: string[] = []
    await new Promise<void>((resolve, reject) => {
      run.states.subscribe({
        next: (state) => {
          seen.push(state.name)
          if (state.name === name) resolve()
        },
        error: reject,
        complete: () => {
          const error = new assert.AssertionError({
            message: `${run.id} was never ${name}: ${seen.join(' → ')}`,
          })
          reject(error)
        },
      })
    })
  }

  /** Turns the event loop until the engine is at rest; no virtual time passes. */
  async rest(): Promise<void> {
    // Threads come to rest in real time, and nobody is told when.
    if (this.restMs > 0) await this.#passed(this.restMs)
    for (let i = 0; i < turnsToRest; i++)
      await new Promise<void>((resolve) => this.engine.clock.turn(resolve))
  }

  /**
   * Lets the engine come to rest until bodies have left so many lines in a trace: where they run elsewhere, that takes a while.
   *
   * @throws AssertionError where they don't
   */
  async traced(count: number, name = 'trace'): Promise<void> {
    const most = this.restMs > 0 ? tracedWithinMs / this.restMs : mostRests
    for (let rests = 0; rests < most; rests++) {
      await this.rest()
      if (this.lines(name).length >= count) return
    }
    const lines = this.lines(name).join(' ')
    assert.fail(`expected ${count} lines in ${name}, got ${this.lines(name).length}: ${lines}`)
  }

  #passed(ms: number): Promise<void> {
    const { clock } = this.engine
    return new Promise((resolve) => void clock.at(clock.now() + ms, resolve))
  }

  /** The states that a run went through, as `Pending → Running → Completed`. */
  history(run: RunHandle<unknown>): string {
    return this.transitionsOf(run)
      .map(({ to }) => to.name)
      .join(' → ')
  }

  transitionsOf(run: RunHandle<unknown>): Transition[] {
    return this.transitions.filter(({ runId }) => runId === run.id)
  }

  /** Where among all transitions a run came to a state. @throws AssertionError where it did not */
  when(run: RunHandle<unknown>, name: StateName): number {
    const index = this.transitions.findIndex(({ runId, to }) => runId === run.id && to.name === name)
    assert.notEqual(index, -1, `${run.id} was never ${name}: ${this.history(run)}`)
    return index
  }

  health(): EngineHealth {
    return this.engine.health()
  }

  /** What holds after every case. */
  async check(): Promise<void> {
    const open = this.health().open
    if (open) {
      await this.rest()
      assert.deepEqual(this.health().leftovers, [])
      assert.equal(this.health().liveRuns, 0)
      await this.#checkSlots()
    }
    checkTransitions(this.transitions)
    const flowRunIds = new Set(this.transitions.map(({ flowRunId }) => flowRunId))
    for (const flowRunId of flowRunIds) await this.#checkJournal(flowRunId, open)
  }

  /** All slots are free: a flow run can use the whole limit. */
  async #checkSlots(): Promise<void> {
    // A thread that was ended must not be missed while its successor starts.
    await this.engine.warm(this.runner, [span])
    const count = Math.min(this.slots, 8)
    // Bodies that wait for each other.
    const all = this.start(() =>
      Array.from({ length: count }, (_, n) => stubborn(this.file('slots'), `${n}`, this.file('all at once'))),
    )
    await this.traced(count, 'slots')
    this.open('all at once')
    await this.traced(2 * count, 'slots')
    await this.settle(all)
    if (this.slots > 8) return
    await this.run(() =>
      Array.from({ length: count + 3 }, (_, n) => span(this.file('more'), `${n}`, this.tick)),
    )
    this.overlapped(this.lines('more'), count)
  }

  /**
   * Asserts how many bodies of `span` there were at once. In real time a busy machine may keep bodies from meeting: then
   * only that there were not more.
   */
  overlapped(lines: readonly string[], expected: number): void {
    const most = overlapOf(lines)
    const words = `expected ${expected} bodies at once, got ${most}: ${lines.join(' ')}`
    if (this.restMs === 0) assert.equal(most, expected, words)
    else assert.ok(most <= expected, words)
  }

  /** What subscribers were shown is what the journal holds, and what a watcher is shown of it. */
  async #checkJournal(flowRunId: string, open: boolean): Promise<void> {
    const seen = this.transitions.filter((transition) => transition.flowRunId === flowRunId)
    const entries = await this.engine.journal.read(flowRunId, 1, 1_000_000)
    const shown = new Map(seen.map((transition) => [transition.position, transition]))
    for (const [index, entry] of entries.entries()) {
      const transition = shown.get(index + 1)
      if (entry.kind !== 'submitted' && entry.kind !== 'transition') assert.equal(transition, undefined)
      else if (transition !== undefined || open)
        assert.equal(transition?.to.name, entry.to, `position ${index + 1} of ${flowRunId}`)
    }
    if (!open) return
    const watched: Transition[] = []
    await new Promise<void>((resolve, reject) => {
      const next = (transition: Transition): void => void watched.push(transition)
      this.engine.watch({ flowRunId }).subscribe({ next, error: reject, complete: resolve })
    })
    assert.deepEqual(watched, seen)
  }
}

/** How many bodies there were at once, of the traces of `span`. */
function overlapOf(lines: readonly string[]): number {
  let most = 0
  let now = 0
  for (const line of lines) {
    if (line.startsWith('+')) most = Math.max(most, ++now)
    else if (line.startsWith('-')) now--
  }
  return most
}

/** What a flow run rejected with. @throws AssertionError where it completed */
export async function failureOf(run: PromiseLike<unknown>): Promise<unknown> {
  const outcome = await Promise.resolve(run).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome) return outcome.error
  throw new assert.AssertionError({ message: 'expected a failure, got a value', actual: outcome.value })
}

/** Asserts the class and the fields of what was thrown. */
export function assertError(
  error: unknown,
  expected: { readonly [field: string]: unknown; readonly name: string },
): void {
  assert.ok(error instanceof Error, `expected an error, got ${String(error)}`)
  for (const [field, value] of Object.entries(expected)) {
    assert.deepEqual((error as unknown as Record<string, unknown>)[field], value, `its ${field}`)
  }
}
