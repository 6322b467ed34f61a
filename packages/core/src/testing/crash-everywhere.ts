import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { Flow } from '../definitions/flow.ts'
import type { Engine } from '../engine/create-engine.ts'
import type { Journal } from '../ports/journal.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import { seededRandom } from '../ports/random.ts'
import type { Args, FlowRunHandle } from '../runs/types.ts'
import { comparable, differences, LoggedEffects } from './crash-compare.ts'
import { CrashError } from './crash-error.ts'
import {
  runCrashing,
  type CrashedRun,
  type CrashEngineOptions,
  type CrashTest,
  type Ran,
} from './crash-run.ts'
import type { CrashPoint } from './crashing-journal.ts'
import { effectsOf, type EffectsLog } from './effects-log.ts'
import { journalLines } from './journal-lines.ts'

/** @public */
export interface CrashOptions<R> {
  /**
   * Options of the engines. A function is asked for those of each process, by its number in its run, from 1: for what a
   * process loses when it dies.
   */
  readonly engine?: CrashEngineOptions | ((process: number) => CrashEngineOptions)
  /**
   * What the tasks did outside: a log, or a function that gives it as data. It must be deeply equal to that of a run
   * without a crash, however often a body ran. Default nothing is compared.
   */
  readonly effects?: EffectsLog | (() => unknown)
  /** Puts back what runs change in this process and outside. Called before each run; a log is cleared without it. */
  readonly reset?: () => unknown
  /** Forgets what a process has in its memory only. Called after each crash, before the run is recovered. */
  readonly restart?: () => unknown
  /** Sends what the run waits for: signals, inputs, a cancel. Called in each process, and may be asynchronous. */
  readonly drive?: (run: FlowRunHandle<R>, engine: Engine) => unknown
  /** Further checks at the end of each run; what it throws is thrown. */
  readonly check?: (ended: CrashedRun<R>) => unknown
  /** What of the value must be the same; default all of it. */
  readonly result?: (value: R) => unknown
  /** Makes the journal of a run, which is closed after it; default a `memoryJournal()`. */
  readonly journal?: () => Journal | Promise<Journal>
  /**
   * How often the process of one run dies at the most; default 2. More than 3 is more than `maxRecoveries` allows, unless
   * the flow says otherwise.
   */
  readonly times?: number
  /** Most runs with a crash; of more a sample is taken, by the seed, those with one crash first. Default 1,000. */
  readonly max?: number
  /** Of all chance; default 1. */
  readonly seed?: number
  /** How long a process may take, in real time; default 10 seconds. */
  readonly limit?: Duration
  /** Where lines go; default `console.log`. */
  readonly log?: (line: string) => void
}

/** What was tried. @public */
export interface CrashReport {
  /** Runs in which a process died. */
  readonly points: number
  /** Those of them in which it died more than once. */
  readonly repeated: number
  /** Runs that ended before they came to the point: what takes real time may take another way. They count as no point. */
  readonly missed: number
  /** Entries and appends of the run without a crash, over all journals. */
  readonly entries: number
  readonly appends: number
}

const optionNames: readonly string[] =
  'engine effects reset restart drive check result journal times max seed limit log'.split(' ')

/**
 * Shows that a flow survives a crash anywhere: runs it once, on virtual time, and then again and again. In each run the
 * process dies at another point: after an entry is stored and before its writer is told, or before an append. A new
 * engine recovers the run, which must come to the same end, with the same effects. Then it dies once more on the way, at a
 * point of the recovery that the seed chooses.
 *
 * Values that bodies draw (`uuid()`, `random()`, `now()`) may differ, and ids of runs: those of the same place are taken for
 * the same.
 *
 * @param args - Arguments of the flow.
 * @returns What was tried; a line in the log says the same.
 * @throws {@link CrashError} `CRASH_FOUND` at the first point where a run comes to something else, does not end, or is
 * parked; where two runs without a crash differ; where no point was reached. Its journals go to the log.
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`, and what starting the flow throws
 * @public
 */
export async function crashEverywhere<A extends readonly unknown[], R>(
  flow: Flow<A, R>,
  args: Args<A>,
  options: CrashOptions<R> = {},
): Promise<CrashReport> {
  const { times = 2, max = 1_000, seed = 1, log = console.log } = options
  const test = testOf(flow as unknown as Flow<readonly unknown[], R>, args, options)
  const suite = new Suite(test, log)
  const whole = await suite.whole()
  const random = seededRandom(seed)
  const number = (): number => random.number()
  let left = max
  let reached: (readonly CrashPoint[])[] = pointsOf(whole.appends[0] ?? []).map((point) => [point])
  for (let round = 1; round <= times; round++) {
    const tried = sample(reached, left, number)
    left -= tried.length
    reached = []
    for (const crashes of tried) {
      const next = pointsOf((await suite.crash(crashes)).appends[crashes.length] ?? [])
      const again = next[Math.floor(number() * next.length)]
      if (again !== undefined) reached.push([...crashes, again])
    }
  }
  return suite.report()
}

class Suite<R> {
  readonly #test: CrashTest<R>
  readonly #log: (line: string) => void
  #whole: Ran | undefined
  #points = 0
  #repeated = 0
  #missed = 0

  constructor(test: CrashTest<R>, log: (line: string) => void) {
    this.#test = test
    this.#log = log
  }

