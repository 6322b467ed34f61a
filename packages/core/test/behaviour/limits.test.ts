import { flow, inputs, sleep, task, waitAll, withTags, type Limit, type TaskRunner } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { or } from '../hard/support.ts'
import { counts, Gauge, times } from './limit-support.ts'
import { StagedRunner } from './staged-runner.ts'
import { all, deferred, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

describe('a concurrency limit', () => {
  it('counts the runs of a task over all flow runs of the engine', async () => {
    await using engine = testEngine({ limits: [{ task: 'counted', concurrency: 3 }] })
    const gauge = new Gauge()
    const counted = task('counted', gauge.body)
    const crowd = flow('crowd', () => counted.map(Array.from({ length: 7 }, () => 'x')))
    const runs = [crowd(), crowd(), crowd()]
    await quiet()
    expect(counts(engine)).toBe('3/18')
    await engine.settle(Promise.all(runs))
    expect([gauge.begun.length, gauge.most]).toEqual([21, 3])
    expect(counts(engine)).toBe('0/0')
  })

  it('counts task runs outside any flow, too', async () => {
    await using engine = testEngine({ limits: [{ task: 'alone', concurrency: 1 }] })
    const gauge = new Gauge()
    const alone = task('alone', gauge.body)
    await engine.settle(Promise.all([alone('a'), alone('b'), flow('with', () => alone('c'))()]))
    expect([gauge.begun, gauge.most]).toEqual([['a', 'b', 'c'], 1])
  })

  it('counts the runs of a flow, as roots and as subflows, and no task of the same name', async () => {
    await using engine = testEngine({ limits: [{ flow: 'same', concurrency: 2 }] })
    const flows = new Gauge()
    const tasks = new Gauge()
    const same = flow('same', () => flows.body())
    const sameTask = task('same', tasks.body)
    const above = flow('above', () => [same(), same(), same()])
    await engine.settle(Promise.all([above(), same(), flow('tasks', () => sameTask.map(['a', 'b', 'c']))()]))
    expect([flows.begun.length, flows.most, tasks.most]).toEqual([4, 2, 3])
  })

  it('counts all task runs with a tag, whichever task they are of, and no flow run', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 2 }] })
    const gauge = new Gauge()
    const reads = task({ name: 'reads', tags: ['db'] }, gauge.body)
    const writes = task({ name: 'writes', tags: ['io', 'db', 'db'] }, gauge.body)
    const other = new Gauge()
    const free = task('free', other.body)
    const mixed = flow({ name: 'mixed' }, () => [reads('r'), writes('w'), reads('r'), free(), free(), free()])
    const tagged = flow({ name: 'tagged', tags: ['db'] }, () => 'no task')
    const runs = [mixed(), mixed(), tagged(), tagged()]
    await quiet()
    expect(counts(engine)).toBe('2/4')
    await engine.settle(Promise.all(runs))
    expect([gauge.most, other.most]).toEqual([2, 6])
  })

  it('counts tags that a run has from its flow, from the flows above, from its call and from `withTags`', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const gauge = new Gauge()
    const plain = task('plain', gauge.body)
    const own = flow({ name: 'own', tags: ['db'] }, () => plain('own'))
    const above = flow({ name: 'above', tags: ['db'] }, () => flow('below', () => plain('above'))())
    const called = flow('called', () => plain.with({ tags: ['db'] })('called'))
    const scoped = flow('scoped', () => withTags(['db'], () => plain('scoped')))
    const nested = flow('nested', () =>
      withTags(['db'], () => task('carrier', () => 'nothing')().then(() => plain('nested'))),
    )
    await engine.settle(Promise.all([own(), above(), called(), scoped(), nested()]))
    expect(gauge.most).toBe(1)
    expect(gauge.begun.toSorted()).toEqual(['above', 'called', 'nested', 'own', 'scoped'])
  })

  it('leaves alone what it does not count', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'other', concurrency: 1 },
        { tag: 'other', concurrency: 1 },
      ],
    })
    const gauge = new Gauge()
    const free = task({ name: 'free', tags: ['others', 'Other'] }, gauge.body)
    const run = flow('unlimited', () => free.map(['a', 'b', 'c']))()
    await engine.settle(run)
    expect(gauge.most).toBe(3)
    const states = new Set((await all(run.transitions)).map(({ to }) => to.name))
    expect(states.has('AwaitingConcurrencySlot')).toBe(false)
  })

  it('is one engine’s own', async () => {
    await using one = testEngine({ limits: [{ flow: 'independent', concurrency: 1 }] })
    await using two = testEngine({ limits: [{ flow: 'independent', concurrency: 2 }], clock: one.clock })
    const gauge = new Gauge()
    const independent = flow('independent', () => gauge.body())
    const runs = [one.run(independent), one.run(independent), two.run(independent), two.run(independent)]
    await quiet()
    expect([counts(one), counts(two)]).toEqual(['1/1', '2/0'])
    two.limits.set({ flow: 'independent', concurrency: 7 })
    one.limits.remove({ flow: 'independent' })
    expect([one.limits.list(), two.limits.list()]).toEqual([
      [],
      [{ flow: 'independent', concurrency: 7, held: 2, waiting: 0 }],
    ])
    await one.settle(Promise.all(runs))
    expect(gauge.most).toBe(4)
  })

  it('does not count a run whose upstreams have not ended', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const slow = task('slow', () => sleep('1h'))
    const gauge = new Gauge()
    const late = task({ name: 'late', tags: ['db'] }, (_value: unknown) => gauge.body('late'))
    const soon = task({ name: 'soon', tags: ['db'] }, () => gauge.body('soon'))
    await engine.settle(flow('upstreams', () => [late(slow()), soon()])())
    expect(gauge.begun).toEqual(['soon', 'late'])
  })

  it('is not asked for by a run that takes a cached result', async () => {
    await using engine = testEngine({ limits: [{ task: 'cached', concurrency: 1 }] })
    const cached = task({ name: 'cached', cache: inputs() }, async (n: number) => n)
    const blocks = cached.with({ cache: false })
    const gate = deferred()
    const run = flow('hits', async () => {
      await cached(1)
      const blocked = task({ name: 'cached' }, () => gate.promise)()
      const hit = cached(1)
      const state = (await hit.wait()).name
      gate.resolve()
      await blocked
      return [state, await blocks(2)]
    })()
    expect(await or(engine.clock, run)).toEqual(['Cached', 2])
  })
})

