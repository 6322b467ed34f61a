import { exponentialBackoff, flow, inputs, memoryJournal, registerValue, sleep, task } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { atFirst, counts, Gauge } from '../behaviour/limit-support.ts'
import { deferred, quiet, testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, cutOff, delayed, forever, later, or, pass, rawHistory, recovered } from './support.ts'
import { StagedRunner } from '../behaviour/staged-runner.ts'
import { asyncSchema } from './options-support.ts'

describe('a cached call', () => {
  it('does not wait for a run whose own runs wait for a slot of its caller', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const gate = deferred()
    const query = task({ name: 'query', tags: ['db'] }, (n: number) => n)
    const report = task({ name: 'report', cache: inputs() }, async (n: number) => {
      await gate.promise
      return query(n)
    })
    const holder = task({ name: 'holder', tags: ['db'] }, async () => {
      const future = report(1)
      await sleep(1)
      gate.resolve()
      return future
    })
    const both = flow('both', async () => {
      const first = report(1)
      const second = holder()
      return (await Promise.allSettled([first, second])).map(({ status }) => status)
    })
    const run = abandoned(engine.run(both))
    expect(await or(engine.clock, run)).toEqual(['fulfilled', 'rejected'])
    expect(counts(engine)).toBe('0/0')
  })

  it('runs where its result can be read but not written again', async () => {
    class Connection {
      readonly host: string
      constructor(host: string) {
        this.host = host
      }
    }
    registerValue(Connection, {
      name: 'Connection',
      encode: ({ host }) => host,
      decode: (host) => ({ query: () => host }) as unknown as Connection,
    })
    await using engine = testEngine()
    let calls = 0
    const connect = task({ name: 'connect', cache: inputs() }, () => {
      calls++
      return new Connection('h')
    })
    const twice = flow('twice', async () => {
      const one = connect()
      const other = connect()
      await one.wait()
      await other.wait()
      await connect().wait()
      return calls
    })
    expect(await or(engine.clock, engine.run(twice))).toBe(3)
  })
})

describe('an attempt that is lost before its body began', () => {
  it.each([true, false])('is assigned again (crashed: %s)', async (crashed) => {
    const taskRunner = new StagedRunner({ room: false })
    await using engine = testEngine()
    const lost = task({ name: 'lost', retries: 1, retryOnCrash: true }, () => 'done')
    const run = abandoned(engine.run(flow({ name: 'loses', taskRunner }, () => lost())))
    await quiet()
    taskRunner.loseQueued({ crashed })
    await quiet()
    taskRunner.open()
    expect(await or(engine.clock, run)).toBe('done')
  })
})

describe('a body that is to begin when the journal says so', () => {
  it('does not begin where its time limit came first', async () => {
    const clock = virtualClock()
    let append = 0
    const journal = delayed(memoryJournal(), clock, { append: () => append })
    await using engine = testEngine({ journal, clock })
    let bodies = 0
    const once = task({ name: 'once', onHostLost: 'crash', timeout: '1s' }, () => {
      bodies++
    })
    const late = flow('late', async () => {
      await sleep(10)
      append = 5_000
      await once().wait()
    })
    const run = abandoned(engine.run(late))
    await or(clock, run.wait())
    expect(bodies).toBe(0)
  })
})

describe('delays that are too great or too many to count', () => {
  it('are no reason to give up a retry', async () => {
    await using engine = testEngine()
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const backoff = exponentialBackoff(0, { factor: 10 })
    expect([backoff(1), backoff(400), exponentialBackoff(1, { factor: 10 })(400)]).toEqual([0, 0, 3_600_000])
    expect(errors).toEqual([])
  })

  it('make no deadline that never comes', async () => {
    await using engine = testEngine()
    const tried = task(
      { name: 'tried', retries: 1, retryDelay: () => Number.MAX_VALUE, retryJitter: 1 },
      (): never => {
        throw new Error('again')
      },
    )
    const run = abandoned(engine.run(flow('tries', () => tried().wait())))
    await quiet()
    expect(engine.clock.waiting).toBe(1)
    await or(engine.clock, run.cancel())
  })
})

describe('a time limit of waiting', () => {
  it('counts the wait for the runner of a retry at once', async () => {
    const { ConcurrentTaskRunner } = await import('@troupe/core')
    await using engine = testEngine()
    const gauge = new Gauge()
    const tried = task(
      { name: 'tried', retries: 1, waitTimeout: 100 },
      atFirst(
        () => {
          throw new Error('again')
        },
        () => 'done',
      ),
    )
    const busy = task({ name: 'busy', priority: 1 }, async () => {
      await later(engine.clock, 5_000)
      return gauge.now
    })
    const crowd = flow({ name: 'crowd', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      const future = tried()
      const other = busy()
      const state = await future.wait()
      await other
      return state.name
    })
    expect(await or(engine.clock, engine.run(crowd))).toBe('TimedOut')
  })
})

