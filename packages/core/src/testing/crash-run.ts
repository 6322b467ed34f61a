import type { Engine } from '../engine/create-engine.ts'
import { engineClosed } from '../engine/ambient.ts'
import { inside } from '../engine/start.ts'
import type { Logger } from '../base/logger.ts'
import { inWords } from '../base/words.ts'
import type { Flow } from '../definitions/flow.ts'
import type { Entry } from '../journal/entries.ts'
import { isTerminal } from '../machines/states.ts'
import type { Journal } from '../ports/journal.ts'
import { systemClock } from '../ports/system-clock.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import type { FlowRunHandle } from '../runs/types.ts'
import { cloneValue } from '../values/codec.ts'
import { crashingJournal, type CrashingJournal, type CrashPoint } from './crashing-journal.ts'
import { chancesOf } from './chances.ts'
import type { Happened } from './journal-lines.ts'
import { mortalClock, type MortalClock } from './mortal-clock.ts'
import { createTestEngine, type TestEngine, type TestEngineOptions } from './test-engine.ts'
import { virtualClock, type VirtualClock } from './virtual-clock.ts'

/** Options of the engines that `crashEverywhere` makes. @public */
export type CrashEngineOptions = Omit<TestEngineOptions, 'journal' | 'clock' | 'seed'>

/** A run of `crashEverywhere` that has come to its end. @public */
export interface CrashedRun<R> {
  readonly run: FlowRunHandle<R>
  /** The last of its engines, still open. */
  readonly engine: TestEngine
  /** How often its process died. */
  readonly deaths: number
}

/** What is run, and how. */
export interface CrashTest<R> {
  readonly flow: Flow<readonly unknown[], R>
  readonly args: readonly unknown[]
  readonly seed: number
  readonly limitMs: number
  readonly engineOptions: (process: number) => CrashEngineOptions
  readonly journal: () => Journal | Promise<Journal>
  readonly reset: () => unknown
  readonly restart: () => unknown
  readonly drive: (run: FlowRunHandle<R>, engine: Engine) => unknown
  readonly check: (ended: CrashedRun<R>) => unknown
  readonly result: (value: R) => unknown
  readonly effects: () => unknown
}

/** What a run came to. */
export interface Ran {
  /** Why it did not end; undefined where it did. */
  readonly stuck: string | undefined
  readonly state: string | undefined
  readonly value: unknown
  readonly error: { readonly name: string; readonly message: string; readonly code: unknown } | undefined
  readonly effects: unknown
  /** What chance and time decided, by its place. */
  readonly chances: ReadonlyMap<string, unknown>
  /** For each process, how many entries each of its appends has. */
  readonly appends: readonly (readonly number[])[]
  /** How often a process died. */
  readonly deaths: number
  readonly story: readonly Happened[]
}

type Ending = Pick<Ran, 'stuck' | 'state' | 'value' | 'error'>

const real = systemClock()

/** Turns of the event loop in which what a dead process left behind comes to rest. */
const turnsOfRest = 20

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Runs a flow; its process dies at each of `crashes` in turn, with a new one over the same journal after each. */
export async function runCrashing<R>(test: CrashTest<R>, crashes: readonly CrashPoint[]): Promise<Ran> {
  await test.reset()
  const journal = await test.journal()
  const lives = new Lives(test, journal)
  try {
    for (const point of [...crashes, {}]) {
      const ending = await lives.live(point)
      if (ending !== undefined) return lives.ran(ending, test.effects())
      await rest()
      await test.restart()
    }
    return lives.ran(notEnded('its last process died'), test.effects())
  } finally {
    await lives.close()
    await journal.close()
  }
}

interface Process {
  readonly engine: TestEngine
  readonly journal: CrashingJournal
  readonly clock: MortalClock
  readonly errors: unknown[]
}

/** The processes of one run. */
class Lives<R> {
  readonly #test: CrashTest<R>
  readonly #journal: Journal
  readonly #clock: VirtualClock = virtualClock()
  readonly #story: Happened[] = []
  readonly #appends: number[][] = []
  readonly #processes: Process[] = []
  #runId: string | undefined
  #deaths = 0
  #parked: (why: string) => void = () => undefined

  constructor(test: CrashTest<R>, journal: Journal) {
    this.#test = test
    this.#journal = journal
    journal.subscribe((flowRunId, first, entries) => {
      // It was forgotten.
      if (first === 0) return
      this.#appends.at(-1)?.push(entries.length)
      for (const entry of entries) this.#stored(flowRunId, entry)
    })
  }

