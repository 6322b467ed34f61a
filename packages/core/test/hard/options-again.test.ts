import {
  ConcurrentTaskRunner,
  createEngine,
  currentFlowRun,
  currentTaskRun,
  flow,
  inputs,
  sleep,
  task,
  type FlowRun,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { counts } from '../behaviour/limit-support.ts'
import { code, deferred, quiet, testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, cutOff, delayed, forever, later, or, pass, recovered, silent } from './support.ts'
import { StagedRunner } from '../behaviour/staged-runner.ts'
import { asyncSchema } from './options-support.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a run that is postponed by a pause', () => {
  it('has one body, also where its time to wait was over before it was its turn', async () => {
    await using engine = testEngine({ strictValues: false })
    const bodies = new Map<number, number>()
    const many = task({ name: 'many', waitTimeout: 10 }, async (n: number) => {
      bodies.set(n, (bodies.get(n) ?? 0) + 1)
      await turn()
    })
    const started: FlowRun<unknown>[] = []
    const crowd = flow('crowd', async () => {
      const futures = many.map(Array.from({ length: 6 }, (_, n) => n))
      void started[0]?.pause()
      engine.clock.advance(10)
      await Promise.all(futures)
    })
    const run = abandoned(engine.run(crowd))
    started.push(run)
    await quiet(30)
    await run.resume()
    await or(engine.clock, run)
    expect(run.state.name).toBe('Completed')
    expect([...bodies.values()].filter((times) => times !== 1)).toEqual([])
  })
})

describe('an attempt that is lost before its body began', () => {
  it('is not timed out by its first wait when its body has begun after all', async () => {
    await using engine = testEngine()
    const runner = new StagedRunner({ room: false })
    const waits = task({ name: 'waits', waitTimeout: 1_000 }, () =>
      later(engine.clock, 5_000).then(() => 'done'),
    )
    const run = abandoned(engine.run(flow({ name: 'loses', taskRunner: runner }, () => waits())))
    await pass(engine.clock, 500)
    runner.loseQueued()
    await quiet()
    runner.open()
    expect(await or(engine.clock, run)).toBe('done')
  })

  it('does not use up its rate', async () => {
    await using engine = testEngine({ limits: [{ task: 'rated', rate: { count: 2, per: '1s' } }] })
    const runner = new StagedRunner()
    const rated = task('rated', () => 'done')
    const held = deferred()
    const first = task({ name: 'rated' }, () => held.promise)
    const run = abandoned(engine.run(flow({ name: 'loses', taskRunner: runner }, () => first())))
    await pass(engine.clock, 2_000)
    // Its host is lost; the next attempt is assigned, and lost twice before it begins.
    runner.room = false
    runner.lose({ crashed: false })
    await quiet()
    runner.loseQueued()
    await quiet()
    runner.loseQueued()
    await quiet()
    runner.open()
    held.resolve()
    await or(engine.clock, run)
    const at = engine.clock.now() + 2_000
    await pass(engine.clock, 2_000)
    const both = flow('both', () => Promise.all([rated(), rated()]))
    await or(engine.clock, engine.run(both))
    expect(engine.clock.now()).toBe(at)
  })
})

describe('a body that was lost, and whose runs go on until its time limit', () => {
  it.each([
    ['onHostLost: crash', false, { onHostLost: 'crash', retries: 1 }],
    ['retryOnCrash: false', true, { retries: 1 }],
  ] as const)('does not run again against its options (%s)', async (_, crashed, options) => {
    await using engine = testEngine()
    const runner = new StagedRunner()
    let bodies = 0
    const child = flow({ name: 'child', grace: 5 }, forever)
    const outer = task({ name: 'outer', timeout: '1s', ...options }, async () => {
      bodies++
      child().ignore()
      await forever()
    })
    const run = abandoned(engine.run(flow({ name: 'loses', taskRunner: runner }, () => outer())))
    await quiet()
    runner.lose({ crashed })
    await or(engine.clock, run, 60_000)
    expect([run.state.type, bodies]).toEqual(['FAILED', 1])
  })
})

