/** Flow runs that go on in another engine stay in their trace. */
import { join } from 'node:path'
import { createEngine, flow, memoryJournal, memoryTransport, receive, sleep, task } from '@troupe/core'
import { createTestEngine, virtualClock } from '@troupe/core/testing'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { SpanStatusCode } from '@opentelemetry/api'
import { describe, expect, it } from 'vitest'
import { lineOf } from './lines.ts'
import { freshFolder, kill, linesIn, started } from './processes.ts'
import { endOf, idOf, parentOf, quiet, silent, startOf, Telemetry } from './support.ts'
import { gate } from './tasks/traced.ts'

describe('a flow run whose process is killed', () => {
  it(
    'is one trace of what both processes exported, with the lost attempts in it',
    { timeout: 60_000 },
    async () => {
      const folder = freshFolder()
      const spans = join(folder, 'spans')
      const child = await started({ role: 'owner', spans, folder: join(folder, 'runs') }, 'holds')
      await kill(child)
      const before = linesIn(spans)
      const ofOne = ['own', 'attempt looks', 'task looks']
      expect(before.map(({ name }) => name)).toEqual([...ofOne, ...ofOne])

      const telemetry = new Telemetry()
      const journal = sqliteJournal(join(folder, 'runs'))
      gate.wait = () => Promise.resolve()
      const engine = createEngine({
        journal,
        node: 'second',
        instrumentation: telemetry.instrumentation,
        logger: silent,
      })
      const [run] = await engine.recover()
      await run?.result()
      await engine.close()
      await journal.close()

      const after = telemetry.spans.map(lineOf)
      const all = [...before, ...after]
      expect(new Set(all.map(({ traceId }) => traceId)).size).toBe(1)
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
      const root = after.find(({ name }) => name === 'flow killed')
      expect(root?.parent).toBeUndefined()
      expect(root?.start).toBeLessThanOrEqual(Math.min(...all.map(({ start }) => start)))
      // Every span but the root has a parent that was exported.
      const ids = new Set(all.map(({ id }) => id))
      expect(
        all.filter(({ parent }) => parent === undefined || !ids.has(parent)).map(({ name }) => name),
      ).toEqual(['flow killed'])
      for (const name of ['attempt killed', 'attempt inner', 'attempt holds']) {
        const [lost, next] = after.filter((span) => span.name === name)
        expect([lost?.attributes, next?.attributes]).toMatchObject([
          { 'troupe.attempt': 1, 'troupe.run.state': 'Recovering', 'troupe.node': 'second' },
          { 'troupe.attempt': 2, 'troupe.run.state': 'Completed' },
        ])
        expect(next?.links).toEqual([lost?.id])
        expect(lost?.parent).toBe(next?.parent)
      }
      // What was replayed has the spans that it had.
      expect(after.filter(({ name }) => name.endsWith('looks'))).toEqual([])
      const lostInner = after.find(({ name }) => name === 'attempt inner')
      expect(after.find(({ name }) => name === 'task holds')?.parent).toBe(lostInner?.id)
    },
  )
})