  /** A process that dies at a point. @returns What the run came to, or undefined where it died before. */
  async live(point: CrashPoint): Promise<Ending | undefined> {
    const known = this.#runId === undefined ? undefined : await this.#journal.summary(this.#runId)
    const parked = new Promise<Ending>((resolve) => {
      this.#parked = (why) => resolve(notEnded(why))
    })
    const late = deadlineAfter(real, this.#test.limitMs)
    const process = this.#begin(point, known !== undefined)
    const { journal, engine, errors } = process
    const dead = journal.death.then(() => undefined)
    try {
      const run = known === undefined ? this.#start(engine) : this.#recover(process)
      const ended = Promise.resolve(run).then((found) => this.#untilEnd(found, engine))
      // What the others come to is nobody's matter any more.
      ended.catch(() => undefined)
      const tooLate = late.done.then(() => notEnded(this.#whereItStands(errors)))
      const ending = await this.#clock.run(Promise.race([dead, ended, parked, tooLate]))
      if (journal.crashed) this.#died(process, point)
      else return ending
    } finally {
      late.stop()
    }
    return undefined
  }

  ran(ending: Ending, effects: unknown): Ran {
    return {
      ...ending,
      effects,
      chances: chancesOf(this.#story),
      appends: this.#appends,
      deaths: this.#deaths,
      story: this.#story,
    }
  }

  async close(): Promise<void> {
    for (const { engine, clock, journal } of this.#processes) {
      clock.bury()
      await engine.close()
      await journal.close()
    }
    await rest()
  }

  #begin(point: CrashPoint, goesOn: boolean): Process {
    const number = this.#processes.length + 1
    this.#story.push({ began: number })
    this.#appends.push([])
    const { seed, engineOptions } = this.#test
    const clock = mortalClock(this.#clock)
    const journal = crashingJournal(this.#journal, point)
    const given = engineOptions(number)
    // A process that finds nothing is the first again, with the same ids.
    const drawn = { seed: goesOn ? seed + number - 1 : seed }
    const engine = createTestEngine({
      node: `process-${number}`,
      logger: silent,
      ...given,
      ...drawn,
      journal,
      clock,
    })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const process = { engine, journal, clock, errors }
    this.#processes.push(process)
    return process
  }

  #start(engine: TestEngine): FlowRunHandle<R> {
    const { handle } = engine.run(this.#test.flow, ...this.#test.args)
    this.#runId = handle.id
    return handle
  }

  /** The run of the process before, recovered, or found where it had ended. */
  async #recover({ engine, errors }: Process): Promise<FlowRunHandle<R> | string> {
    const id = this.#runId ?? ''
    const run = (await engine.recover()).find((recovered) => recovered.id === id)
    if (run !== undefined) return run as FlowRunHandle<R>
    const ended = await engine.get(id)
    if (ended !== undefined && isTerminal(ended.state.name)) return ended as FlowRunHandle<R>
    return `it could not be recovered: ${errors.map(inWords).join('; ')}`
  }

  async #untilEnd(run: FlowRunHandle<R> | string, engine: TestEngine): Promise<Ending> {
    if (typeof run === 'string') return notEnded(run)
    const failed = new Promise<never>((_resolve, reject) => {
      Promise.resolve(this.#test.drive(run, engine)).catch(reject)
    })
    const { name: state } = await Promise.race([run.wait(), failed])
    const ending = await run.result().then(
      (value) => ({ value: cloneValue(this.#test.result(value)), error: undefined }),
      (error: unknown) => ({ value: undefined, error: inShort(error) }),
    )
    await this.#test.check({ run, engine, deaths: this.#deaths })
    return { stuck: undefined, state, ...ending }
  }

  #died({ clock, engine }: Process, point: CrashPoint): void {
    clock.die()
    // Not one of those that are open, for the calls of the next process.
    engineClosed((engine as unknown as Record<symbol, object>)[inside] ?? engine)
    this.#deaths++
    const how =
      point.beforeAppend === undefined
        ? 'the last entry is stored, and its writer is not told'
        : 'the next append is not stored'
    this.#story.push({ died: this.#processes.length, how })
  }

  #stored(flowRunId: string, entry: Entry): void {
    this.#story.push({ flowRunId, entry })
    if (entry.kind !== 'transition' || entry.to !== 'Paused') return
    if (entry.message?.startsWith('diverged') === true) this.#parked(`it was parked: ${entry.message}`)
  }

  #whereItStands(errors: readonly unknown[]): string {
    const newest = this.#story.findLast(
      (happened) => 'entry' in happened && happened.entry.kind === 'transition',
    )
    const state =
      newest !== undefined && 'entry' in newest && 'to' in newest.entry ? newest.entry.to : 'nothing'
    const heard = errors.length === 0 ? '' : `; engine.errors: ${errors.map(inWords).join('; ')}`
    return `it was not over after ${this.#test.limitMs} ms (\`limit\`); the newest transition is to ${state}${heard}`
  }
}

function notEnded(stuck: string): Ending {
  return { stuck, state: undefined, value: undefined, error: undefined }
}

function inShort(error: unknown): Ran['error'] {
  if (!(error instanceof Error)) return { name: '', message: inWords(error), code: undefined }
  return { name: error.name, message: error.message, code: (error as { code?: unknown }).code }
}

async function rest(): Promise<void> {
  for (let turn = 0; turn < turnsOfRest; turn++) await new Promise<void>((resolve) => real.turn(resolve))
}
