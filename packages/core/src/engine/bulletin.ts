import { callOutside } from '../base/context-store.ts'
import { TroupeError } from '../base/errors.ts'
import type { LogFields, Logger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'
import { Hub } from '../streams/hub.ts'
import type { EngineError } from './engine-options.ts'
import type { Ledger } from './ledger.ts'
import { progressOf, type Progress } from './progress.ts'
import type { Run } from './run.ts'

/** For how long a loss of the servers is one. */
const oneLossMs = 1_000

/** What an engine tells people besides transitions: errors that no caller hears of, log lines, progress, and how it is. */
export class Bulletin {
  readonly errors: Hub<EngineError>
  readonly progress: Hub<Progress>
  readonly #logger: Logger
  readonly #clock: Clock
  /** Told of errors, where there is instrumentation. */
  instruments: { failed(error: unknown): void } | undefined
  readonly #leftovers = new Map<string, number>()
  readonly #stalled = new Set<string>()
  #lost: { readonly words: string; readonly at: number } | undefined

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
    // An observer of errors that throws has nowhere else to go.
    this.errors = new Hub((error) => this.#log('error', { err: error }, 'an observer of engine.errors threw'))
    this.progress = new Hub((error) => this.report(error, undefined))
  }

  report(error: unknown, run: Run | undefined, what = 'an error that no caller hears of'): void {
    if (run === undefined && this.#isToldOf(error)) return
    this.instruments?.failed(error)
    if (this.errors.observed) this.#emit(error, run)
    else if (run === undefined) this.#log('error', { err: error }, what)
    else this.log('error', run, { err: error }, what)
  }

  /** The transport and each intake have connections of their own, which are lost at once. */
  #isToldOf(error: unknown): boolean {
    if (!TroupeError.is(error, 'TRANSPORT_UNAVAILABLE')) return false
    const at = this.#clock.monotonic()
    const isSame = this.#lost?.words === error.message && at - this.#lost.at < oneLossMs
    if (!isSame) this.#lost = { words: error.message, at }
    return isSame
  }

  #emit(error: unknown, run: Run | undefined): void {
    const ids = run === undefined ? undefined : { flowRunId: run.ledger.flowRunId, runId: run.id }
    callOutside(() => this.errors.emit({ error, ...ids }))
  }

  #log(level: 'warn' | 'error', fields: LogFields, message: string): void {
    try {
      this.#logger[level](fields, message)
    } catch {
      // A logger that throws is the last place where anybody could be told.
    }
  }

  /** For the log. */
  warn(message: string): void {
    this.#log('warn', {}, message)
  }

  log(level: 'warn' | 'error', run: Run, fields: LogFields, message: string): void {
    const ids = { run: run.runName, runId: run.id, flowRunId: run.ledger.flowRunId }
    this.#log(level, { ...ids, attempt: run.context.attempt, ...fields }, message)
  }

  /** In the log, too: whoever reads it should not have to know who observes errors. */
  hookFailed(error: unknown, run: Run): void {
    this.instruments?.failed(error)
    if (this.errors.observed) this.#emit(error, run)
    this.log('error', run, { err: error }, 'a hook failed')
  }

  progressed(run: Run, fraction: number, message: string | undefined): void {
    const progress = progressOf(run, fraction, message, this.#clock.now())
    if (!run.ended) this.progress.emit(progress)
  }

  leftover(run: Run, present: boolean, after: string): void {
    const count = (this.#leftovers.get(run.id) ?? 0) + (present ? 1 : -1)
    if (count > 0) this.#leftovers.set(run.id, count)
    else this.#leftovers.delete(run.id)
    const message = `the body did not settle within ${after}, and may still be running`
    if (present) this.log('warn', run, {}, message)
  }

  stalled({ flowRunId }: Ledger, error: unknown): void {
    if (this.#stalled.has(flowRunId)) return
    this.#stalled.add(flowRunId)
    const message = `the journal did not take an append of ${flowRunId}; it is repeated`
    this.report(new TroupeError('JOURNAL_CONFLICT', message, { cause: error }), undefined)
  }

  answered({ flowRunId }: Ledger): void {
    this.#stalled.delete(flowRunId)
  }

  get health(): { readonly leftovers: readonly string[]; readonly stalled: readonly string[] } {
    return { leftovers: [...this.#leftovers.keys()], stalled: [...this.#stalled] }
  }

  get counts(): { readonly leftovers: number; readonly stalled: number } {
    return { leftovers: this.#leftovers.size, stalled: this.#stalled.size }
  }

  close(): void {
    this.errors.complete()
    this.progress.complete()
  }
}
