import {
  context,
  metrics as globalMetrics,
  ROOT_CONTEXT,
  trace,
  type MeterProvider,
  type TracerProvider,
} from '@opentelemetry/api'
import {
  callBodiesWithin,
  type AttemptScope,
  type Instrumentation,
  type InstrumentationEvent,
  type InstrumentedAttempt,
  type InstrumentedEngine,
  type InstrumentedRun,
  type SentScope,
  type TraceCarrier,
} from '@troupe/core'
import { Metrics } from './metrics.ts'
import { Spans } from './spans.ts'

/** @public */
export interface OpenTelemetryOptions {
  /** Where spans go; default the one that is registered with the API. */
  readonly tracerProvider?: TracerProvider
  /** Where metrics go; default the one that is registered with the API when the first engine is opened. */
  readonly meterProvider?: MeterProvider
}

const scope = '@troupe/opentelemetry'

/**
 * Traces and metrics of an engine: `createEngine({ instrumentation: openTelemetry() })`. One may be given to several engines. In a
 * thread that executes tasks it is enough that a module which the thread loads makes one.
 *
 * Without an SDK nothing is made, and nothing breaks.
 *
 * @public
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Instrumentation {
  const instrumentation = new OpenTelemetry(options)
  callBodiesWithin((carrier, body) => instrumentation.within(carrier, body))
  return instrumentation
}

class OpenTelemetry implements Instrumentation {
  readonly #spans: Spans
  readonly #meterProvider: MeterProvider | undefined
  #metrics: Metrics | undefined

  constructor({ tracerProvider = trace, meterProvider }: OpenTelemetryOptions) {
    this.#spans = new Spans(tracerProvider.getTracer(scope))
    this.#meterProvider = meterProvider
  }

  opened(engine: InstrumentedEngine): () => void {
    // Not before: what is registered later would not be found.
    this.#metrics ??= new Metrics((this.#meterProvider ?? globalMetrics).getMeter(scope))
    return this.#metrics.opened(engine)
  }

  submitted(run: InstrumentedRun): ReturnType<Spans['submitted']> {
    return this.#spans.submitted(run)
  }

  sent(flow: { readonly id: string; readonly name: string; readonly node: string }): SentScope {
    const scope = this.#spans.sent(flow)
    return {
      trace: scope.trace,
      ended: (error, isNew) => {
        scope.ended(error, isNew)
        if (isNew) this.#metrics?.sent(flow.name)
      },
    }
  }

  traceOf(run: InstrumentedRun, attempt: number): TraceCarrier | undefined {
    return this.#spans.traceOf(run, attempt)
  }

  began(attempt: InstrumentedAttempt): AttemptScope {
    this.#metrics?.began(attempt)
    const span = this.#spans.began(attempt)
    return {
      within: (body) => (span === undefined ? body() : span.within(body)),
      ended: (end) => {
        span?.ended(end)
        this.#metrics?.attemptEnded(attempt, end)
      },
    }
  }

  within<T>(carrier: TraceCarrier, body: () => T): T {
    return this.#spans.within(carrier, body)
  }

  outside<T>(fn: () => T): T {
    return context.with(ROOT_CONTEXT, fn)
  }

  told(event: InstrumentationEvent): void {
    if (event.kind === 'ended') this.#spans.ended(event.run, event.end, event.attempts)
    this.#metrics?.told(event)
  }
}
