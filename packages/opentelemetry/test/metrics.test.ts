import { ConcurrentTaskRunner, flow, inputs, memoryJournal, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { quiet, Telemetry } from './support.ts'

const fails = (): never => {
  throw new RangeError('no')
}

describe('metrics', () => {
  it('count runs by what they are and how they end', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const costly = task({ name: 'costly', cache: inputs() }, (n: number) => n)
    const bad = task('bad', () => fails())
    const all = flow('all', async () => {
      await costly(1)
      await costly(1)
      await bad().wait()
    })
    await engine.settle(engine.run(all))
    const costlyRun = { 'troupe.run.kind': 'task', 'troupe.name': 'costly' }
    const badRun = { 'troupe.run.kind': 'task', 'troupe.name': 'bad' }
    const flowRun = { 'troupe.run.kind': 'flow', 'troupe.name': 'all' }
    const counts = async (name: string) =>
      (await telemetry.measured(name)).map(({ unit, attributes, value }) => [unit, attributes, value])
    expect(await counts('troupe.runs.started')).toEqual([
      ['{run}', flowRun, 1],
      ['{run}', costlyRun, 2],
      ['{run}', badRun, 1],
    ])
    expect(await counts('troupe.runs.ended')).toEqual([
      ['{run}', { ...costlyRun, 'troupe.run.state': 'Completed' }, 1],
      ['{run}', { ...costlyRun, 'troupe.run.state': 'Cached' }, 1],
      ['{run}', { ...badRun, 'troupe.run.state': 'Failed' }, 1],
      ['{run}', { ...flowRun, 'troupe.run.state': 'Completed' }, 1],
    ])
  })

  it('measure runs, attempts and waits in seconds', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine({ limits: [{ task: 'slow', concurrency: 1 }] })
    let tries = 0
    const slow = task({ name: 'slow', retries: 1, retryDelay: '4s' }, async () => {
      await sleep('2s')
      if (++tries === 1) fails()
    })
    const two = flow('two', () => Promise.all([slow(), slow.with({ priority: -1 })()]))
    await engine.settle(engine.run(two))
    const slowRun = { 'troupe.run.kind': 'task', 'troupe.name': 'slow' }
    const of = async (name: string) =>
      (await telemetry.measured(name))
        .filter(({ attributes }) => attributes['troupe.name'] === 'slow')
        .map(({ unit, attributes, value, count }) => [unit, attributes, value, count])
    // The second waits for its slot while the first runs, and runs while that waits to be tried again.
    expect(await of('troupe.run.wait')).toEqual([['s', slowRun, 2, 2]])
    expect(await of('troupe.slots.wait')).toEqual([['s', slowRun, 2, 1]])
    expect(await of('troupe.run.duration')).toEqual([
      ['s', { ...slowRun, 'troupe.run.state': 'Completed' }, 4 + 8, 2],
    ])
    expect(await of('troupe.attempt.duration')).toEqual([
      ['s', { ...slowRun, 'troupe.run.state': 'AwaitingRetry' }, 2, 1],
      ['s', { ...slowRun, 'troupe.run.state': 'Completed' }, 4, 2],
    ])
    expect((await telemetry.measured('troupe.run.retries')).map(({ value }) => value)).toEqual([1])
  })

  it('tell of journals', async () => {
    const telemetry = new Telemetry()
    const journal = memoryJournal()
    const append = journal.append.bind(journal)
    let silentTimes = 0
    journal.append = (entries) => {
      if (silentTimes-- > 0) throw new RangeError('not now')
      return append(entries)
    }
    await using engine = telemetry.engine({ journal })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const run = engine.run(flow('waits', () => sleep('1s')))
    await quiet()
    silentTimes = 2
    const stalled = async () =>
      (await telemetry.measured('troupe.journals.stalled')).map(({ value }) => value)
    engine.clock.advance(1_005)
    await quiet()
    expect(await stalled()).toEqual([1])
    await engine.settle(run)
    await quiet()
    expect(await stalled()).toEqual([0])
    const [appends] = await telemetry.measured('troupe.journal.append.duration')
    expect(appends).toMatchObject({ unit: 's', attributes: { 'troupe.journal.outcome': 'stored' } })
    expect(appends?.count).toBeGreaterThan(2)
    const { length: entries } = await entriesOf(run.id, journal)
    expect((await telemetry.measured('troupe.journal.entries')).map(({ value }) => value)).toEqual([entries])
    expect(await telemetry.measured('troupe.journal.append.failures')).toMatchObject([
      { attributes: { 'error.type': 'RangeError' }, value: 2 },
    ])
    expect(await telemetry.measured('troupe.errors')).toMatchObject([
      { attributes: { 'error.type': 'JOURNAL_CONFLICT' }, value: errors.length },
    ])
  })

  it('tell how many runs are live, wait for room, and left a body behind', async () => {
    const telemetry = new Telemetry()
    const engine = telemetry.engine()
    const other = telemetry.engine({ node: 'other' })
    const stays = task({ name: 'stays', grace: '1s' }, () => new Promise(() => undefined))
    const taskRunner = new ConcurrentTaskRunner({ limit: 2 })
    const three = flow({ name: 'three', taskRunner, grace: '1s' }, () =>
      Promise.all([stays(), stays(), stays()]),
    )
    const runs = [engine.run(three), other.run(three)]
    for (const run of runs) run.ignore()
    await quiet()
    const value = async (name: string) => (await telemetry.measured(name)).map((found) => found.value)
    expect(await value('troupe.runs.live')).toEqual([2])
    expect(await telemetry.measured('troupe.queue.waiting')).toMatchObject([
      { unit: '{run}', attributes: { 'troupe.task_runner': 'concurrent' }, value: 2 },
    ])
    await engine.settle(runs[0]!.cancel('enough'))
    expect(await value('troupe.leftovers')).toEqual([2])
    expect(await value('troupe.runs.live')).toEqual([1])
    await engine.close()
    await other.close()
    expect(await value('troupe.runs.live')).toEqual([0])
  })

  it('never bear ids of runs', async () => {
    const telemetry = new Telemetry()
    await using engine = telemetry.engine()
    const step = task('step', (n: number) => n)
    const many = flow('many', () => step.map([1, 2, 3, 4, 5]))
    for (let i = 0; i < 5; i++) await engine.settle(engine.run(many))
    await telemetry.reader.forceFlush()
    const found =
      telemetry.metrics
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? []
    expect(found.length).toBeGreaterThan(6)
    for (const { dataPoints } of found) expect(dataPoints.length).toBeLessThanOrEqual(2)
  })
})

async function entriesOf(flowRunId: string, journal: ReturnType<typeof memoryJournal>): Promise<unknown[]> {
  return [...(await journal.read(flowRunId, 1, 1_000))]
}
