import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import {
  completed,
  createEngine,
  flow,
  waitAll,
  type Engine,
  type EngineOptions,
  type ErrorCode,
  type FlowOptions,
  type FlowRun,
  type Progress,
  type RunHandle,
  type StateName,
  type TaskFuture,
  type Transition,
} from '@troupe/core'
import { WorkerThreadsTaskRunner, type WorkerThreadsTaskRunnerOptions } from '@troupe/runners'
import { expect } from 'vitest'
import { waitsForGate } from './tasks/crashes.ts'

export interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

type FlowSettings = Pick<FlowOptions, 'retries' | 'grace' | 'timeout' | 'tags'>

/** What something that waits for news waits for. */
interface Waiter {
  readonly look: () => boolean
  readonly resolve: () => void
}

/** An engine with a runner on threads, a folder, and all that was seen. */
export class Stage implements AsyncDisposable {
  readonly engine: Engine
  readonly runner: WorkerThreadsTaskRunner
  readonly transitions: Transition[] = []
  readonly progress: Progress[] = []
  readonly errors: unknown[] = []
  readonly logged: Line[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'troupe-threads-'))
  readonly #waiters = new Set<Waiter>()

  constructor(threads: WorkerThreadsTaskRunnerOptions, options: EngineOptions) {
    const line =
      (level: string) =>
      (fields: Readonly<Record<string, unknown>>, message = ''): void =>
        void this.logged.push({ level, message, fields })
    const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
    this.engine = createEngine({ logger, node: 'test', ...options })
    this.runner = new WorkerThreadsTaskRunner(threads)
    this.engine.transitions.subscribe((transition) => this.#news(() => this.transitions.push(transition)))
    this.engine.progress.subscribe((progress) => this.#news(() => this.progress.push(progress)))
    this.engine.errors.subscribe(({ error }) => this.#news(() => this.errors.push(error)))
  }

  #news(keep: () => void): void {
    keep()
    for (const waiter of this.#waiters) {
      if (!waiter.look()) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  #until(look: () => boolean): Promise<void> {
    if (look()) return Promise.resolve()
    return new Promise((resolve) => void this.#waiters.add({ look, resolve }))
  }

  // --- runs -------------------------------------------------------------------------------------------------------

  /** Starts a flow run with this body, whose tasks run on threads. */
  start<R>(body: () => R, options: FlowSettings = {}) {
    return this.engine.run(flow({ ...options, name: 'on-threads', taskRunner: this.runner }, body))
  }

  /** Starts a flow run, and waits for its value. */
  async run<R>(body: () => R, options: FlowSettings = {}) {
    return this.start(body, options)
  }

  /** Submits runs in one flow run, which completes when they have ended, however that is. */
  submit(calls: () => TaskFuture<unknown>[]): Submitted {
    let submitted: (runs: TaskFuture<unknown>[]) => void = () => undefined
    const runs = new Promise<TaskFuture<unknown>[]>((resolve) => (submitted = resolve))
    const flowRun = this.start(async () => {
      const called = calls()
      submitted(called)
      await waitAll(called)
      return completed(null)
    })
    const ended = Promise.resolve(flowRun).then(() => runs)
    // Nobody may wait for it, where the flow run is cancelled.
    ended.catch(() => undefined)
    return { flowRun, runs, ended }
  }

  /** Waits until a run is in a state. It must come to it. */
  until(run: RunHandle<unknown>, name: StateName): Promise<void> {
    return this.#until(() => this.transitions.some(({ runId, to }) => runId === run.id && to.name === name))
  }

  /** Waits for the next transition of a kind. */
  untilSeen(wanted: (transition: Transition) => boolean): Promise<void> {
    const from = this.transitions.length
    return this.#until(() => this.transitions.slice(from).some(wanted))
  }

  /** Waits until bodies have said this by their progress, so often. */
  async heard(message: string, times = 1): Promise<void> {
    await this.#until(() => this.progress.filter((told) => told.message === message).length >= times)
  }

  /** Waits until the body of a run has said this. */
  said(run: RunHandle<unknown>, message: string): Promise<void> {
    return this.#until(() => this.progress.some((told) => told.runId === run.id && told.message === message))
  }

  /** The states that a run went through, as `Pending → Running → Completed`. */
  history(run: RunHandle<unknown>): string {
    return this.#of(run)
      .map(({ to }) => to.name)
      .join(' → ')
  }

  /** The threads that it ran on, each once. */
  hosts(run: RunHandle<unknown>): (string | undefined)[] {
    return [
      ...new Set(
        this.#of(run)
          .filter(({ to }) => to.name !== 'Pending')
          .map(({ host }) => host),
      ),
    ]
  }

  #of(run: RunHandle<unknown>): Transition[] {
    return this.transitions.filter(({ runId }) => runId === run.id)
  }

  // --- files ------------------------------------------------------------------------------------------------------

  /** A file for traces. */
  file(name = 'trace'): string {
    return join(this.#folder, name)
  }

  lines(name = 'trace'): string[] {
    const file = this.file(name)
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []
  }

  /** Makes a file that bodies wait for. */
  open(gate: string): void {
    writeFileSync(this.file(gate), '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export interface Submitted {
  readonly flowRun: FlowRun<unknown>
  /** The runs, as soon as they are submitted. */
  readonly runs: Promise<TaskFuture<unknown>[]>
  /** The runs, when they have ended. */
  readonly ended: Promise<TaskFuture<unknown>[]>
}

/** Whether so many bodies run at once, each of them in one thread or another. */
export async function isWhole(stage: Stage, slots: number): Promise<void> {
  const gate = `gate ${stage.progress.length}`
  const submitted = stage.submit(() =>
    range(slots).map(() => waitsForGate(stage.file('whole'), 'whole', stage.file(gate))),
  )
  const before = stage.progress.filter(({ message }) => message === 'whole is there').length
  await stage.heard('whole is there', before + slots)
  stage.open(gate)
  await submitted.ended
}

export function onThreads(
  threads: WorkerThreadsTaskRunnerOptions = { threads: 2 },
  options: EngineOptions = {},
): Stage {
  return new Stage(threads, options)
}

/** What a promise rejects with. */
export async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  const settled = await Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in settled) return settled.error
  throw new TypeError(`expected a rejection, got the value ${String(settled.value)}`)
}

/** What a function throws. */
export function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  throw new TypeError('nothing was thrown')
}

/** Matches an error by its stable code. */
export function code(expected: ErrorCode, message?: RegExp): unknown {
  return expect.objectContaining({
    code: expected,
    ...(message === undefined ? undefined : { message: expect.stringMatching(message) as unknown }),
  }) as unknown
}

/** Each item with how often it is there, where that is not once. */
export function notOnce(lines: readonly string[], expected: Iterable<string>): Record<string, number> {
  const counts = new Map<string, number>([...expected].map((line) => [line, 0]))
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  return Object.fromEntries([...counts].filter(([, count]) => count !== 1))
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}

// --- threads of this process ------------------------------------------------------------------------------------------

const live = new Set<Worker>()
let ended = 0
let started = 0
const watchers = new Set<() => void>()

const changed = (): void => {
  for (const watcher of watchers) watcher()
}

process.on('worker', (worker) => {
  live.add(worker)
  started++
  worker.once('exit', () => {
    live.delete(worker)
    ended++
    changed()
  })
  changed()
})

/** How many threads this process has besides its own. */
export function threadCount(): number {
  return live.size
}

/** How many threads it has started in all. */
export function startedThreads(): number {
  return started
}

/** Waits for threads to be started or to end, until there are so many. */
export function threadsAre(count: number): Promise<void> {
  if (live.size === count) return Promise.resolve()
  return new Promise((resolve) => {
    const look = (): void => {
      if (live.size !== count) return
      watchers.delete(look)
      resolve()
    }
    watchers.add(look)
  })
}

/** The next end of a thread. */
export function nextExit(): Promise<void> {
  const before = ended
  return new Promise((resolve) => {
    const look = (): void => {
      if (ended === before) return
      watchers.delete(look)
      resolve()
    }
    watchers.add(look)
  })
}