  get #name(): string {
    return this.#test.flow.name
  }

  /** A run without a crash. Two of them must agree, or nothing could be said of others. */
  async whole(): Promise<Ran> {
    const whole = await runCrashing(this.#test, [])
    if (whole.stuck !== undefined)
      this.#fail(`${this.#name} does not end without a crash`, whole, [whole.stuck])
    const again = await runCrashing(this.#test, [])
    this.#whole = whole
    const found = differences(whole, again)
    const advice = 'put back by `reset` what a run changes, and leave out by `result` what may differ'
    if (found.length > 0)
      this.#fail(`two runs of ${this.#name} without a crash differ (${advice})`, again, found)
    return whole
  }

  async crash(crashes: readonly CrashPoint[]): Promise<Ran> {
    const ran = await runCrashing(this.#test, crashes)
    if (ran.deaths < crashes.length) this.#missed++
    else this.#points++
    if (ran.deaths === crashes.length && ran.deaths > 1) this.#repeated++
    const found = differences(this.#whole ?? ran, ran)
    if (found.length === 0) return ran
    const where = crashes.map(inPlace).join(', then ')
    return this.#fail(`${this.#name} does not survive a crash ${where}`, ran, found, crashes)
  }

  report(): CrashReport {
    const sizes = this.#whole?.appends[0] ?? []
    const entries = sizes.reduce((sum, size) => sum + size, 0)
    if (this.#points === 0 && this.#whole !== undefined)
      this.#fail(`${this.#name} came to no point at which it could die`, this.#whole, ['0 points were tried'])
    const missed = this.#missed === 0 ? '' : `; ${this.#missed} points were not reached`
    this.#log(
      `crashEverywhere: ${this.#name} came to the same end from ${this.#points} points ` +
        `(${entries} entries in ${sizes.length} appends; ${this.#repeated} times its process died more than once${missed})`,
    )
    return {
      points: this.#points,
      repeated: this.#repeated,
      missed: this.#missed,
      entries,
      appends: sizes.length,
    }
  }

  #fail(what: string, ran: Ran, found: readonly string[], crashes: readonly CrashPoint[] = []): never {
    const journal = journalLines(ran.story)
    const message = `${what}: ${found.join('; ')}`
    this.#log(`crashEverywhere: ${message}`)
    this.#log(`${this.#points} points were tried. What was stored in the last run:`)
    for (const line of journal) this.#log(line)
    throw new CrashError(message, {
      crashes,
      differences: found,
      journal,
      expected: this.#whole === undefined ? undefined : comparable(this.#whole),
      actual: comparable(ran),
    })
  }
}

/** Where a process that makes these appends can die. */
function pointsOf(appends: readonly number[]): CrashPoint[] {
  const points: CrashPoint[] = []
  let stored = 0
  for (const [number, size] of appends.entries()) {
    points.push({ beforeAppend: number + 1 })
    for (let entry = 1; entry <= size; entry++) {
      // The first two are stored at once.
      if (++stored !== 1) points.push({ afterEntries: stored })
    }
  }
  return points
}

/** As many of the points, in their order. */
function sample<T>(points: T[], count: number, random: () => number): T[] {
  if (points.length <= count) return points
  const chosen = points.map((point, place) => ({ point, place, rank: random() }))
  chosen.sort((a, b) => a.rank - b.rank)
  return chosen
    .slice(0, count)
    .toSorted((a, b) => a.place - b.place)
    .map(({ point }) => point)
}

function inPlace({ afterEntries, beforeAppend }: CrashPoint): string {
  return afterEntries === undefined ? `before append ${beforeAppend}` : `after entry ${afterEntries}`
}

function testOf<R>(
  flow: Flow<readonly unknown[], R>,
  args: readonly unknown[],
  options: CrashOptions<R>,
): CrashTest<R> {
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue
    throw invalid(name, `crashEverywhere has no option \`${name}\`; it takes ${optionNames.join(', ')}`)
  }
  const { engine = {}, effects, times = 2, max = 1_000, seed = 1, limit = '10s' } = options
  for (const [name, value] of Object.entries({ times, max })) {
    if (!Number.isInteger(value) || value < 1)
      throw invalid(name, `expected \`${name}\` to be an integer from 1 on, got ${inWords(value)}`)
  }
  const isLog = effectsOf(effects) !== undefined
  const nothing = (): void => undefined
  const reset = async (): Promise<void> => {
    if (isLog) (effects as EffectsLog).clear()
    await options.reset?.()
  }
  return {
    flow,
    args,
    seed,
    limitMs: toMilliseconds(limit, 'limit'),
    engineOptions: typeof engine === 'function' ? engine : () => engine,
    journal: options.journal ?? memoryJournal,
    reset,
    restart: options.restart ?? nothing,
    drive: options.drive ?? nothing,
    check: options.check ?? nothing,
    result: options.result ?? ((value) => value),
    effects: () => snapshotOf(effects),
  }
}

/** As it is now: what is compared later may change meanwhile. */
function snapshotOf(effects: CrashOptions<never>['effects']): unknown {
  const byKey = effectsOf(effects)
  if (byKey !== undefined) return new LoggedEffects(byKey)
  if (effects === undefined) return undefined
  if (typeof effects !== 'function')
    throw invalid(
      'effects',
      `expected \`effects\` to be a function or an effectsLog(), got ${inWords(effects)}`,
    )
  return structuredClone(effects())
}

function invalid(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
