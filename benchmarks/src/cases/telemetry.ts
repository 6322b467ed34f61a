import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base'
import type { Instrumentation } from '@troupe/core'
import { openTelemetry } from '@troupe/opentelemetry'
import type { Measure } from '../lib/measure.ts'
import { measureSet } from './limits.ts'

/** Takes all spans, and drops them: what a collector costs is not measured. */
const nowhere: SpanExporter = {
  export: (_, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
}

/** An SDK as services have it: spans in batches, metrics from time to time. */
function traced(ratio: number): Instrumentation {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const tracerProvider = new BasicTracerProvider({
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    // A fan-out ends more spans at once than it keeps by default.
    spanProcessors: [new BatchSpanProcessor(nowhere, { maxQueueSize: 100_000, maxExportBatchSize: 10_000 })],
  })
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const readers = [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 })]
  return openTelemetry({ tracerProvider, meterProvider: new MeterProvider({ readers }) })
}

/** A port that does nothing: what the engine alone does for it. */
const idle: Instrumentation = {
  submitted: () => ({}),
  began: () => undefined,
  told: () => undefined,
}

export const measures: Readonly<Record<string, Measure>> = {
  port: (params) => measureSet({ instrumentation: idle })(params),
  unsampled: (params) => measureSet({ instrumentation: traced(0) })(params),
  sampled: (params) => measureSet({ instrumentation: traced(1) })(params),
}
