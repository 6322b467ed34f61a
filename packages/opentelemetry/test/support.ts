import { context, trace, type Span } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
  type Sampler,
} from '@opentelemetry/sdk-trace-base'
import type { Instrumentation } from '@troupe/core'
import { openTelemetry } from '@troupe/opentelemetry'
import { createTestEngine, type TestEngine, type TestEngineOptions } from '@troupe/core/testing'

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

/** An SDK of a test: its spans and metrics are kept. */
export class Telemetry {
  readonly exporter = new InMemorySpanExporter()
  readonly provider: BasicTracerProvider
  readonly metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  readonly reader = new PeriodicExportingMetricReader({
    exporter: this.metrics,
    exportIntervalMillis: 3_600_000,
  })
  readonly meterProvider = new MeterProvider({ readers: [this.reader] })
  readonly instrumentation: Instrumentation

  constructor(sampler?: Sampler) {
    this.provider = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(this.exporter)],
      ...(sampler === undefined ? undefined : { sampler }),
    })
    this.instrumentation = openTelemetry({
      tracerProvider: this.provider,
      meterProvider: this.meterProvider,
    })
  }

  /** An engine on virtual time that tells it what happens. */
  engine(options: TestEngineOptions = {}): TestEngine {
    return createTestEngine({ instrumentation: this.instrumentation, logger: silent, ...options })
  }

  get spans(): readonly ReadableSpan[] {
    return this.exporter.getFinishedSpans()
  }

  named(name: string): readonly ReadableSpan[] {
    return this.spans.filter((span) => span.name === name)
  }

  /** The only span of a name. */
  one(name: string): ReadableSpan {
    const [span, ...others] = this.named(name)
    if (span === undefined || others.length > 0)
      throw new RangeError(`${others.length + (span === undefined ? 0 : 1)} spans are called ${name}`)
    return span
  }

  /** Names of spans, those of a parent's children indented below it, in order of their beginning. */
  tree(): string[] {
    const ids = new Set(this.spans.map((span) => span.spanContext().spanId))
    const below = (parent: string | undefined, depth: number): string[] =>
      this.spans
        .filter(({ parentSpanContext }) =>
          parent === undefined
            ? !ids.has(parentSpanContext?.spanId ?? '')
            : parentSpanContext?.spanId === parent,
        )
        .toSorted((a, b) => startOf(a) - startOf(b) || (a.name < b.name ? -1 : 1))
        .flatMap((span) => ['  '.repeat(depth) + span.name, ...below(span.spanContext().spanId, depth + 1)])
    return below(undefined, 0)
  }

  /** Calls `fn` in a span of the caller's. */
  async inSpan<T>(name: string, fn: (span: Span) => T | PromiseLike<T>): Promise<T> {
    return this.provider.getTracer('test').startActiveSpan(name, async (span) => {
      try {
        return await fn(span)
      } finally {
        span.end()
      }
    })
  }

  /** Newest value of each series of a metric, by its attributes. */
  async measured(name: string): Promise<Measured[]> {
    await this.reader.forceFlush()
    const newest = this.metrics.getMetrics().at(-1)
    const found = newest?.scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .find((one) => one.descriptor.name === name)
    return (
      found?.dataPoints.map(({ attributes, value }) => ({
        unit: found.descriptor.unit,
        attributes,
        value: typeof value === 'number' ? value : (value as { readonly sum?: number }).sum,
        count: typeof value === 'number' ? undefined : (value as { readonly count: number }).count,
      })) ?? []
    )
  }
}

export interface Measured {
  readonly unit: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: number | undefined
  readonly count: number | undefined
}

const ignore = (): void => undefined
export const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore }

export function startOf({ startTime: [seconds, nanos] }: ReadableSpan): number {
  return seconds * 1_000 + nanos / 1e6
}

export function endOf({ endTime: [seconds, nanos] }: ReadableSpan): number {
  return seconds * 1_000 + nanos / 1e6
}

export function parentOf({ parentSpanContext }: ReadableSpan): string | undefined {
  return parentSpanContext?.spanId
}

export function idOf(span: ReadableSpan | Span): string {
  return span.spanContext().spanId
}

/** Id of the active span. */
export function activeId(): string | undefined {
  return trace.getActiveSpan()?.spanContext().spanId
}

/** Lets the event loop turn until everything that needs no deadline has happened. */
export async function quiet(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}
