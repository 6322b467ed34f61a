/** A process with an SDK of its own: it writes each span that ends to a file, a line each. */
import { appendFileSync } from 'node:fs'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { createEngine, createWorker } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { openTelemetry } from '@troupe/opentelemetry'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { lineOf, type Order } from './lines.ts'
import { gate, killed } from './tasks/traced.ts'

const order = JSON.parse(process.argv[2] ?? '') as Order
const say = (said: string): void => void process.send?.(said)

const exporter = {
  export(spans: readonly ReadableSpan[], done: (result: { code: number }) => void): void {
    for (const span of spans) appendFileSync(order.spans, `${JSON.stringify(lineOf(span))}\n`)
    done({ code: 0 })
  },
  shutdown: () => Promise.resolve(),
}
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
)
const instrumentation = openTelemetry()

if (order.role === 'owner') {
  gate.wait = () => new Promise(() => undefined)
  const journal = sqliteJournal(order.folder)
  const engine = createEngine({ journal, node: 'first', instrumentation })
  engine.transitions.subscribe(({ task, to }) => {
    if (task === 'holds' && to.name === 'Running') say('holds')
  })
  engine.run(killed.with({ id: 'the-run' })).ignore()
} else {
  const { servers, namespace } = order
  await createWorker({
    transport: natsTransport({ servers, namespace }),
    node: 'worker',
    queues: { default: 2 },
    modules: [new URL('./tasks/traced.ts', import.meta.url)],
    instrumentation,
  })
  say('serves')
}