describe('a flow run that goes on in another engine', () => {
  it('is part of what was active where it was called, and measured from there', async () => {
    const telemetry = new Telemetry()
    const journal = memoryJournal()
    const waits = flow('waits', async () => receive<string>('go'))
    const first = telemetry.engine({ journal })
    const from = first.clock.now()
    const id = await telemetry.inSpan('request', async () => {
      const run = first.run(waits)
      run.ignore()
      await quiet()
      return run.id
    })
    await first.settle(sleepOf(first, 1_000))
    await first.close()
    const second = telemetry.engine({ journal })
    const [run] = await second.recover()
    await run?.signal('go', 'now')
    await second.settle(second.get(id).then((found) => found?.result()))
    await second.close()
    expect(telemetry.tree()).toEqual(['request', '  flow waits', '    attempt waits', '    attempt waits'])
    const span = telemetry.one('flow waits')
    expect([startOf(span) - from, endOf(span) - from]).toEqual([0, 1_000])
    const [lost, next] = telemetry.named('attempt waits')
    expect(lost?.status.code).toBe(SpanStatusCode.ERROR)
    expect(next?.status.code).toBe(SpanStatusCode.UNSET)
  })

  it('has no spans of what is replayed', async () => {
    const telemetry = new Telemetry()
    const journal = memoryJournal()
    let calls = 0
    const step = task('step', (n: number) => {
      calls++
      return n
    })
    const many = flow('many', async () => {
      for (let n = 0; n < 10; n++) await step(n)
      await sleep('1h')
      return step(10)
    })
    const first = telemetry.engine({ journal })
    first.run(many.with({ id: 'run' })).ignore()
    await quiet(60)
    await first.close()
    const second = telemetry.engine({ journal })
    const [run] = await second.recover()
    await second.settle(run!.result())
    await second.close()
    expect(calls).toBe(11)
    expect(telemetry.named('task step')).toHaveLength(11)
    expect(telemetry.named('attempt step')).toHaveLength(11)
    expect((await telemetry.measured('troupe.runs.started')).map(({ value }) => value)).toEqual([1, 11])
    expect((await telemetry.measured('troupe.run.recoveries')).map(({ value }) => value)).toEqual([1])
  })

  it('without instrumentation for a while has spans of all that is done with it', async () => {
    const telemetry = new Telemetry()
    const journal = memoryJournal()
    const waits = flow('unseen', () => sleep('1h'))
    const first = createTestEngine({ journal, logger: silent })
    first.run(waits).ignore()
    await quiet()
    await first.close()
    const second = telemetry.engine({ journal })
    const [run] = await second.recover()
    await second.settle(run!.result())
    await second.close()
    expect(telemetry.tree()).toEqual(['flow unseen', '  attempt unseen', '  attempt unseen'])
  })

  it('after its body was let go has an attempt for each time that it was there', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine({ suspendAfter: '1m' })
    const naps = flow('naps', async () => {
      await sleep('3h')
      await sleep('3h')
    })
    await engine.settle(engine.run(naps))
    expect(
      telemetry
        .named('attempt naps')
        .map(({ attributes }) => [attributes['troupe.attempt'], attributes['troupe.run.state']]),
    ).toEqual([
      [1, 'Suspended'],
      [2, 'Suspended'],
      [3, 'Completed'],
    ])
    const [first, second, third] = telemetry.named('attempt naps')
    expect([endOf(first!) - startOf(first!), third!.links[0]?.context.spanId]).toEqual([
      60_000,
      idOf(second!),
    ])
    expect(telemetry.named('attempt naps').every(({ status }) => status.code === SpanStatusCode.UNSET)).toBe(
      true,
    )
    expect(parentOf(first!)).toBe(idOf(telemetry.one('flow naps')))
  })
})

