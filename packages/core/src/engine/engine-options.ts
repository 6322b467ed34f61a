import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import type { IntakeStatus } from '../events/intake-types.ts'
import type { Logger } from '../base/logger.ts'
import type { Cache } from '../ports/cache.ts'
import type { Clock } from '../ports/clock.ts'
import type { Instrumentation } from '../ports/instrumentation.ts'
import type { Journal } from '../ports/journal.ts'
import type { Random } from '../ports/random.ts'
import type { Transport } from '../ports/transport.ts'
import type { Serve } from './serve-options.ts'
import { inWords } from '../base/words.ts'
import type { Limit } from './limit.ts'

/** @public */
export interface EngineOptions {
  /** Where journals are kept; default in memory. An engine does not close a journal that it is given. */
  readonly journal?: Journal
  /**
   * How this engine and others share journals, queues and limits, so that any of them goes on with the runs of one that is
   * lost. It brings a journal, which `journal` replaces. Default none: the engine is alone.
   */
  readonly transport?: Transport
  /** What this engine does for the others of its transport; default nothing: what it starts runs here. */
  readonly serve?: Serve
  /** Results of tasks with a cache; default the journal's where it has one, else in memory, the 10,000 used last. */
  readonly cache?: Cache
  /** How many runs there may be at once, and how often they may begin; `engine.limits` changes them. */
  readonly limits?: readonly Limit[]
  /** Encode and decode every value, as threads and other machines do; default only where the journal needs it. */
  readonly strictValues?: boolean
  /**
   * How long the body of a flow only waits (for a time, a message, the end of a pause) before it is let go: the run is then
   * Suspended, and replayed when it goes on. Default `'1m'` with a durable journal, else `false`, never.
   */
  readonly suspendAfter?: Duration | false
  /**
   * Whether the engine goes on with unfinished runs as soon as the program has come to rest: `engine.recover()` called for
   * you, its errors in `engine.errors`. Default false.
   */
  readonly recover?: boolean
  /** Time; default this machine's. */
  readonly clock?: Clock
  /** Chance; default the operating system's. */
  readonly random?: Random
  /** Where log lines go; default warnings and errors to standard error. A `pino` logger fits. */
  readonly logger?: Logger
  /** Name of this node in journals and transitions; default a random one. */
  readonly node?: string
  /** Is told what the engine does, for traces and metrics, such as `openTelemetry()` of `@troupe/opentelemetry`; default none. */
  readonly instrumentation?: Instrumentation
}

/** Something went wrong that no caller hears of: an observer threw, a run failed and nobody looked. @public */
export interface EngineError {
  readonly error: unknown
  readonly flowRunId?: string
  readonly runId?: string
}

/** How an engine is. @public */
export interface EngineHealth {
  /** False once it closes, also where it had to: that does not pass. */
  readonly open: boolean
  /** Whether it takes work just now: it is open, other nodes know of it, and its transport is connected. */
  readonly ready: boolean
  /** Why it is not ready, in words for people. */
  readonly unready: readonly string[]
  /** Flow runs, and task runs outside any flow, that are live here. */
  readonly liveRuns: number
  /** Bodies that go on although their run has ended, by run id. */
  readonly leftovers: readonly string[]
  /** Journals whose newest append has not been answered, by flow run id. */
  readonly stalled: readonly string[]
  /**
   * What keeps task runs from beginning on other nodes, or journals from being written, until a person sees to it, in words: no worker
   * has their task, say, or the stream of the journals was deleted.
   */
  readonly obstacles: readonly string[]
  /** Its intakes that are not over. */
  readonly intakes: readonly IntakeStatus[]
}

const optionNames =
  'journal, transport, serve, cache, limits, strictValues, suspendAfter, recover, clock, random, logger, node, instrumentation'.split(
    ', ',
  )

/** @throws UsageError `INVALID_OPTION` */
export function checkEngineOptions(options: EngineOptions): void {
  const { cache } = options
  const isCache = cache === undefined || cacheMethods.every((name) => typeof cache?.[name] === 'function')
  if (!isCache) {
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`cache\` to be a cache, such as \`memoryCache()\`, got ${inWords(cache)}`,
      {
        details: { option: 'cache' },
      },
    )
  }
  const { instrumentation } = options
  if (instrumentation !== undefined && !isInstrumentation(instrumentation))
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`instrumentation\` to be an instrumentation, such as \`openTelemetry()\`, got ${inWords(instrumentation)}`,
      { details: { option: 'instrumentation' } },
    )
  if (options.transport !== undefined && typeof options.transport?.open !== 'function')
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`transport\` to be a transport, such as \`natsTransport({ servers })\`, got ${inWords(options.transport)}`,
      { details: { option: 'transport' } },
    )
  if (options.serve !== undefined && options.transport === undefined)
    throw new UsageError(
      'NO_TRANSPORT',
      '`serve` needs a `transport`: others can only reach this engine through one',
      {
        details: { option: 'serve' },
      },
    )
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue
    throw new UsageError(
      'INVALID_OPTION',
      `createEngine has no option \`${name}\`; it takes ${optionNames.join(', ')}`,
      { details: { option: name } },
    )
  }
}

const cacheMethods = ['get', 'put', 'delete'] as const

const instrumentationMethods = [
  ...(['opened', 'submitted', 'sent', 'traceOf'] as const),
  ...(['began', 'within', 'outside', 'told'] as const),
] satisfies (keyof Instrumentation)[]

function isInstrumentation(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const methods = given as Partial<Record<string, unknown>>
  return instrumentationMethods.every((name) => /^(function|undefined)$/.test(typeof methods[name]))
}

/** How long a body only waits before it is let go, in milliseconds. @throws UsageError `INVALID_DURATION` */
export function suspendAfter({ suspendAfter: given }: EngineOptions, isDurable: boolean): number | undefined {
  if (given === undefined) return isDurable ? 60_000 : undefined
  return given === false ? undefined : toMilliseconds(given, 'suspendAfter')
}