describe('a run that waits for a slot', () => {
  it('is AwaitingConcurrencySlot, with a message that names the limit', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'db', concurrency: 1 },
        { flow: 'waits', concurrency: 1 },
      ],
    })
    const holds = task({ name: 'holds', tags: ['db'] }, () => sleep('1m'))
    const next = task({ name: 'next', tags: ['db'] }, () => 'done')
    const waits = flow('waits', () => [holds(), next()])
    const [first, second] = [waits(), waits()]
    await quiet()
    expect(second.state).toMatchObject({
      type: 'PENDING',
      name: 'AwaitingConcurrencySlot',
      message: expect.stringContaining('flow waits (1 at once)') as unknown,
    })
    await engine.settle(Promise.all([first, second]))
    const own = (await all(first.transitions)).filter(({ task: name }) => name === 'next')
    expect(own.map(({ to }) => to.name)).toEqual([
      'Pending',
      'AwaitingConcurrencySlot',
      'Running',
      'Completed',
    ])
    expect(own[1]?.to.message).toMatch(/tag db \(1 at once\)/)
    expect(await statesOf(engine, second)).toContain('AwaitingConcurrencySlot')
  })

  it('names the limit that holds it up where it needs several', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'both', concurrency: 5 },
        { tag: 'a', concurrency: 5 },
        { tag: 'b', concurrency: 1 },
      ],
    })
    const holds = task({ name: 'holds', tags: ['b'] }, () => sleep('1m'))
    const both = task({ name: 'both', tags: ['a', 'b'] }, () => 1)
    const run = flow('names', async () => {
      holds()
      const waiting = both()
      await sleep(1)
      return waiting.state.message
    })()
    expect(await engine.settle(run)).toMatch(/tag b \(1 at once\)/)
  })

  it('names the limit in whose queue it stands where others are before it', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'first', concurrency: 1 },
        { task: 'second', concurrency: 1 },
        { tag: 'db', concurrency: 5 },
      ],
    })
    const first = task({ name: 'first', tags: ['db'] }, () => sleep('1m'))
    const second = task({ name: 'second', tags: ['db'] }, () => 1)
    const run = flow('queues', async () => {
      first()
      first()
      const behind = second()
      await sleep(1)
      return behind.state.message ?? 'task second'
    })()
    // Its own task has a slot to give: what it waits for is the run before it in the queue of the tag.
    expect(await engine.settle(run)).not.toMatch(/task second/)
  })

  it('gets its slot in the order of submission, whatever flow run it is of: 500 of them', async () => {
    await using engine = testEngine({ limits: [{ task: 'queued', concurrency: 7 }] })
    const gauge = new Gauge()
    const queued = task('queued', gauge.body)
    const submitted: string[] = []
    const submits = flow('submits', async (name: string) => {
      const futures = []
      for (let n = 0; n < 100; n++) {
        submitted.push(`${name}${n}`)
        futures.push(queued(`${name}${n}`, (n % 3) + 1))
        if (n % 10 === 0) await sleep(1)
      }
      return futures
    })
    await engine.settle(Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => submits(name))))
    expect(gauge.begun).toEqual(submitted)
    expect(gauge.most).toBe(7)
    expect(counts(engine)).toBe('0/0')
  })

  it('waits without a deadline: nothing polls', async () => {
    await using engine = testEngine({ limits: [{ task: 'idle', concurrency: 1 }] })
    const gate = deferred()
    const idle = task('idle', () => gate.promise)
    const run = flow('waits-idle', () => times(300, idle))()
    await quiet()
    expect([counts(engine), engine.clock.waiting]).toEqual(['1/299', 0])
    gate.resolve()
    await engine.settle(run)
    expect(counts(engine)).toBe('0/0')
  })

  it('is told of a slot in the very moment in which it comes free', async () => {
    await using engine = testEngine({ limits: [{ task: 'moment', concurrency: 1 }] })
    const start = engine.clock.now()
    const begun: number[] = []
    const moment = task('moment', async () => {
      begun.push(engine.clock.now() - start)
      await sleep(7)
    })
    await engine.settle(flow('moments', () => [moment(), moment(), moment(), moment()])())
    expect(begun).toEqual([0, 7, 14, 21])
  })
})