describe('a flow run that its engine lets go of', () => {
  it('has no span, also where the journal answers late that its body had begun', async () => {
    const telemetry = new Telemetry()
    const journal = memoryJournal()
    const append = journal.append.bind(journal)
    const clock = virtualClock()
    const stored: string[] = []
    journal.append = async (entries) => {
      const isLate = entries.entries.some((entry) => 'to' in entry && entry.to === 'Running')
      if (isLate) await new Promise<void>((go) => void clock.at(clock.now() + 1_500, go))
      stored.push(...entries.entries.map((entry) => ('to' in entry ? entry.to : entry.kind)))
      return append(entries)
    }
    const engine = telemetry.engine({ journal, clock })
    engine.run(flow('late', () => sleep('1h'))).ignore()
    await quiet()
    await engine.close()
    expect(stored).toEqual(expect.arrayContaining(['Pending', 'Running']))
    expect(telemetry.spans).toEqual([])
  })

  it('because its body takes another path shows that attempt, and the next when it goes on', async () => {
    const telemetry = new Telemetry()
    const journal = memoryJournal()
    let isOther = false
    const one = task('path-one', (n: number) => n)
    const other = task('path-other', (n: number) => n)
    const walks = flow('walks', async () => {
      await (isOther ? other(1) : one(1))
      await receive('go')
    })
    const first = telemetry.engine({ journal })
    first.run(walks.with({ id: 'walk' })).ignore()
    await quiet()
    await first.close()
    isOther = true
    const second = telemetry.engine({ journal })
    const [run] = await second.recover()
    await quiet(60)
    expect(run?.state.name).toBe('Paused')
    isOther = false
    await second.settle(run!.resume())
    await second.settle(run!.signal('go', 1))
    await second.settle(run!.result())
    await second.close()
    const attempts = telemetry.named('attempt walks')
    expect(
      attempts.map(({ attributes }) => [attributes['troupe.attempt'], attributes['troupe.run.state']]),
    ).toEqual([
      [1, 'Recovering'],
      [2, 'Paused'],
      [3, 'Completed'],
    ])
    expect(new Set(telemetry.spans.map(idOf)).size).toBe(telemetry.spans.length)
  })
})

describe('a flow run whose node is lost', () => {
  it('goes on in its trace on another node, and its former owner exports nothing more of it', async () => {
    const clock = virtualClock()
    const transport = memoryTransport()
    const telemetry = { client: new Telemetry(), first: new Telemetry(), second: new Telemetry() }
    const step = task('one-step', (n: number) => n)
    const serves = flow('serves', async () => {
      await step(1)
      await receive('go')
      return step(2)
    })
    const node = (name: 'client' | 'first' | 'second', isOwner: boolean) =>
      telemetry[name].engine({
        node: name,
        transport,
        clock,
        ...(isOwner ? { serve: { flows: [serves] } } : {}),
      })
    const client = node('client', false)
    const first = node('first', true)
    await clock.run(first.announced())
    const run = await telemetry.client.inSpan('request', () => clock.run(client.run('serves')))
    await clock.run(sleepOf(first, 500))
    const second = node('second', true)
    await clock.run(second.announced())
    transport.partition('first')
    await clock.run(sleepOf(second, 10_000))
    await clock.run(run.signal('go', 1))
    await clock.run(run.result())
    transport.heal('first')
    await clock.run(sleepOf(second, 5_000))
    for (const engine of [client, first, second]) await engine.close()

    const started = async (of: Telemetry) =>
      (await of.measured('troupe.runs.started')).map(({ attributes, value }) => [
        attributes['troupe.name'],
        value,
      ])
    expect(await started(telemetry.client)).toEqual([['serves', 1]])
    expect(await started(telemetry.second)).toEqual([['one-step', 1]])
    expect(telemetry.client.tree()).toEqual(['request', '  send flow serves'])
    expect(telemetry.first.spans.map(({ name }) => name)).toEqual(['attempt one-step', 'task one-step'])
    expect(telemetry.second.tree()).toEqual([
      'flow serves',
      '  attempt serves',
      '  attempt serves',
      '    task one-step',
      '      attempt one-step',
    ])
    const all = Object.values(telemetry).flatMap(({ spans }) => spans)
    expect(new Set(all.map((span) => span.spanContext().traceId)).size).toBe(1)
    expect(parentOf(telemetry.second.one('flow serves'))).toBe(idOf(telemetry.client.one('send flow serves')))
    const [lost, next] = telemetry.second.named('attempt serves')
    expect(parentOf(telemetry.first.one('task one-step'))).toBe(idOf(lost!))
    expect(parentOf(telemetry.second.one('task one-step'))).toBe(idOf(next!))
  })
})

/** Resolves after some virtual time. */
function sleepOf({ clock }: { readonly clock: ReturnType<typeof virtualClock> }, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.at(clock.now() + ms, resolve))
}