describe('limits that are lowered', () => {
  it('end a run that would then wait for ever, when that is certain', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 2 }] })
    const child = task('child', () => 1)
    const parent = task({ name: 'parent', tags: ['db'] }, () => child())
    const other = task({ name: 'other', tags: ['db'] }, () => later(engine.clock, 1_000))
    const both = flow('both', async () => {
      const rest = other()
      const outcome = await parent().then(
        () => 'done',
        (error: unknown) => (error as { code: string }).code,
      )
      await rest
      return outcome
    })
    const run = abandoned(engine.run(both))
    await quiet()
    engine.limits.set({ tag: 'db', concurrency: 1 })
    expect(await or(engine.clock, run)).toBe('LIMIT_DEADLOCK')
  })

  it('are not given twice in one list', () => {
    const limits = [
      { tag: 'db', concurrency: 2 },
      { tag: 'db', rate: { count: 1, per: '1s' as const } },
    ]
    expect(() => createEngine({ limits })).toThrow(code('INVALID_OPTION'))
  })
})

describe('a flow run that is paused between two attempts', () => {
  it('leaves no timer behind', async () => {
    await using engine = testEngine()
    const gate = deferred()
    let hold = false
    const schema = asyncSchema(async () => {
      if (hold) await gate.promise
    })
    const tried = flow({ name: 'tried', retries: 1, timeout: '1h', parameters: schema }, () => {
      hold = true
      if (currentFlowRun().attempt === 1) throw new Error('again')
      return 'done'
    })
    const run = abandoned(engine.run(tried))
    await quiet()
    await run.pause()
    await run.resume()
    gate.resolve()
    expect(await or(engine.clock, run, 1_000)).toBe('done')
    await pass(engine.clock, 1_000)
    expect(engine.clock.waiting).toBe(0)
  })
})

describe('a recovered body', () => {
  const step = task('step', (n: number) => n)

  it('is not taken for one that diverged while the journal does not answer', async () => {
    const lives = new Lives()
    const slow = flow('steps-then-sleeps', async () => {
      await step(1)
      await sleep(10)
      return step(2)
    })
    await cutOff(lives, (engine) => engine.run(slow))
    await using second = lives.start({
      journal: delayed(lives.journal, lives.clock, { append: () => 15_000 }),
      logger: silent,
    })
    const run = await recovered(second)
    expect(await or(lives.clock, run.result())).toBe(2)
  })

  it('is not taken for one that diverged while it waits for its slot again', async () => {
    const lives = new Lives()
    const taskRunner = new ConcurrentTaskRunner({ limit: 1 })
    let life = 1
    const busy = task('busy-for-long', () => (life === 1 ? 0 : later(lives.clock, 60_000)))
    const outer = task('outer-of-steps', async () => {
      await step(1)
      await step(2)
      if (life === 1) await forever()
      return 'outer'
    })
    const both = flow({ name: 'both-of-slots', taskRunner }, async () => {
      const first = outer()
      await sleep(10)
      return first
    })
    const id = await cutOff(lives, (engine) => engine.run(both))
    life = 2
    await using second = lives.start()
    const run = await recovered(second)
    expect(run.id).toBe(id)
    const other = abandoned(second.run(flow({ name: 'other-of-slots', taskRunner }, () => busy())))
    expect(await or(lives.clock, run.result())).toBe('outer')
    await or(lives.clock, other)
  })

  it('of a subflow that was paused gets its arguments, and keeps its time limit and its name', async () => {
    const lives = new Lives()
    const children: FlowRun<unknown>[] = []
    const sub = flow({ name: 'sub-limited', timeout: '1m', runName: 'of {0}' }, async (n: number) => {
      await sleep('30s')
      return [n, currentFlowRun().runName]
    })
    const top = flow('top-of-limited', async () => {
      const child = sub(step(7))
      children.push(child)
      return child
    })
    const first = lives.start()
    abandoned(first.run(top))
    await rest()
    await pass(lives.clock, 10_000)
    await children[0]?.pause()
    await first.close()
    await pass(lives.clock, 600_000)
    await using second = lives.start()
    const run = await recovered(second)
    await rest()
    await pass(lives.clock, 600_000)
    await children.at(-1)?.resume()
    expect(await or(lives.clock, run.result())).toEqual([7, 'of 7'])
  })
})