describe('a run that several limits count', () => {
  it('gets all slots in one step: A and B never wait for B and A', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'a', concurrency: 1 },
        { tag: 'b', concurrency: 1 },
      ],
    })
    const gauge = new Gauge()
    const ab = task({ name: 'ab', tags: ['a', 'b'] }, gauge.body)
    const ba = task({ name: 'ba', tags: ['b', 'a'] }, gauge.body)
    const a = task({ name: 'a', tags: ['a'] }, gauge.body)
    const run = flow('both-ways', () =>
      Array.from({ length: 30 }, (_, n) => (n % 3 === 0 ? ab : n % 3 === 1 ? ba : a)(`${n}`)),
    )()
    expect(await or(engine.clock, run)).toHaveLength(30)
    expect(gauge.most).toBe(1)
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('holds no slot of one while it waits for another', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'a', concurrency: 1 },
        { tag: 'b', concurrency: 1 },
      ],
    })
    const holdsB = task({ name: 'holds-b', tags: ['b'] }, () => sleep('1m'))
    const both = task({ name: 'needs-both', tags: ['a', 'b'] }, () => 1)
    const run = flow('holds-none', () => [holdsB(), both()])()
    await quiet()
    expect(counts(engine)).toBe('0/1 1/1')
    await engine.settle(run)
  })

  it('counts for its task, and for each of its tags', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'triple', concurrency: 4 },
        { tag: 'x', concurrency: 3 },
        { tag: 'y', concurrency: 2 },
      ],
    })
    const gauge = new Gauge()
    const triple = task({ name: 'triple', tags: ['x', 'y', 'z'] }, gauge.body)
    const run = flow('triples', () => triple.map(['1', '2', '3', '4', '5']))()
    await quiet()
    expect(counts(engine)).toBe('2/3 2/3 2/3')
    await engine.settle(run)
    expect(gauge.most).toBe(2)
    expect(counts(engine)).toBe('0/0 0/0 0/0')
  })

  it('goes on though each of its limits has always another run: none is passed over for ever', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'a', concurrency: 1 },
        { tag: 'b', concurrency: 1 },
      ],
    })
    const gauge = new Gauge()
    const a = task({ name: 'only-a', tags: ['a'] }, () => gauge.body('a', 10))
    const b = task({ name: 'only-b', tags: ['b'] }, () => gauge.body('b', 7))
    const both = task({ name: 'both', tags: ['a', 'b'] }, () => gauge.body('both', 1))
    const run = flow('starves-not', () => [a(), b(), both(), a(), b(), a(), b()])()
    await engine.settle(run)
    expect(gauge.begun.indexOf('both')).toBe(2)
  })
})

