import {
  ConcurrentTaskRunner,
  currentTaskRun,
  flow,
  sleep,
  task,
  waitAll,
  type TaskFuture,
  type TaskRunner,
} from '@troupe/core'
import { InProcessPool } from '@troupe/core/internal'
import { describe, expect, it } from 'vitest'
import { abandoned, or, pass, silent } from '../hard/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { counts, fails, Gauge, stamps, times } from './limit-support.ts'
import { StagedRunner } from './staged-runner.ts'
import { quiet, statesOf, testEngine } from './support.ts'

const second = { count: 1, per: '1s' } as const

describe('a rate', () => {
  it('lets so many attempts begin in a time, and the next when that has passed, to the millisecond', async () => {
    await using engine = testEngine({ limits: [{ task: 'rated', rate: { count: 3, per: '1s' } }] })
    const { at, stamp } = stamps(engine)
    const rated = task('rated', stamp)
    await engine.settle(flow('ten', () => times(10, rated))())
    expect(at).toEqual([0, 0, 0, 1000, 1000, 1000, 2000, 2000, 2000, 3000])
  })

  it('counts in any time of that length: the window slides', async () => {
    await using engine = testEngine({ limits: [{ task: 'slides', rate: { count: 3, per: '1s' } }] })
    const { at, stamp } = stamps(engine)
    const slides = task('slides', stamp)
    const run = flow('slides-on', async () => {
      for (let n = 0; n < 3; n++) {
        await slides()
        await sleep(400)
      }
      return times(7, slides)
    })()
    await engine.settle(run)
    expect(at).toEqual([0, 400, 800, 1200, 1400, 1800, 2200, 2400, 2800, 3200])
  })

  it('is not held up by how long bodies take', async () => {
    await using engine = testEngine({ limits: [{ task: 'long', rate: { count: 1, per: '1s' } }] })
    const gauge = new Gauge()
    const long = task('long', (name: string) => gauge.body(name, '3500ms'))
    await engine.settle(flow('overlaps', () => long.map(['a', 'b', 'c', 'd', 'e', 'f']))())
    expect([gauge.begun, gauge.most]).toEqual([['a', 'b', 'c', 'd', 'e', 'f'], 4])
  })

  it('may be of flows and of tags, and may last for months', async () => {
    await using engine = testEngine({
      limits: [
        { flow: 'monthly', rate: { count: 1, per: '30d' } },
        { tag: 'api', rate: second },
      ],
    })
    const { at, stamp } = stamps(engine)
    const call = task({ name: 'call', tags: ['api'] }, stamp)
    const other = task({ name: 'other', tags: ['api'] }, stamp)
    const monthly = flow('monthly', () => [call(), other()])
    await engine.settle(Promise.all([monthly(), monthly()]))
    const month = 30 * 86_400_000
    expect(at).toEqual([0, 1000, month, month + 1000])
  })

  it('names itself to the run that waits for it', async () => {
    await using engine = testEngine({ limits: [{ tag: 'api', rate: { count: 2, per: '1m' } }] })
    const call = task({ name: 'call', tags: ['api'] }, () => 1)
    const futures: TaskFuture<number>[] = []
    const run = flow('names', () => {
      futures.push(call(), call(), call())
      return futures
    })()
    await quiet()
    expect(futures[2]?.state).toMatchObject({
      name: 'AwaitingConcurrencySlot',
      message: expect.stringContaining('tag api (2 per 1m)') as unknown,
    })
    await engine.settle(run)
  })

  it('waits with one deadline for however many, and with none when nobody waits', async () => {
    await using engine = testEngine({ limits: [{ task: 'timed', rate: { count: 2, per: '1h' } }] })
    const timed = task('timed', () => 1)
    const run = flow('times', () => times(100, timed))()
    await quiet()
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/98', 1])
    engine.clock.advanceToNext()
    await quiet()
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/96', 1])
    await engine.settle(run.cancel())
    expect([counts(engine), engine.clock.waiting]).toEqual(['0/0', 0])
  })

  it('moves time only to where an attempt may begin: nothing polls', async () => {
    await using engine = testEngine({ limits: [{ task: 'seldom', rate: { count: 5, per: '1h' } }] })
    const { at, stamp } = stamps(engine)
    const seldom = task('seldom', stamp)
    const run = flow('seldoms', () => times(20, seldom))()
    let deadlines = 0
    for (await quiet(); engine.clock.advanceToNext(); await quiet()) deadlines++
    await engine.settle(run)
    expect([deadlines, new Set(at).size]).toEqual([3, 4])
  })

  it('is given back no start by a run that is cancelled, and takes none for one that waited', async () => {
    await using engine = testEngine({ limits: [{ task: 'rated', rate: second }] })
    const { at, stamp } = stamps(engine)
    const rated = task('rated', () => {
      stamp()
      return sleep('1h')
    })
    const futures: TaskFuture<void>[] = []
    const run = flow('cancels', async () => {
      futures.push(rated(), rated(), rated())
      await waitAll(futures)
    })()
    await quiet()
    void futures[0]?.cancel()
    void futures[1]?.cancel()
    await engine.settle(run)
    expect([at, counts(engine)]).toEqual([[0, 1000], '0/0'])
  })

  it('counts retries as starts: one that may not begin now waits like every other', async () => {
    await using engine = testEngine({ limits: [{ task: 'again', rate: { count: 2, per: '1m' } }] })
    const { at, stamp } = stamps(engine)
    const again = task({ name: 'again', retries: 3 }, () => {
      stamp()
      if (at.length < 4) throw new Error('again')
      return 'done'
    })
    let future: TaskFuture<string> | undefined
    expect(await engine.settle(flow('tries', () => (future = again()))())).toBe('done')
    expect(at).toEqual([0, 0, 60_000, 60_000])
    expect(future === undefined ? [] : await statesOf(engine, future)).toEqual([
      'Pending',
      'Running',
      'Retrying',
      'AwaitingRetry',
      'AwaitingConcurrencySlot',
      'Retrying',
      'Retrying',
      'Completed',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('counts retries after a delay and those of flows', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'delayed', rate: { count: 1, per: '1m' } },
        { flow: 'retried', rate: { count: 1, per: '1h' } },
      ],
    })
    const { at, stamp } = stamps(engine)
    const delayed = task({ name: 'delayed', retries: 1, retryDelay: '10s' }, () => {
      stamp()
      return fails()
    })
    const retried = flow({ name: 'retried', retries: 1 }, () => delayed())
    await engine.settle(retried().wait())
    expect(at).toEqual([0, 60_000, 3_600_000, 3_660_000])
  })

  it('lets a retry at once pass no run that waits: it waits with them, in its place', async () => {
    await using engine = testEngine({ limits: [{ tag: 'api', rate: { count: 1, per: '1m' } }] })
    const begun: string[] = []
    const call = task({ name: 'call', tags: ['api'], retries: 1 }, async (name: string) => {
      begun.push(`${name}${currentTaskRun().attempt}`)
      await sleep('90s')
      if (name === 'a' && currentTaskRun().attempt === 1) throw new Error('again')
    })
    await engine.settle(
      flow('in-place', () => [call('a'), call('b'), call.with({ priority: 1 })('c'), call('d')])(),
    )
    expect(begun).toEqual(['a1', 'c1', 'a2', 'b1', 'd1'])
  })

  it('holds together with slots: a run needs both', async () => {
    await using engine = testEngine({
      limits: [{ task: 'both', concurrency: 2, rate: { count: 3, per: '10s' } }],
    })
    const { at, stamp } = stamps(engine)
    const gauge = new Gauge()
    const both = task('both', (name: string) => {
      stamp()
      return gauge.body(name, '4s')
    })
    await engine.settle(flow('together', () => both.map(['a', 'b', 'c', 'd', 'e', 'f', 'g']))())
    // Two slots of 4 s each, and the fourth start no sooner than 10 s after the first.
    expect(at).toEqual([0, 0, 4000, 10_000, 10_000, 14_000, 20_000])
    expect([gauge.most, counts(engine)]).toEqual([2, '0/0'])
  })

  it('holds together with limits of other kinds: a slot is not held while it waits for its time', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'db', concurrency: 1 },
        { task: 'rated', rate: { count: 1, per: '1m' } },
      ],
    })
    const begun: string[] = []
    const rated = task({ name: 'rated', tags: ['db'] }, () => void begun.push('rated'))
    const before = task({ name: 'before', tags: ['db'], priority: 1 }, () => void begun.push('before'))
    const run = flow('kinds', async () => {
      await rated()
      const waits = rated()
      await sleep(1)
      const during = counts(engine)
      await before()
      await waits
      return during
    })()
    expect(await engine.settle(run)).toBe('0/1 0/1')
    expect(begun).toEqual(['rated', 'before', 'rated'])
  })

  it('lets waiting runs begin at once when it is raised or taken away', async () => {
    await using engine = testEngine({ limits: [{ task: 'raised', rate: { count: 1, per: '1h' } }] })
    const { at, stamp } = stamps(engine)
    const raised = task('raised', stamp)
    const run = flow('raises', () => times(6, raised))()
    await pass(engine.clock, 1000)
    engine.limits.set({ task: 'raised', rate: { count: 3, per: '1h' } })
    await pass(engine.clock, 1000)
    engine.limits.remove({ task: 'raised' })
    await engine.settle(run)
    expect(at).toEqual([0, 1000, 1000, 2000, 2000, 2000])
    expect(engine.clock.waiting).toBe(0)
  })

  it('lets a waiting run begin sooner when its time is made shorter', async () => {
    await using engine = testEngine({ limits: [{ task: 'shorter', rate: { count: 1, per: '1h' } }] })
    const { at, stamp } = stamps(engine)
    const shorter = task('shorter', stamp)
    const run = flow('shortens', () => [shorter(), shorter()])()
    await pass(engine.clock, 10)
    engine.limits.set({ task: 'shorter', rate: second })
    await engine.settle(run)
    expect(at).toEqual([0, 1000])
  })

  it('lets a waiting run begin later when its time is made longer', async () => {
    await using engine = testEngine({ limits: [{ task: 'longer', rate: second }] })
    const { at, stamp } = stamps(engine)
    const longer = task('longer', stamp)
    const run = flow('lengthens', () => [longer(), longer()])()
    await pass(engine.clock, 10)
    engine.limits.set({ task: 'longer', rate: { count: 1, per: '1h' } })
    await engine.settle(run)
    expect(at).toEqual([0, 3_600_000])
  })

  it('remembers its starts when it is lowered and raised again', async () => {
    await using engine = testEngine({ limits: [{ task: 'lowered', rate: { count: 3, per: '1h' } }] })
    const { at, stamp } = stamps(engine)
    const lowered = task('lowered', stamp)
    const run = flow('lowers', () => times(4, lowered))()
    await pass(engine.clock, 10)
    engine.limits.set({ task: 'lowered', rate: second })
    engine.limits.set({ task: 'lowered', rate: { count: 3, per: '1h' } })
    await engine.settle(run)
    expect(at).toEqual([0, 0, 0, 3_600_000])
  })

  it('holds for bodies that had to wait for room in their runner, too', async () => {
    await using engine = testEngine({ limits: [{ task: 'crowded', rate: second }] })
    const { at, stamp } = stamps(engine)
    const crowded = task('crowded', stamp)
    const busy = task({ name: 'busy', priority: 1 }, () => sleep('10s'))
    const run = flow({ name: 'crowds', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, () => [
      busy(),
      ...times(4, crowded),
    ])()
    await engine.settle(run)
    expect(at.slice(1).map((time, n) => time - (at[n] ?? 0))).toEqual([1000, 1000, 1000])
  })

  it('holds for a body that begins again after its host was lost', async () => {
    await using engine = testEngine({ limits: [{ task: 'lost', rate: { count: 1, per: '1h' } }] })
    const { at, stamp } = stamps(engine)
    const runner = new StagedRunner()
    const lost = task('lost', async () => {
      stamp()
      if (at.length === 1) await new Promise(() => undefined)
    })
    const run = flow({ name: 'loses', taskRunner: runner }, () => lost())()
    await quiet()
    runner.lose({ crashed: false })
    expect(await or(engine.clock, run, 86_400_000)).toBeUndefined()
    expect(at).toEqual([0, 3_600_000])
  })

  it('holds for a body that is tried again after it crashed', async () => {
    await using engine = testEngine({ limits: [{ task: 'crashed', rate: { count: 1, per: '1h' } }] })
    const { at, stamp } = stamps(engine)
    const runner = new StagedRunner()
    const crashed = task({ name: 'crashed', retries: 1, retryOnCrash: true }, async () => {
      stamp()
      if (at.length === 1) await new Promise(() => undefined)
    })
    const run = flow({ name: 'crashes', taskRunner: runner }, () => crashed())()
    await quiet()
    runner.lose({ crashed: true })
    expect(await or(engine.clock, run, 86_400_000)).toBeUndefined()
    expect([at, counts(engine), runner.queued]).toEqual([[0, 3_600_000], '0/0', 0])
  })

  it('takes nothing from what begins in a flow run that is paused', async () => {
    await using engine = testEngine({ limits: [{ task: 'paused', rate: second }] })
    const { at, stamp } = stamps(engine)
    const paused = task('paused', stamp)
    const run = flow('pauses', () => times(3, paused))()
    await quiet()
    await run.pause()
    await pass(engine.clock, 3_600_000)
    expect(at).toEqual([0])
    await run.resume()
    await engine.settle(run)
    expect([at.length, counts(engine), engine.clock.waiting]).toEqual([3, '0/0', 0])
  })

  it('is counted anew by a process that takes over', async () => {
    const lives = new Lives()
    const limits = [{ task: 'rated-lives', rate: { count: 1, per: '1h' } }] as const
    const at: number[] = []
    const start = lives.clock.now()
    const rated = task('rated-lives', () => void at.push(lives.clock.now() - start))
    const first = lives.start({ limits, logger: silent })
    abandoned(first.run(flow('rates-lives', () => times(3, rated))))
    await rest()
    await first.close()
    await using next = lives.start({ limits })
    await lives.recoverToEnd(next)
    expect(at.length).toBe(3)
    expect(at[2]).toBe((at[1] ?? 0) + 3_600_000)
    expect([counts(next), lives.clock.waiting]).toEqual(['0/0', 0])
  })
})

