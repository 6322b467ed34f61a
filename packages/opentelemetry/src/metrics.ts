import type { Attributes, Counter, Histogram, Meter, ObservableResult } from '@opentelemetry/api'
import type {
  EngineGauges,
  InstrumentationEvent,
  InstrumentedAttempt,
  InstrumentedEnd,
  InstrumentedEngine,
  InstrumentedRun,
} from '@troupe/core'
import { kindOf, typeOfError } from './words.ts'

/** From a millisecond to an hour, in seconds. */
const long = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600]
/** From a tenth of a millisecond to five seconds, in seconds. */
const short = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]

/** Metrics of all engines that one instrumentation is given to. */
export class Metrics {
  readonly #engines = new Set<InstrumentedEngine>()
  readonly #started: Counter
  readonly #ended: Counter
  readonly #duration: Histogram
  readonly #wait: Histogram
  readonly #slots: Histogram
  readonly #attempt: Histogram
  readonly #retries: Counter
  readonly #recoveries: Counter
  readonly #append: Histogram
  readonly #entries: Counter
  readonly #failures: Counter
  readonly #errors: Counter

  constructor(meter: Meter) {
    const seconds = (name: string, description: string, boundaries: number[]): Histogram =>
      meter.createHistogram(name, {
        description,
        unit: 's',
        advice: { explicitBucketBoundaries: boundaries },
      })
    const counter = (name: string, unit: string, description: string): Counter =>
      meter.createCounter(name, { description, unit })
    this.#started = counter('troupe.runs.started', '{run}', 'Runs that were submitted')
    this.#ended = counter('troupe.runs.ended', '{run}', 'Runs that ended')
    this.#duration = seconds('troupe.run.duration', 'From the submission of a run to its end', long)
    this.#wait = seconds('troupe.run.wait', 'From the submission of a run to the beginning of its body', long)
    this.#slots = seconds('troupe.slots.wait', 'For how long a run waited for slots of limits', long)
    this.#attempt = seconds(
      'troupe.attempt.duration',
      'From the beginning of a body to the end of its attempt',
      long,
    )
    this.#retries = counter(
      'troupe.run.retries',
      '{retry}',
      'Attempts that failed, and are followed by another one',
    )
    this.#recoveries = counter('troupe.run.recoveries', '{recovery}', 'Attempts whose host was lost')
    this.#append = seconds(
      'troupe.journal.append.duration',
      'For how long a journal took to answer an append',
      short,
    )
    this.#entries = counter('troupe.journal.entries', '{entry}', 'Entries that journals were given')
    this.#failures = counter('troupe.journal.append.failures', '{append}', 'Appends that were repeated')
    this.#errors = counter('troupe.errors', '{error}', 'Errors that no caller hears of')
    this.#observe(meter)
  }

  #observe(meter: Meter): void {
    const gauge = (
      name: string,
      unit: string,
      description: string,
      of: (gauges: EngineGauges) => number,
    ): void =>
      meter.createObservableUpDownCounter(name, { unit, description }).addCallback((result) => {
        let sum = 0
        for (const engine of this.#engines) sum += of(engine.gauges())
        result.observe(sum)
      })
    gauge('troupe.runs.live', '{run}', 'Flow runs that are live here', ({ liveRuns }) => liveRuns)
    gauge(
      'troupe.leftovers',
      '{body}',
      'Bodies that go on although their run has ended',
      (all) => all.leftovers,
    )
    gauge('troupe.journals.stalled', '{journal}', 'Journals that do not answer', ({ stalled }) => stalled)
    meter
      .createObservableUpDownCounter('troupe.queue.waiting', {
        unit: '{run}',
        description: 'Task runs that wait for room in their task runner',
      })
      .addCallback((result) => this.#observeWaiting(result))
  }

  #observeWaiting(result: ObservableResult): void {
    const counts = new Map<string, number>()
    for (const engine of this.#engines)
      for (const { runner, count } of engine.gauges().waiting)
        counts.set(runner, (counts.get(runner) ?? 0) + count)
    for (const [runner, count] of counts) result.observe(count, { 'troupe.task_runner': runner })
  }

  opened(engine: InstrumentedEngine): () => void {
    this.#engines.add(engine)
    return () => void this.#engines.delete(engine)
  }

  /** A run was submitted here for another node. */
  sent(name: string): void {
    this.#started.add(1, { 'troupe.run.kind': 'flow', 'troupe.name': name })
  }

  began({ run, number, startedAt, isInherited }: InstrumentedAttempt): void {
    if (number === 1 && !isInherited) this.#wait.record(since(run.submittedAt, startedAt), kindOf(run))
  }

  attemptEnded({ run, startedAt }: InstrumentedAttempt, { at, state }: InstrumentedEnd): void {
    this.#attempt.record(since(startedAt, at), inState(run, state))
    if (state === 'AwaitingRetry' || state === 'Retrying') this.#retries.add(1, kindOf(run))
    else if (state === 'Recovering') this.#recoveries.add(1, kindOf(run))
  }

  told(event: InstrumentationEvent): void {
    switch (event.kind) {
      case 'started':
        this.#started.add(1, kindOf(event.run))
        return
      case 'ended': {
        const { run, end } = event
        const attributes = inState(run, end.state)
        this.#ended.add(1, attributes)
        this.#duration.record(since(run.submittedAt, end.at), attributes)
        return
      }
      case 'slots':
        this.#slots.record(event.waitedMs / 1_000, kindOf(event.run))
        return
      case 'append':
        this.#append.record(event.ms / 1_000, {
          'troupe.journal.outcome': event.isStored ? 'stored' : 'refused',
        })
        if (event.isStored) this.#entries.add(event.entries)
        return
      case 'append failed':
        this.#failures.add(1, { 'error.type': typeOfError(event.error) })
        return
      case 'error':
        this.#errors.add(1, { 'error.type': typeOfError(event.error) })
        return
    }
  }
}

function inState(run: InstrumentedRun, state: string): Attributes {
  return { ...kindOf(run), 'troupe.run.state': state }
}

function since(from: number, to: number): number {
  return Math.max(0, to - from) / 1_000
}