describe('engine.limits', () => {
  it('raises a limit: as many waiting runs go on at once, in order', async () => {
    await using engine = testEngine({ limits: [{ task: 'raised', concurrency: 1 }] })
    const gauge = new Gauge()
    const raised = task('raised', (name: string) => gauge.body(name, '1h'))
    const run = flow('raises', () => raised.map(['a', 'b', 'c', 'd', 'e']))()
    await quiet()
    engine.limits.set({ task: 'raised', concurrency: 4 })
    expect(counts(engine)).toBe('4/1')
    await quiet()
    expect(gauge.begun).toEqual(['a', 'b', 'c', 'd'])
    await engine.settle(run)
  })

  it('lowers a limit: it takes nothing away, and gives nothing until fewer hold it', async () => {
    await using engine = testEngine({ limits: [{ task: 'lowered', concurrency: 3 }] })
    const gauge = new Gauge()
    const lowered = task('lowered', gauge.body)
    const run = flow('lowers', () => [
      lowered('a', 10),
      lowered('b', 20),
      lowered('c', 30),
      lowered('d', 5),
      lowered('e', 5),
    ])()
    await quiet()
    engine.limits.set({ task: 'lowered', concurrency: 1 })
    expect(engine.limits.list()).toEqual([{ task: 'lowered', concurrency: 1, held: 3, waiting: 2 }])
    engine.clock.advance(25)
    await quiet()
    expect([gauge.begun.length, counts(engine)]).toEqual([3, '1/2'])
    await engine.settle(run)
    expect(gauge.begun).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(engine.clock.now() % 100).toBe(40)
  })

  it('removes a limit: all that waits for it goes on', async () => {
    await using engine = testEngine({ limits: [{ task: 'removed', concurrency: 1 }] })
    const gauge = new Gauge()
    const removed = task('removed', gauge.body)
    const run = flow('removes', () => removed.map(['a', 'b', 'c']))()
    await quiet()
    expect(engine.limits.remove({ task: 'removed' })).toBe(true)
    expect(engine.limits.remove({ task: 'removed' })).toBe(false)
    expect(engine.limits.list()).toEqual([])
    await quiet()
    expect(gauge.begun).toEqual(['a', 'b', 'c'])
    await engine.settle(run)
  })

  it('lets a run go on that waits for a removed limit alone, though one before it waits for another', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'a', concurrency: 1 },
        { tag: 'b', concurrency: 1 },
      ],
    })
    const gauge = new Gauge()
    const held = task('held', (name: string) => gauge.body(name, '1h'))
    const run = flow('removes-one', () => [
      held.with({ tags: ['a', 'b'] })('holds both'),
      held.with({ tags: ['a', 'b'] })('waits for both'),
      held.with({ tags: ['a'] })('waits for a'),
    ])()
    await quiet()
    engine.limits.remove({ tag: 'a' })
    await quiet()
    expect(gauge.begun).toEqual(['holds both', 'waits for a'])
    await engine.settle(run)
  })

  it('lets all that wait for a limit begin in their order when it is taken away', async () => {
    await using engine = testEngine({ limits: [{ task: 'ordered', concurrency: 1 }] })
    const gauge = new Gauge()
    const ordered = task('ordered', gauge.body)
    const names = Array.from({ length: 40 }, (_, n) => `${n}`)
    const run = flow('orders', () => ordered.map(names))()
    await quiet()
    for (let n = 0; n < 5; n++) {
      engine.clock.advance(10)
      await quiet()
    }
    engine.limits.remove({ task: 'ordered' })
    await engine.settle(run)
    expect(gauge.begun).toEqual(names)
  })

  it('lets a run go on that waits for another limit, though one was taken away and set again meanwhile', async () => {
    for (const isHeld of [true, false]) {
      await using engine = testEngine({
        limits: [
          { tag: 'a', concurrency: 1 },
          { tag: 'b', concurrency: 1 },
        ],
      })
      const held = task('held', (name: string) => sleep('1m').then(() => name))
      const run = flow('comes-and-goes', () => [
        held.with({ tags: isHeld ? ['a', 'b'] : ['b'] })('holds'),
        held.with({ tags: ['a', 'b'] })('waits'),
      ])()
      await quiet()
      engine.limits.remove({ tag: 'a' })
      engine.limits.set({ tag: 'a', concurrency: 1 })
      expect(await or(engine.clock, run)).toEqual(['holds', 'waits'])
    }
  })

  it('counts slots that are still held when it sets a limit again, and not what went on without it', async () => {
    await using engine = testEngine({ limits: [{ task: 'again', concurrency: 2 }] })
    const gauge = new Gauge()
    const again = task('again', (name: string) => gauge.body(name, '1m'))
    const run = flow('sets-again', () => again.map(['a', 'b', 'c']))()
    await quiet()
    engine.limits.remove({ task: 'again' })
    engine.limits.set({ task: 'again', concurrency: 3 })
    const more = flow('two-more', () => again.map(['d', 'e']))()
    await quiet()
    expect([counts(engine), gauge.begun]).toEqual(['3/1', ['a', 'b', 'c', 'd']])
    await engine.settle(Promise.all([run, more]))
    expect(counts(engine)).toBe('0/0')
  })

  it('sets a new limit: it counts what comes from now on, not what runs', async () => {
    await using engine = testEngine()
    const gauge = new Gauge()
    const fresh = task('fresh', (name: string) => gauge.body(name, '1m'))
    const first = flow('before', () => fresh.map(['a', 'b']))()
    await quiet()
    engine.limits.set({ task: 'fresh', concurrency: 1 })
    const second = flow('after', () => fresh.map(['c', 'd']))()
    await quiet()
    expect([counts(engine), gauge.begun]).toEqual(['1/1', ['a', 'b', 'c']])
    await engine.settle(Promise.all([first, second]))
    expect(counts(engine)).toBe('0/0')
  })

  it('makes a rate of a concurrency limit, and the other way round', async () => {
    await using engine = testEngine({ limits: [{ task: 'turned', concurrency: 1 }] })
    const gauge = new Gauge()
    const turned = task('turned', (name: string) => gauge.body(name, '1h'))
    const run = flow('turns', () => turned.map(['a', 'b', 'c', 'd']))()
    await quiet()
    engine.limits.set({ task: 'turned', rate: { count: 2, per: '1m' } })
    await quiet()
    expect(gauge.begun).toEqual(['a', 'b', 'c'])
    engine.limits.set({ task: 'turned', concurrency: 4 })
    await quiet()
    expect(gauge.begun).toEqual(['a', 'b', 'c', 'd'])
    await engine.settle(run)
    expect(counts(engine)).toBe('0/0')
  })

  it('raises and lowers from a body that holds a slot', async () => {
    await using engine = testEngine({ limits: [{ task: 'steers', concurrency: 1 }] })
    const gauge = new Gauge()
    const steers = task('steers', async (name: string) => {
      if (name === 'a') engine.limits.set({ task: 'steers', concurrency: 2 })
      if (name === 'c') engine.limits.set({ task: 'steers', concurrency: 1 })
      return gauge.body(name)
    })
    await engine.settle(flow('from-inside', () => steers.map(['a', 'b', 'c', 'd', 'e']))())
    expect([gauge.most, counts(engine)]).toEqual([2, '0/0'])
  })

  it('lists limits in the order in which they were set, each with how it is used', async () => {
    const limits: Limit[] = [
      { tag: 'db', concurrency: 2 },
      { task: 'fetch', rate: { count: 10, per: '1s' } },
      { flow: 'import', concurrency: 1, rate: { count: 1, per: 50 } },
    ]
    await using engine = testEngine({ limits })
    const unused = { held: 0, waiting: 0 }
    expect(engine.limits.list()).toEqual(limits.map((limit) => ({ ...limit, ...unused })))
    engine.limits.set({ tag: 'db', concurrency: 9 })
    expect(engine.limits.list()[0]).toEqual({ tag: 'db', concurrency: 9, ...unused })
  })

  it('keeps a limit as it was set, whatever becomes of the object', async () => {
    const rate = { count: 5, per: '1s' as const }
    const limit = { task: 'kept', concurrency: 1, rate }
    await using engine = testEngine({ limits: [limit] })
    limit.concurrency = -1
    rate.count = 0
    const state = engine.limits.list()[0]
    expect(state).toMatchObject({ concurrency: 1, rate: { count: 5 } })
  })

  it('gives a copy, which changes nothing', async () => {
    await using engine = testEngine({ limits: [{ task: 'copied', concurrency: 1 }] })
    const listed = engine.limits.list()
    if (listed[0] !== undefined) Object.assign(listed[0], { concurrency: 5, held: 7 })
    expect(engine.limits.list()).toEqual([{ task: 'copied', concurrency: 1, held: 0, waiting: 0 }])
  })
})

