/** Tasks and flows that say what they see of traces. Tests load it, and so do threads and processes. */
import { context, trace, type SpanContext } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { currentTaskRun, flow, isTaskThread, sleep, task } from '@troupe/core'
import { openTelemetry } from '@troupe/opentelemetry'

if (isTaskThread()) {
  // What a program does that wants spans of its own in threads.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider())
  openTelemetry()
}

/** What a body sees. */
export interface Seen {
  readonly attempt: number
  readonly active: Pick<SpanContext, 'traceId' | 'spanId' | 'traceFlags'> | undefined
  /** Of a span that the body made. */
  readonly parent: string | undefined
  readonly traceId: string
  readonly traceState: string | undefined
}

function seen(attempt: number): Seen {
  const active = trace.getActiveSpan()?.spanContext()
  const own = trace.getTracer('test').startSpan('own')
  const { traceId, traceState } = own.spanContext()
  const parent = (own as Partial<ReadableSpan>).parentSpanContext?.spanId
  own.end()
  const known =
    active === undefined
      ? undefined
      : { traceId: active.traceId, spanId: active.spanId, traceFlags: active.traceFlags }
  return { attempt, active: known, parent, traceId, traceState: traceState?.serialize() }
}

export const looks = task('looks', async (n: number) => {
  await sleep(n)
  return seen(currentTaskRun().attempt)
})

/** Its body calls a task, from wherever it runs. */
export const nests = task('nests', async () => ({
  own: seen(currentTaskRun().attempt),
  inner: await looks(1),
}))

export const shaky = task({ name: 'shaky', retries: 1 }, () => {
  const { attempt } = currentTaskRun()
  if (attempt === 1) throw new RangeError('the first attempt fails')
  return seen(attempt)
})

/** What `holds` does until it is let go. */
export const gate = { wait: (): Promise<unknown> => Promise.resolve() }

export const holds = task('holds', async () => {
  await gate.wait()
  return seen(currentTaskRun().attempt)
})

export const inner = flow('inner', async () => {
  await looks(2)
  return holds()
})

/** Completes a task and a subflow's task, and then holds. */
export const killed = flow('killed', async () => {
  await looks(1)
  return inner()
})