describe('a clean-up', () => {
  it('gets through where the run that it belongs to has the only slot and waits for it', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const ran: string[] = []
    const clean = task('clean', () => void ran.push('clean')).with({ cleanup: true })
    const holds = task({ name: 'holds', tags: ['db'] }, async () => {
      try {
        await new Promise((_, reject) => currentTaskRun().signal.addEventListener('abort', reject))
      } finally {
        await clean().then(
          () => ran.push('done'),
          (error: unknown) => ran.push((error as { code: string }).code),
        )
      }
    })
    const run = abandoned(engine.run(flow('cleans', () => holds())))
    await quiet()
    await or(engine.clock, run.cancel())
    expect(run.state.name).toBe('Cancelled')
    expect(ran).toEqual(['LIMIT_DEADLOCK'])
    expect(counts(engine)).toBe('0/0')
  })
})

describe('a flow run that is taken over while the first engine starts a subflow', () => {
  it('has its subflow where it is itself', async () => {
    const lives = new Lives()
    const inner = task('inner-of-taken', () => later(lives.clock, 1_000).then(() => 'value'))
    const sub = flow('sub-of-taken', () => inner())
    const top = flow('top-of-taken', async () => {
      const child = sub()
      // The first engine notices here.
      await sleep(500)
      return child
    })
    await using first = lives.start({
      journal: delayed(lives.journal, lives.clock, { append: () => 20 }),
      logger: silent,
    })
    const run = abandoned(first.run(top))
    // Until the journal of the flow run knows its subflow, whose own is on its way.
    const hasChild = async (): Promise<boolean> =>
      (await lives.journal.read(run.id, 1, 100)).some(({ kind }) => kind === 'child')
    while (!(await hasChild())) await pass(lives.clock, 1)
    // The second reads that the subflow has no journal yet, and acts on it when it has one.
    let reads = 0
    await using second = lives.start({
      journal: delayed(lives.journal, lives.clock, { read: () => (++reads === 2 ? 100 : 0) }),
      logger: silent,
    })
    const taken = await recovered(second)
    expect(await or(lives.clock, taken.result())).toBe('value')
    expect(await or(lives.clock, run)).toBe('value')
  })

  it('has its subflow where it is itself, also where the engine before claimed that late', async () => {
    const lives = new Lives()
    const inner = task('inner-of-late', () => later(lives.clock, 1_000).then(() => 'value'))
    const sub = flow('sub-of-late', () => inner())
    const top = flow('top-of-late', async () => {
      const child = sub()
      await sleep(500)
      return child
    })
    const id = await cutOff(lives, (engine) => engine.run(top))
    await using second = lives.start({
      journal: delayed(lives.journal, lives.clock, { append: () => 20 }),
      logger: silent,
    })
    await recovered(second)
    // Until its body runs there again; what it claims of the subflow is on its way.
    const runsAgain = async (): Promise<boolean> =>
      (await lives.journal.read(id, 1, 100)).filter((entry) => 'to' in entry && entry.to === 'Running')
        .length > 1
    while (!(await runsAgain())) await pass(lives.clock, 1)
    await using third = lives.start({
      journal: delayed(lives.journal, lives.clock, { append: () => 30 }),
      logger: silent,
    })
    const taken = await recovered(third)
    expect(await or(lives.clock, taken.result())).toBe('value')
  })
})

describe('a cached result whose maker ended when its flow run was lost', () => {
  it('is made anew by those who wait for it, and by later calls', async () => {
    const lives = new Lives()
    const gate = deferred()
    const cached = task({ name: 'cached-and-lost', cache: inputs() }, (n: number) =>
      gate.promise.then(() => n),
    )
    const calls = flow('calls-cached', (n: number) => cached(n))
    await using first = lives.start({ logger: silent })
    const lost = abandoned(first.run(calls, 1))
    await rest()
    await using second = lives.start({ logger: silent })
    await second.recover()
    await rest()
    const waits = abandoned(first.run(calls, 1))
    await rest()
    // The first engine notices that it lost the flow run when it writes that the cached task has completed.
    gate.resolve()
    expect(await or(lives.clock, lost)).toBe(1)
    expect(await or(lives.clock, waits)).toBe(1)
    expect(await or(lives.clock, first.run(calls, 1))).toBe(1)
  })
})