describe('a limit on a runner of another kind', () => {
  it('holds there, too, and a run that was granted a slot keeps it while the runner has no room', async () => {
    await using engine = testEngine({ limits: [{ task: 'staged', concurrency: 2 }] })
    const runner = new StagedRunner({ room: false })
    const gauge = new Gauge()
    const staged = task('staged', gauge.body)
    const run = flow({ name: 'stage', taskRunner: runner }, () => waitAll(staged.map(['a', 'b', 'c'])))()
    await quiet()
    expect([runner.queued, counts(engine)]).toEqual([2, '2/1'])
    runner.room = true
    runner.start()
    expect((await outcomeOf(engine, run)).state).toBe('Completed')
    expect([gauge.most, counts(engine)]).toEqual([2, '0/0'])
  })

  it('holds where a runner begins a body in the very call in which it is given it', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 2 },
        { task: 'leaf', concurrency: 1 },
      ],
    })
    const hasty: TaskRunner = {
      name: 'hasty',
      mode: 'parallel',
      createPool: ({ reports }) => ({
        lends: false,
        assign: (assignment) => {
          if (!reports.started(assignment)) return
          const finish = (value: unknown): void => reports.finished(assignment, { value })
          const returned = assignment.invoke()
          if (returned instanceof Promise) void returned.then(finish)
          else finish(returned)
        },
        stop: () => undefined,
        lend: () => undefined,
        reclaim: (_assignment, resume) => resume(),
        close: async () => undefined,
      }),
    }
    const gauge = new Gauge()
    const quick = task('leaf', (name: string) => {
      gauge.begun.push(name)
      return name
    })
    const outer = task('outer', async (name: string) => {
      const leaves = ['1', '2'].map((n) => quick(`${name}${n}`))
      return (await Promise.all(leaves)).join()
    })
    const run = flow({ name: 'hastes', taskRunner: hasty }, () => outer.map(['a', 'b', 'c', 'd']))()
    await quiet()
    expect(await or(engine.clock, run)).toEqual(['a1,a2', 'b1,b2', 'c1,c2', 'd1,d2'])
    expect([gauge.begun.toSorted(), counts(engine)]).toEqual([
      ['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2'],
      '0/0 0/0',
    ])
  })
})
