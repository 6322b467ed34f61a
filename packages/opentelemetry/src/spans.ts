import { inspect } from 'node:util'
import {
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type HrTime,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
} from '@opentelemetry/api'
import type {
  AttemptScope,
  InstrumentedAttempt,
  InstrumentedEnd,
  InstrumentedRun,
  SentScope,
  TraceCarrier,
} from '@troupe/core'
import { carrierOf, contextIn } from './carrier.ts'
import { absentSpanId, attemptSpanId, runSpanId } from './ids.ts'
import { kindOf, typeOfError } from './words.ts'

/** What the SDK keeps of the links of a span by default. */
const mostLinks = 128

/** A root that belongs to nothing: its span decides whether the trace is sampled, so it is there from the beginning. */
interface Origin {
  readonly trace?: TraceCarrier
  readonly own?: Span
}

/**
 * Makes spans of runs and attempts. The span of a run is made when the run has ended, by whoever owns it then; that of an attempt
 * when it begins, so that its body can write to it.
 */
export class Spans {
  readonly #tracer: Tracer
  readonly #unsampled = new WeakMap<SpanContext, AttemptScope>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  /** A run is submitted by none: it belongs to what is active, or begins a trace. */
  submitted(run: InstrumentedRun): Origin {
    const active = trace.getSpanContext(context.active())
    if (active !== undefined && isSpanContextValid(active)) return { trace: carrierOf(active) }
    const options = {
      kind: SpanKind.INTERNAL,
      startTime: timeOf(run.submittedAt),
      attributes: runAttributes(run),
      root: true,
    }
    const span = this.#tracer.startSpan(nameOf(run), options, ROOT_CONTEXT)
    const made = span.spanContext()
    // No SDK.
    if (!isSpanContextValid(made)) return {}
    const spanId = giveId(span, runSpanId(run.id)) ? runSpanId(run.id) : made.spanId
    return { trace: carrierOf({ ...made, spanId }), own: span }
  }

  sent({ id, name, node }: { readonly id: string; readonly name: string; readonly node: string }): SentScope {
    const attributes = {
      'troupe.run.kind': 'flow',
      'troupe.name': name,
      'troupe.run.id': id,
      'troupe.flow_run.id': id,
      'troupe.node': node,
    }
    const options = { kind: SpanKind.PRODUCER, attributes }
    const span = this.#tracer.startSpan(`send flow ${name}`, options, context.active())
    const made = span.spanContext()
    return {
      trace: isSpanContextValid(made) ? carrierOf(made) : undefined,
      ended(error) {
        if (error !== undefined) failed(span, error)
        span.end()
      },
    }
  }

  traceOf(run: InstrumentedRun, attempt: number): TraceCarrier | undefined {
    const of = contextIn(run.trace)
    if (of === undefined || !isSampled(of)) return run.trace
    return carrierOf({ ...of, spanId: attemptSpanId(run.id, attempt) })
  }

  began(attempt: InstrumentedAttempt): AttemptScope | undefined {
    const { run, number, startedAt } = attempt
    const of = contextIn(run.trace)
    if (of === undefined) return undefined
    if (!isSampled(of)) return this.#unseen(of)
    const made = { ...of, spanId: attemptSpanId(run.id, number) }
    const options = {
      kind: SpanKind.INTERNAL,
      startTime: timeOf(startedAt),
      attributes: attemptAttributes(attempt),
      links: linksOf(attempt),
    }
    const span = this.#start(`attempt ${run.name}`, made, options, { ...of, spanId: this.#idOf(run) })
    const inside = trace.setSpan(ROOT_CONTEXT, span)
    return {
      within: (body) => context.with(inside, body),
      ended: (end) => {
        if (!span.isRecording()) return
        span.setAttribute('troupe.run.state', end.state)
        finish(span, end)
      },
    }
  }

  /** In a trace that is not sampled all attempts are alike: their bodies are to know that it is not. */
  #unseen(of: SpanContext): AttemptScope {
    let scope = this.#unsampled.get(of)
    if (scope === undefined) {
      const inside = trace.setSpanContext(ROOT_CONTEXT, of)
      scope = { within: (body) => context.with(inside, body), ended: () => undefined }
      this.#unsampled.set(of, scope)
    }
    return scope
  }

  /** One whose span is open may have another id than the one that follows from its run's. */
  #idOf(run: InstrumentedRun): string {
    return isSpan(run.own) ? run.own.spanContext().spanId : runSpanId(run.id)
  }

  ended(run: InstrumentedRun, end: InstrumentedEnd, attempts: number): void {
    const { own } = run
    if (isSpan(own)) {
      if (!own.isRecording()) return
      // Those that were not known when it was submitted are among them.
      own.setAttributes(endAttributes(run, end, attempts))
      finish(own, end)
      return
    }
    const of = contextIn(run.trace)
    if (of === undefined || !isSampled(of)) return
    finish(this.#spanOf(run, of, endAttributes(run, end, attempts)), end)
  }

  #spanOf(run: InstrumentedRun, of: SpanContext, attributes: Attributes): Span {
    const { id, flowRunId, parent, submittedAt } = run
    const made = { ...of, spanId: runSpanId(id) }
    const isFirst = id === flowRunId && of.spanId === made.spanId
    // What belongs to a journal says who submitted its root.
    const isInside = id !== flowRunId && parent !== undefined
    const spanId = isInside ? attemptSpanId(parent.runId, parent.attempt) : of.spanId
    // The sampler is to see that the trace is sampled: it does so by a parent.
    const above = { ...of, spanId: isFirst ? absentSpanId(id) : spanId }
    const options = { kind: SpanKind.INTERNAL, startTime: timeOf(submittedAt), attributes }
    const span = this.#start(nameOf(run), made, options, above)
    if (isFirst) forgetParent(span)
    return span
  }

  #start(name: string, made: SpanContext, options: SpanOptions, parent: SpanContext): Span {
    const span = this.#tracer.startSpan(name, options, trace.setSpanContext(ROOT_CONTEXT, parent))
    if (span.isRecording()) {
      giveId(span, made.spanId)
      return span
    }
    // Dropped by the sampler: what is part of it is known by the same id in each process.
    return trace.wrapSpanContext(made)
  }

  within<T>(carrier: TraceCarrier, body: () => T): T {
    const of = contextIn(carrier)
    return of === undefined ? body() : context.with(remote(of), body)
  }
}

