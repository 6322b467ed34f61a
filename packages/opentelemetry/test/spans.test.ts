import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AlwaysOffSampler, ParentBasedSampler } from '@opentelemetry/sdk-trace-base'
import { cancelled, createEngine, flow, inputs, sleep, task } from '@troupe/core'
import { openTelemetry } from '@troupe/opentelemetry'
import { describe, expect, it } from 'vitest'
import { activeId, endOf, idOf, parentOf, quiet, silent, startOf, Telemetry } from './support.ts'

const double = task('double', (n: number) => 2 * n)
const add = task('add', (a: number, b: number) => a + b)

describe('a flow run', () => {
  it('is a span, with its attempt below it, and its task runs below that', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const sums = flow('sums', async (n: number) => add(double(n), double(n + 1)))
    expect(await engine.settle(engine.run(sums, 3))).toBe(14)
    expect(telemetry.tree()).toEqual([
      'flow sums',
      '  attempt sums',
      '    task add',
      '      attempt add',
      '    task double',
      '      attempt double',
      '    task double',
      '      attempt double',
    ])
    expect(new Set(telemetry.spans.map((span) => span.spanContext().traceId)).size).toBe(1)
    expect(telemetry.one('flow sums').parentSpanContext).toBeUndefined()
  })

  it('begins and ends with all that is part of it', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const slow = task('slow', () => sleep('2s'))
    const waits = flow('waits', async () => {
      await sleep('1s')
      await slow()
    })
    const from = engine.clock.now()
    await engine.settle(engine.run(waits))
    const spans = ['flow waits', 'attempt waits', 'task slow', 'attempt slow'].map((name) =>
      telemetry.one(name),
    )
    expect(spans.map((span) => [startOf(span) - from, endOf(span) - from])).toEqual([
      [0, 3_000],
      [0, 3_000],
      [1_000, 3_000],
      [1_000, 3_000],
    ])
    expect(spans.map(({ kind, status }) => [kind, status.code])).toEqual(
      spans.map(() => [SpanKind.INTERNAL, SpanStatusCode.UNSET]),
    )
  })

  it('says what it is by attributes', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine({ node: 'here' })
    const named = task(
      { name: 'named', runName: 'the {0}', tags: ['cheap'], version: '2' },
      (what: string) => what,
    )
    const run = engine.run(flow({ name: 'all', tags: ['nightly'] }, () => named('first')))
    await engine.settle(run)
    const ids = { 'troupe.flow_run.id': run.id, 'troupe.node': 'here', 'troupe.run.state': 'Completed' }
    expect(telemetry.one('flow all').attributes).toEqual({
      ...ids,
      'troupe.run.kind': 'flow',
      'troupe.name': 'all',
      'troupe.version': '1',
      'troupe.run.id': run.id,
      'troupe.run.name': 'all',
      'troupe.run.tags': ['nightly'],
      'troupe.run.attempts': 1,
    })
    expect(telemetry.one('attempt named').attributes).toEqual({
      ...ids,
      'troupe.run.kind': 'task',
      'troupe.name': 'named',
      'troupe.version': '2',
      'troupe.run.id': expect.stringMatching(new RegExp(`^${run.id}\\.`)) as unknown,
      'troupe.run.name': 'the first',
      'troupe.run.tags': ['nightly', 'cheap'],
      'troupe.attempt': 1,
      'troupe.task_runner': 'concurrent',
    })
  })

  it('is part of what was active where it was called', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const hello = flow('hello', () => 'hello')
    await telemetry.inSpan('request', () => engine.settle(engine.run(hello)))
    expect(telemetry.tree()).toEqual(['request', '  flow hello', '    attempt hello'])
  })

  it('that is part of a flow run is below the attempt that started it', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const inner = flow('inner', () => double(1))
    const outer = flow('outer', () => inner())
    await telemetry.inSpan('request', () => engine.settle(engine.run(outer)))
    expect(telemetry.tree()).toEqual([
      'request',
      '  flow outer',
      '    attempt outer',
      '      flow inner',
      '        attempt inner',
      '          task double',
      '            attempt double',
    ])
  })

  it('has no span before it has ended', async () => {
    const telemetry = new Telemetry()
    const engine = telemetry.engine()
    const run = engine.run(flow('long', () => sleep('1h')))
    run.ignore()
    await quiet()
    await engine.close()
    expect(telemetry.tree()).toEqual([])
  })
})

