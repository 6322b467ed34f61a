import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api'
import type { TraceCarrier } from '@troupe/core'

/**
 * W3C Trace Context.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
const form = /^(?!ff)([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** One of a flow run is asked for with each of its runs. */
const known = new WeakMap<TraceCarrier, SpanContext | 'nothing'>()

/** What a carrier says; undefined where that is nothing. The same object each time. */
export function contextIn(carrier: TraceCarrier | undefined): SpanContext | undefined {
  if (carrier === undefined) return undefined
  let read = known.get(carrier)
  if (read === undefined) {
    read = parsed(carrier) ?? 'nothing'
    known.set(carrier, read)
  }
  return read === 'nothing' ? undefined : read
}

function parsed({ traceparent, tracestate }: TraceCarrier): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] = form.exec(traceparent) ?? []
  if (version === undefined || (version === '00' && more !== undefined)) return undefined
  // Of flags only the one is known that says whether the trace is sampled.
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1 }
  if (!isSpanContextValid(context)) return undefined
  return tracestate === undefined ? context : { ...context, traceState: createTraceState(tracestate) }
}

export function carrierOf({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceCarrier {
  const traceparent = `00-${traceId}-${spanId}-0${traceFlags & 1}`
  const tracestate = traceState?.serialize() ?? ''
  return tracestate === '' ? { traceparent } : { traceparent, tracestate }
}
