/** Bodies on threads and on other nodes are part of the traces of their engines. */
import { join } from 'node:path'
import { createEngine, flow, memoryTransport, type Engine } from '@troupe/core'
import { startServer, type NatsServer } from '@troupe/nats-server'
import { natsTransport } from '@troupe/nats-transport'
import { NatsTaskRunner, WorkerThreadsTaskRunner } from '@troupe/runners'
import { trace } from '@opentelemetry/api'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { lineOf } from './lines.ts'
import { freshFolder, linesIn, started } from './processes.ts'
import { silent, startOf, Telemetry } from './support.ts'
import { gate, holds, inner, looks, nests, shaky, type Seen } from './tasks/traced.ts'

trace.setGlobalTracerProvider(new BasicTracerProvider())

const engines: Engine[] = []
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close()
})

function opened(engine: Engine): Engine {
  engines.push(engine)
  return engine
}

function idsOf(telemetry: Telemetry, name: string): string[] {
  return telemetry.named(name).map((span) => span.spanContext().spanId)
}

/** What all bodies saw is the span of an attempt of this name, in the trace of the flow run. */
function expectToBeIn(telemetry: Telemetry, name: string, seen: readonly Seen[]): void {
  const { traceId } = telemetry.spans[0]!.spanContext()
  expect(new Set(seen.map(({ active }) => active?.spanId))).toEqual(new Set(idsOf(telemetry, name)))
  for (const { active, parent, traceId: own } of seen) {
    expect([active?.traceId, active?.traceFlags, own]).toEqual([traceId, 1, traceId])
    expect(parent).toBe(active?.spanId)
  }
}