describe('a body', () => {
  it('has the span of its attempt as the active one, also after it waited', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const ids: (string | undefined)[] = []
    const asks = task('asks', async () => {
      ids.push(activeId())
      await sleep(10)
      ids.push(activeId())
      await telemetry.inSpan('query', () => undefined)
      trace.getActiveSpan()?.setAttribute('rows', 7)
    })
    await engine.settle(engine.run(flow('reads', () => asks())))
    const attempt = telemetry.one('attempt asks')
    expect(ids).toEqual([idOf(attempt), idOf(attempt)])
    expect(parentOf(telemetry.one('query'))).toBe(idOf(attempt))
    expect(attempt.attributes['rows']).toBe(7)
  })

  it('of one flow run never has the span of another one', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const seen: { readonly run: string; readonly spans: Set<string | undefined> }[] = []
    const step = task('step', async (run: string) => {
      const spans = new Set([activeId()])
      seen.push({ run, spans })
      for (let i = 0; i < 5; i++) {
        await sleep(1 + i)
        spans.add(activeId())
      }
    })
    const many = flow('many', async (run: string) => {
      await Promise.all([step(run), step(run)])
      await step(run)
    })
    const names = Array.from({ length: 20 }, (_, i) => `run-${i}`)
    await engine.settle(Promise.all(names.map((name) => engine.run(many.with({ id: name }), name))))
    expect(seen).toHaveLength(60)
    for (const { run, spans } of seen) {
      expect(spans.size).toBe(1)
      const [id] = spans
      const attempt = telemetry.named('attempt step').find((span) => idOf(span) === id)
      expect(attempt?.attributes['troupe.flow_run.id']).toBe(run)
    }
    expect(new Set(seen.map(({ spans }) => [...spans][0])).size).toBe(60)
  })

  it('is linked to the runs whose results it waited for', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    await engine.settle(engine.run(flow('sums', () => add(double(1), double(2)))))
    const doubles = telemetry.named('task double').map(idOf)
    const { links } = telemetry.one('attempt add')
    expect(links.map(({ context: { spanId }, attributes }) => [spanId, attributes])).toEqual(
      doubles.map((id) => [id, { 'troupe.link': 'upstream' }]),
    )
  })

  it('leaves nothing active to hooks and observers', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const seen: (string | undefined)[] = []
    engine.transitions.subscribe(() => seen.push(activeId()))
    const hooked = task({ name: 'hooked', onCompletion: () => void seen.push(activeId()) }, () => sleep(5))
    await engine.settle(engine.run(flow('hooks', async () => telemetry.inSpan('own', () => hooked()))))
    await quiet()
    expect(seen.length).toBeGreaterThan(6)
    expect(new Set(seen)).toEqual(new Set([undefined]))
  })
})