describe('a priority', () => {
  it('goes before order in the queue of a limit; equal ones keep the order of submission', async () => {
    await using engine = testEngine({ limits: [{ task: 'ranked', concurrency: 1 }] })
    const gauge = new Gauge()
    const ranked = task('ranked', gauge.body)
    const of = (priority: number) => ranked.with({ priority })
    await engine.settle(
      flow('ranks', () => [
        of(-1)('last'),
        of(0)('b1'),
        of(2.5)('a1'),
        ranked('b2'),
        of(2.5)('a2'),
        of(-0.5)('c'),
      ])(),
    )
    // The first came while there was room.
    expect(gauge.begun).toEqual(['last', 'a1', 'a2', 'b1', 'b2', 'c'])
  })

  it('lets a run that comes later overtake all that wait, and takes no slot from one that has it', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const gauge = new Gauge()
    const plain = task({ name: 'plain', tags: ['db'] }, gauge.body)
    const urgent = task({ name: 'urgent', tags: ['db'], priority: 10 }, gauge.body)
    const run = flow('overtakes', () => plain.map(['a', 'b', 'c']))()
    await quiet()
    const other = flow('later', () => urgent('urgent'))()
    await engine.settle(Promise.all([run, other]))
    expect(gauge.begun).toEqual(['a', 'urgent', 'b', 'c'])
  })

  it('orders flow runs, and the queue of a rate', async () => {
    await using engine = testEngine({
      limits: [
        { flow: 'ranked-flow', concurrency: 1 },
        { task: 'ranked-task', rate: second },
      ],
    })
    const begun: string[] = []
    const body = (name: string): void => void begun.push(name)
    const rankedFlow = flow('ranked-flow', body)
    const rankedTask = task('ranked-task', body)
    const runs = [
      rankedFlow('f0'),
      rankedFlow('f1'),
      rankedFlow.with({ priority: 1 })('f2'),
      flow('tasks', () => [rankedTask('t0'), rankedTask('t1'), rankedTask.with({ priority: 1 })('t2')])(),
    ]
    await engine.settle(Promise.all(runs))
    expect(begun.filter((name) => name.startsWith('f'))).toEqual(['f0', 'f2', 'f1'])
    expect(begun.filter((name) => name.startsWith('t'))).toEqual(['t0', 't2', 't1'])
  })

  it('is the same in all queues of a run that several limits count', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'a', concurrency: 1 },
        { tag: 'b', concurrency: 1 },
      ],
    })
    const gauge = new Gauge()
    const body = task('body', gauge.body)
    const of = (priority: number, ...tags: string[]) => body.with({ priority, tags })
    await engine.settle(
      flow('several', () => [
        of(0, 'a', 'b')('first'),
        of(1, 'a')('a1'),
        of(2, 'b')('b2'),
        of(3, 'a', 'b')('both3'),
        of(4, 'b')('b4'),
      ])(),
    )
    const inQueue = (...names: string[]) => gauge.begun.filter((name) => names.includes(name))
    expect(inQueue('first', 'both3', 'a1')).toEqual(['first', 'both3', 'a1'])
    expect(inQueue('first', 'b4', 'both3', 'b2')).toEqual(['first', 'b4', 'both3', 'b2'])
  })

  it('is kept by a run that is tried again later', async () => {
    await using engine = testEngine({ limits: [{ task: 'kept', concurrency: 1 }] })
    const begun: string[] = []
    const kept = task({ name: 'kept', retries: 1, retryDelay: '15s' }, async (name: string) => {
      begun.push(`${name}${currentTaskRun().attempt}`)
      await sleep('10s')
      if (name === 'urgent' && currentTaskRun().attempt === 1) throw new Error('later')
    })
    await engine.settle(
      flow('keeps', () => [kept.with({ priority: 5 })('urgent'), kept('a'), kept('b'), kept('c')])(),
    )
    expect(begun).toEqual(['urgent1', 'a1', 'b1', 'urgent2', 'c1'])
  })

  const runners: [string, () => TaskRunner][] = [
    ['a concurrent runner with a limit', () => new ConcurrentTaskRunner({ limit: 1 })],
    [
      'a sequential runner',
      () => ({
        name: 'sequential',
        mode: 'sequential',
        createPool: (host) => new InProcessPool(host, 1, true),
      }),
    ],
  ]

  it.each(runners)('orders what waits for %s', async (_, runner) => {
    await using engine = testEngine()
    const gauge = new Gauge()
    const ranked = task('ranked', gauge.body)
    const of = (priority: number) => ranked.with({ priority })
    await engine.settle(
      flow({ name: 'orders', taskRunner: runner() }, () => [
        of(0)('first'),
        of(-1)('c'),
        of(1)('a1'),
        of(0)('b1'),
        of(1)('a2'),
        of(0)('b2'),
      ])(),
    )
    expect(gauge.begun).toEqual(['first', 'a1', 'a2', 'b1', 'b2', 'c'])
    expect(gauge.most).toBe(1)
  })

  it('does not hold up the runs that a waiting body submitted', async () => {
    await using engine = testEngine()
    const gauge = new Gauge()
    const leaf = task({ name: 'leaf', priority: -5 }, gauge.body)
    const outer = task('outer', async () => {
      gauge.begun.push('outer')
      return leaf('leaf')
    })
    const urgent = task({ name: 'urgent', priority: 5 }, gauge.body)
    const run = flow({ name: 'nests', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      const nested = outer()
      await sleep(0)
      return [nested, urgent('urgent')]
    })()
    expect(await or(engine.clock, run)).toEqual(['leaf', 'urgent'])
    expect(gauge.begun.toSorted()).toEqual(['leaf', 'outer', 'urgent'])
  })

  it('changes nothing where nobody waits', async () => {
    await using engine = testEngine()
    const gauge = new Gauge()
    const ranked = task('ranked', gauge.body)
    await engine.settle(
      flow('free', () => [ranked.with({ priority: -9 })('a'), ranked.with({ priority: 9 })('b')])(),
    )
    expect(gauge.begun).toEqual(['a', 'b'])
  })
})