describe('a body on a worker thread', { timeout: 60_000 }, () => {
  const taskRunner = new WorkerThreadsTaskRunner({ threads: 2 })
  const open = (telemetry: Telemetry): Engine =>
    opened(createEngine({ instrumentation: telemetry.instrumentation, logger: silent }))

  it('has the span of its attempt as the active one, so that its spans are below that', async () => {
    const telemetry = new Telemetry()
    const engine = open(telemetry)
    const seen = await engine.run(flow({ name: 'many', taskRunner }, () => looks.map([1, 2, 3, 4, 5, 6])))
    expectToBeIn(telemetry, 'attempt looks', seen)
    expect(new Set(seen.map(({ parent }) => parent)).size).toBe(6)
    for (const { attributes } of telemetry.named('attempt looks'))
      expect(attributes).toMatchObject({
        'troupe.host': expect.stringMatching(/^thread-/) as unknown,
        'troupe.task_runner': 'threads',
      })
  })

  it('that calls tasks is the parent of their runs', async () => {
    const telemetry = new Telemetry()
    const engine = open(telemetry)
    const { own, inner: below } = await engine.run(flow({ name: 'nested', taskRunner }, () => nests()))
    expectToBeIn(telemetry, 'attempt nests', [own])
    expectToBeIn(telemetry, 'attempt looks', [below])
    expect(telemetry.tree()).toEqual([
      'flow nested',
      '  attempt nested',
      '    task nests',
      '      attempt nests',
      '        task looks',
      '          attempt looks',
    ])
  })

  it('sees another span in another attempt', async () => {
    const telemetry = new Telemetry()
    const engine = open(telemetry)
    const seen = await engine.run(flow({ name: 'tries', taskRunner }, () => shaky()))
    expect(seen.attempt).toBe(2)
    expect(seen.parent).toBe(idsOf(telemetry, 'attempt shaky')[1])
  })

  it('gets the state of the trace', async () => {
    const telemetry = new Telemetry()
    const engine = open(telemetry)
    const instrumentation = {
      ...telemetry.instrumentation,
      traceOf: () => ({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1' }),
    }
    const other = opened(createEngine({ instrumentation, logger: silent }))
    const state = flow({ name: 'state', taskRunner }, () => looks(1))
    const seen = await other.run(state)
    expect(seen).toMatchObject({ traceState: 'vendor=1', parent: 'b'.repeat(16), traceId: 'a'.repeat(32) })
    expect((await engine.run(state)).traceState).toBeUndefined()
  })
})

describe('a body on another node', () => {
  it('has the span of its attempt as the active one, though its owner made that', async () => {
    const owner = new Telemetry()
    const worker = new Telemetry()
    const transport = memoryTransport()
    const options = { transport, logger: silent }
    const boss = opened(createEngine({ ...options, node: 'owner', instrumentation: owner.instrumentation }))
    opened(
      createEngine({
        ...options,
        node: 'worker',
        serve: { tasks: { default: 3 } },
        instrumentation: worker.instrumentation,
      }),
    )
    const taskRunner = new NatsTaskRunner()
    const all = flow({ name: 'all', taskRunner }, async () => ({
      seen: looks.map([1, 2, 3, 4]),
      nested: await nests(),
      again: await shaky(),
    }))
    const { seen, nested, again } = await boss.run(all)
    expectToBeIn(owner, 'attempt looks', [...seen, nested.inner])
    expectToBeIn(owner, 'attempt nests', [nested.own])
    expect(again.parent).toBe(idsOf(owner, 'attempt shaky')[1])
    expect(owner.one('attempt nests').attributes).toMatchObject({
      'troupe.host': 'worker',
      'troupe.task_runner': 'nats',
      'troupe.node': 'owner',
    })
    expect(worker.spans).toEqual([])
  })

  it('has none where its engine has no instrumentation', async () => {
    const owner = new Telemetry()
    const options = { transport: memoryTransport(), logger: silent }
    const boss = opened(createEngine({ ...options, node: 'owner', instrumentation: owner.instrumentation }))
    opened(createEngine({ ...options, node: 'worker', serve: { tasks: { default: 3 } } }))
    const seen = await boss.run(flow({ name: 'one', taskRunner: new NatsTaskRunner() }, () => looks(1)))
    expect([seen.active, seen.parent]).toEqual([undefined, undefined])
    expect(owner.one('attempt looks').attributes['troupe.host']).toBe('worker')
  })

  it('that outlives its owner ends in the next one, which exports it', async () => {
    const transport = memoryTransport()
    const telemetry = { first: new Telemetry(), second: new Telemetry(), worker: new Telemetry() }
    let open = (): void => undefined
    const begun = new Promise<void>((resolve) => {
      gate.wait = () => {
        resolve()
        return new Promise<void>((go) => (open = go))
      }
    })
    const flows = [inner.with({ taskRunner: new NatsTaskRunner() })]
    const node = (name: 'first' | 'second' | 'worker', serve: object): Engine =>
      opened(
        createEngine({
          node: name,
          transport,
          logger: silent,
          serve,
          instrumentation: telemetry[name].instrumentation,
        }),
      )
    node('worker', { tasks: { default: 3 } })
    const first = node('first', { flows })
    await first.announced()
    const recorded = new Promise<void>((resolve) => {
      first.transitions.subscribe(({ task, to }) => {
        if (task === 'holds' && to.name === 'Running') resolve()
      })
    })
    const run = await first.run({ flow: 'inner', id: 'outlives' })
    await Promise.all([begun, recorded])
    const second = node('second', { flows })
    await second.announced()
    const lostAt = Date.now()
    transport.partition('first')
    const there = await second.get(run.id)
    const changes = await new Promise((resolve) => {
      const subscription = there!.transitions.subscribe(({ to, node: by }) => {
        if (to.name !== 'Running' || by !== 'second') return
        subscription.unsubscribe()
        resolve(to.name)
      })
    })
    expect(changes).toBe('Running')
    open()
    await there!.result()
    expect(telemetry.first.spans.map(({ name }) => name)).toEqual([
      'send flow inner',
      'attempt looks',
      'task looks',
    ])
    // It has not begun again: the attempt that the lost owner had seen begin has ended here.
    expect(
      telemetry.second
        .named('attempt holds')
        .map(({ attributes }) => [attributes['troupe.attempt'], attributes['troupe.run.state']]),
    ).toEqual([[1, 'Completed']])
    expect(startOf(telemetry.second.one('attempt holds'))).toBeLessThanOrEqual(lostAt)
    expect(
      telemetry.second.named('attempt inner').map(({ attributes }) => attributes['troupe.run.state']),
    ).toEqual(['Recovering', 'Completed'])
    const all = [...telemetry.first.spans, ...telemetry.second.spans]
    expect(new Set(all.map((span) => span.spanContext().traceId)).size).toBe(1)
    transport.heal('first')
  })
})

describe('over a real nats-server', { timeout: 180_000 }, () => {
  let server: NatsServer | undefined
  beforeAll(async () => {
    server = await startServer({ version: 'newest' })
  }, 180_000)
  afterAll(() => server?.stop())

  it('what a worker process exports is below the attempts that the owner exports', async () => {
    const telemetry = new Telemetry()
    const { url = '' } = server ?? {}
    const namespace = `traces-${process.pid}`
    const spans = join(freshFolder(), 'spans')
    await started({ role: 'worker', spans, servers: url, namespace }, 'serves')
    const engine = opened(
      createEngine({
        transport: natsTransport({ servers: url, namespace }),
        node: 'owner',
        instrumentation: telemetry.instrumentation,
        logger: silent,
      }),
    )
    const taskRunner = new NatsTaskRunner()
    const all = flow({ name: 'all', taskRunner }, async () => [...looks.map([1, 2, 3]), await holds()])
    const seen = await telemetry.inSpan('request', () => engine.run(all))
    expect(seen).toHaveLength(4)
    const theirs = linesIn(spans)
    const ours = telemetry.spans.map(lineOf)
    expect(theirs.map(({ name }) => name)).toEqual(['own', 'own', 'own', 'own'])
    const attempts = ours.filter(({ name }) => name === 'attempt looks' || name === 'attempt holds')
    expect(new Set(theirs.map(({ parent }) => parent))).toEqual(new Set(attempts.map(({ id }) => id)))
    expect(attempts).toHaveLength(4)
    expect(new Set([...ours, ...theirs].map(({ traceId }) => traceId)).size).toBe(1)
    expect(attempts.every(({ attributes }) => attributes['troupe.host'] === 'worker')).toBe(true)
  })
})