function remote(of: SpanContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { ...of, isRemote: true })
}

function isSpan(own: unknown): own is Span {
  return typeof own === 'object' && own !== null && 'spanContext' in own
}

function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0
}

/**
 * Gives a span that is being recorded the id that it must have: the API has no way to ask for one. The context of a span is an object
 * of its own, which the SDK reads when it exports.
 *
 * @returns Whether it has that id now
 */
function giveId(span: Span, spanId: string): boolean {
  if (!span.isRecording()) return false
  try {
    span.spanContext().spanId = spanId
  } catch {
    // An implementation whose contexts can't be changed: the span keeps its own.
  }
  return span.spanContext().spanId === spanId
}

/** For the SDK's spans, of either major version: one that begins its trace has no parent. */
function forgetParent(span: Span): void {
  const fields = span as { parentSpanContext?: unknown; parentSpanId?: unknown }
  if (fields.parentSpanContext !== undefined) fields.parentSpanContext = undefined
  if (fields.parentSpanId !== undefined) fields.parentSpanId = undefined
}

function nameOf({ kind, name }: InstrumentedRun): string {
  return `${kind} ${name}`
}

function runAttributes(run: InstrumentedRun): Attributes {
  const { id, flowRunId, runName, version, node, tags } = run
  return {
    ...kindOf(run),
    'troupe.version': version,
    'troupe.run.id': id,
    'troupe.run.name': runName,
    'troupe.flow_run.id': flowRunId,
    'troupe.node': node,
    ...(tags.length === 0 ? undefined : { 'troupe.run.tags': [...tags] }),
  }
}

function endAttributes(run: InstrumentedRun, { state }: InstrumentedEnd, attempts: number): Attributes {
  return { ...runAttributes(run), 'troupe.run.attempts': attempts, 'troupe.run.state': state }
}

function attemptAttributes({ run, number, host, runner }: InstrumentedAttempt): Attributes {
  return {
    ...runAttributes(run),
    'troupe.attempt': number,
    ...(host === undefined ? undefined : { 'troupe.host': host }),
    ...(runner === undefined ? undefined : { 'troupe.task_runner': runner }),
  }
}

function linksOf({ run, previous, upstreams }: InstrumentedAttempt): Link[] {
  const links: Link[] = []
  const of = contextIn(run.trace)
  if (of !== undefined && previous !== undefined)
    links.push(linkTo({ ...of, spanId: attemptSpanId(run.id, previous) }, 'previous attempt'))
  for (const upstream of upstreams.slice(0, mostLinks)) {
    const above = contextIn(upstream.trace)
    if (above !== undefined) links.push(linkTo({ ...above, spanId: runSpanId(upstream.id) }, 'upstream'))
  }
  return links
}

function linkTo(to: SpanContext, kind: string): Link {
  return { context: to, attributes: { 'troupe.link': kind } }
}

function finish(span: Span, { at, state, type, message, error }: InstrumentedEnd): void {
  const time = timeOf(at)
  // A retry, or another attempt, says that this one failed; a cancellation is no error.
  const isFailure = type === 'FAILED' || type === 'CRASHED' || (error !== undefined && type !== 'CANCELLED')
  if (isFailure || state === 'Recovering') failed(span, error, { message, time })
  span.end(time)
}

function failed(
  span: Span,
  error: unknown,
  { message, time }: { readonly message?: string | undefined; readonly time?: HrTime } = {},
): void {
  if (!span.isRecording()) return
  const told = message ?? (error instanceof Error ? error.message : undefined)
  span.setStatus({ code: SpanStatusCode.ERROR, ...(told === undefined ? undefined : { message: told }) })
  if (error === undefined) return
  span.setAttribute('error.type', typeOfError(error))
  span.recordException(error instanceof Error ? error : inspect(error), time)
}

/** Seconds and nanoseconds: a small number would be taken for the time since the process began. */
function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000)
  const nanos = Math.floor((ms - seconds * 1_000) * 1e6)
  return [seconds, Math.min(nanos, 999_999_999)]
}