describe('a parked flow run', () => {
  it('is not written to by what it left behind', async () => {
    const lives = new Lives()
    let life = 1
    const gate = deferred()
    let checks = 0
    const checked = task(
      {
        name: 'checked-late',
        parameters: asyncSchema(async () => {
          // The first of the second life ends late, and badly.
          if (life === 2 && ++checks === 1) {
            await gate.promise
            throw new Error('too late')
          }
          if (life === 1) await forever()
        }),
      },
      (n: unknown) => n,
    )
    const step = task('step-before-checked', () => 'step')
    const takes = flow('takes-another-path', async () => {
      const future = checked(1)
      if (life === 2) {
        await forever()
        return 'never'
      }
      await step()
      return future
    })
    const id = await cutOff(lives, (engine) => engine.run(takes))
    life = 2
    await using second = lives.start()
    const run = await recovered(second)
    await pass(lives.clock, 11_000)
    expect(run.state.name).toBe('Paused')
    life = 3
    await run.resume()
    await rest()
    gate.resolve()
    expect(await or(lives.clock, run.result())).toBe(1)
    await rest()
    const history = await rawHistory(lives.journal, id)
    expect(history.filter((entry) => entry.startsWith('checked-late'))).toEqual([
      'checked-late#1:Pending',
      'checked-late#2:Running',
      'checked-late#3:Completed',
    ])
  })
})

describe('a subflow with an id in a flow that is tried again', () => {
  it.each([true, false])('ends as it did before, and frees its slot (completes: %s)', async (completes) => {
    await using engine = testEngine({ limits: [{ flow: 'keyed', concurrency: 1 }] })
    let bodies = 0
    const keyed = flow('keyed', () => {
      bodies++
      if (!completes) throw new Error('on purpose')
      return 'value'
    })
    let attempts = 0
    const top = flow({ name: 'top', retries: 1, retryDelay: 10 }, async () => {
      attempts++
      const got = await keyed.with({ id: 'the-only' })()
      if (attempts === 1) throw new Error('again')
      return got
    })
    const run = abandoned(engine.run(top))
    expect(await or(engine.clock, run)).toBe(completes ? 'value' : 'rejected on purpose')
    expect([attempts, bodies, counts(engine)]).toEqual([2, 1, '0/0'])
  })

  it('is one run for two starters while it waits for a slot, and while it waits to be tried again', async () => {
    await using engine = testEngine({ limits: [{ flow: 'keyed', concurrency: 1 }] })
    const gate = deferred()
    let bodies = 0
    const holds = flow('keyed', () => gate.promise)
    const keyed = flow({ name: 'keyed', retries: 1, retryDelay: '1m' }, () => {
      if (++bodies === 1) throw new Error('again')
      return 'value'
    }).with({ idempotencyKey: 'k' })
    abandoned(engine.run(holds))
    await quiet()
    const first = abandoned(engine.run(keyed))
    await quiet()
    const second = abandoned(engine.run(keyed))
    gate.resolve()
    await quiet()
    expect(first.state.name).toBe('AwaitingRetry')
    const third = abandoned(engine.run(keyed))
    expect(await or(engine.clock, Promise.all([first, second, third]))).toEqual(['value', 'value', 'value'])
    expect([bodies, counts(engine)]).toEqual([2, '0/0'])
  })
})

describe('a closed engine', () => {
  it('has no timer left, whatever its runs waited for', async () => {
    const engine = testEngine({
      limits: [
        { task: 'slotted', concurrency: 1 },
        { task: 'rated', rate: { count: 1, per: '1h' } },
      ],
    })
    const slotted = task({ name: 'slotted', waitTimeout: '1h', timeout: '2h' }, forever)
    const rated = task({ name: 'rated', waitTimeout: '1h', timeout: '2h' }, forever)
    const cached = task({ name: 'cached', cache: inputs(), waitTimeout: '1h' }, forever)
    const tried = task({ name: 'tried', retries: 1, retryDelay: '1h' }, (): never => {
      throw new Error('again')
    })
    const hangs = flow({ name: 'hangs', timeout: '3h', grace: '1h' }, async () => {
      const calls = [slotted(), slotted(), rated(), rated(), cached(), cached(), tried()]
      await Promise.race([sleep('4h'), ...calls])
    })
    const sub = flow({ name: 'sub', timeout: '3h' }, () => hangs())
    abandoned(engine.run(sub))
    const cancelled = abandoned(engine.run(hangs))
    const paused = abandoned(engine.run(hangs))
    await quiet()
    void cancelled.cancel()
    await paused.pause()
    await quiet()
    expect(engine.clock.waiting).toBeGreaterThan(10)
    await engine.close()
    await quiet()
    expect(engine.clock.waiting).toBe(0)
    expect(counts(engine)).toBe('0/0 0/0')
    expect(engine.health()).toMatchObject({ open: false, liveRuns: 0 })
  })
})
