import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'

/** What a process is to do. */
export type Order =
  | { readonly role: 'owner'; readonly spans: string; readonly folder: string }
  | { readonly role: 'worker'; readonly spans: string; readonly servers: string; readonly namespace: string }

/** A span, as far as tests ask for it. */
export interface Line {
  readonly name: string
  readonly traceId: string
  readonly id: string
  readonly parent: string | undefined
  readonly links: readonly string[]
  readonly attributes: Readonly<Record<string, unknown>>
  readonly start: number
  readonly end: number
}

export function lineOf(span: ReadableSpan): Line {
  const { name, parentSpanContext, links, attributes, startTime, endTime } = span
  const { traceId, spanId: id } = span.spanContext()
  const ms = ([seconds, nanos]: readonly [number, number]): number => seconds * 1_000 + nanos / 1e6
  return {
    name,
    traceId,
    id,
    parent: parentSpanContext?.spanId,
    links: links.map((link) => link.context.spanId),
    attributes,
    start: ms(startTime),
    end: ms(endTime),
  }
}