describe('a run that does not simply complete', () => {
  const fails = (message: string): never => {
    throw new RangeError(message)
  }

  it('and is tried again has a span for each attempt, linked to the one before', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    let tries = 0
    const shaky = task({ name: 'shaky', retries: 2, retryDelay: ['1s'] }, () => {
      tries++
      return tries < 3 ? fails(`try ${tries}`) : 'well'
    })
    await engine.settle(engine.run(flow('tries', () => shaky())))
    const attempts = telemetry.named('attempt shaky')
    expect(
      attempts.map(({ attributes, status }) => [
        attributes['troupe.attempt'],
        attributes['troupe.run.state'],
        attributes['error.type'],
        status.code,
      ]),
    ).toEqual([
      [1, 'AwaitingRetry', 'RangeError', SpanStatusCode.ERROR],
      [2, 'AwaitingRetry', 'RangeError', SpanStatusCode.ERROR],
      [3, 'Completed', undefined, SpanStatusCode.UNSET],
    ])
    expect(
      attempts.map(({ events }) => events.map((event) => event.attributes?.['exception.message'])),
    ).toEqual([['try 1'], ['try 2'], []])
    const [first, second] = attempts.map(idOf)
    expect(attempts.map(({ links }) => links.map((link) => link.context.spanId))).toEqual([
      [],
      [first],
      [second],
    ])
    const run = telemetry.one('task shaky')
    expect(attempts.map(parentOf)).toEqual([idOf(run), idOf(run), idOf(run)])
    expect([run.status.code, run.attributes['troupe.run.attempts']]).toEqual([SpanStatusCode.UNSET, 3])
    // It waited a second before each retry, in no attempt.
    const [one, two] = attempts
    expect(startOf(two!) - endOf(one!)).toBe(1_000)
  })

  it('and fails has its error, as its attempt has', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const bad = task({ name: 'bad', retries: 1 }, () => fails('no'))
    await engine.settle(engine.run(flow('worse', () => bad())).wait())
    expect(telemetry.named('attempt bad').map(({ attributes }) => attributes['troupe.run.state'])).toEqual([
      'Retrying',
      'Failed',
    ])
    for (const name of ['task bad', 'flow worse', 'attempt worse']) {
      const { status, events, attributes } = telemetry.one(name)
      expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'no' })
      expect(events.map(({ name: event, attributes: of }) => [event, of?.['exception.type']])).toEqual([
        ['exception', 'RangeError'],
      ])
      expect(attributes['error.type']).toBe('RangeError')
    }
  })

  it('and runs out of time says so', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const slow = task({ name: 'slow', timeout: '1s' }, () => sleep('1h'))
    await engine.settle(engine.run(flow('waits', () => slow().wait())))
    const { attributes, status } = telemetry.one('attempt slow')
    expect([attributes['troupe.run.state'], attributes['error.type'], status.code]).toEqual([
      'TimedOut',
      'RUN_TIMED_OUT',
      SpanStatusCode.ERROR,
    ])
  })

  it('and is cancelled is no error', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const long = task('long', () => sleep('1h'))
    const run = engine.run(flow('cancelled', () => long()))
    await quiet()
    await engine.settle(run.cancel('enough'))
    expect(telemetry.tree()).toEqual([
      'flow cancelled',
      '  attempt cancelled',
      '    task long',
      '      attempt long',
    ])
    for (const { attributes, status, events } of telemetry.spans) {
      expect(attributes['troupe.run.state']).toBe('Cancelled')
      expect(status.code).toBe(SpanStatusCode.UNSET)
      expect(events).toEqual([])
    }
    await engine.settle(engine.run(flow('itself', () => cancelled('not today'))).wait())
    expect(telemetry.one('flow itself').status.code).toBe(SpanStatusCode.UNSET)
  })

  it('and is taken from the cache has no attempt', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const costly = task({ name: 'costly', cache: inputs() }, (n: number) => n)
    const twice = flow('twice', async () => [await costly(1), await costly(1)])
    await engine.settle(engine.run(twice))
    expect(
      telemetry
        .named('task costly')
        .map(({ attributes }) => [attributes['troupe.run.state'], attributes['troupe.run.attempts']]),
    ).toEqual([
      ['Completed', 1],
      ['Cached', 0],
    ])
    expect(telemetry.named('attempt costly')).toHaveLength(1)
  })

  it('and never begins has no attempt either', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const bad = task('bad', () => fails('no'))
    await engine.settle(engine.run(flow('chain', () => double(bad() as never))).wait())
    expect(telemetry.one('task double').attributes).toMatchObject({
      'troupe.run.state': 'UpstreamFailed',
      'error.type': 'UPSTREAM_FAILED',
      'troupe.run.attempts': 0,
    })
    expect(telemetry.named('attempt double')).toEqual([])
  })
})

describe('a trace that is not sampled', () => {
  it('has no spans, and bodies know that it is not', async () => {
    const telemetry = new Telemetry(new ParentBasedSampler({ root: new AlwaysOffSampler() }))
    await using engine = telemetry.engine()
    const flags: (number | undefined)[] = []
    const looks = task('looks', async () => {
      flags.push(trace.getActiveSpan()?.spanContext().traceFlags)
      await telemetry.inSpan('own', (span) => flags.push(span.spanContext().traceFlags))
    })
    await engine.settle(engine.run(flow('unseen', () => looks())))
    expect(flags).toEqual([0, 0])
    expect(telemetry.spans).toEqual([])
    expect(await telemetry.measured('troupe.runs.ended')).toHaveLength(2)
  })
})

describe('without an SDK', () => {
  it('everything runs as ever', async () => {
    await using engine = createEngine({ instrumentation: openTelemetry(), logger: silent })
    const errors: unknown[] = []
    engine.errors.subscribe((error) => errors.push(error))
    const looks = task('looks', () => activeId())
    expect(await engine.run(flow('unseen', () => looks()))).toBeUndefined()
    expect(errors).toEqual([])
  })
})
