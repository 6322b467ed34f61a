import { flow, inputs, memoryJournal, random, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { atFirst, counts } from '../behaviour/limit-support.ts'
import { deferred, quiet, testEngine } from '../behaviour/support.ts'
import { virtualClock } from '@troupe/core/testing'
import { abandoned, delayed, forever, or } from './support.ts'

describe('a slot of a limit', () => {
  it('is not taken for a run that was cancelled while its flow run was paused', async () => {
    await using engine = testEngine({ limits: [{ task: 'limited', concurrency: 1 }] })
    const gate = deferred()
    const limited = task('limited', () => 'done')
    const pausing = flow('pauses', async () => {
      await gate.promise
      const future = limited().ignore()
      gates.push(future)
      await future.wait()
    })
    const gates: { cancel(): unknown }[] = []
    const run = abandoned(engine.run(pausing))
    await quiet()
    await run.pause()
    gate.resolve()
    await quiet()
    void gates[0]?.cancel()
    await quiet()
    await run.resume()
    await or(engine.clock, run.wait())
    expect([run.state.name, counts(engine)]).toEqual(['Completed', '0/0'])
    expect(await or(engine.clock, engine.run(flow('next', () => limited())))).toBe('done')
  })

  it('is not taken for a run that was cancelled while its journal was read for a retry', async () => {
    const clock = virtualClock()
    let slow = 0
    const journal = delayed(memoryJournal(), clock, { read: () => slow })
    await using engine = testEngine({ journal, clock, limits: [{ task: 'limited', concurrency: 1 }] })
    const inner = task('inner', () => 1)
    const limited = task({ name: 'limited', retries: 1 }, async () => {
      await atFirst(
        async () => {
          await inner()
          slow = 100
          throw new Error('again')
        },
        () => undefined,
      )()
      return 'done'
    })
    const run = abandoned(engine.run(flow('retries', () => limited())))
    await engine.settle(new Promise<void>((resolve) => clock.at(clock.now() + 50, resolve)))
    void run.cancel()
    await or(clock, run.wait(), 5_000)
    await engine.settle(new Promise<void>((resolve) => clock.at(clock.now() + 500, resolve)))
    slow = 0
    expect([run.state.name, counts(engine)]).toEqual(['Cancelled', '0/0'])
  })

  it('does not make runs wait for each other through a result that both need', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const gate = deferred()
    const cached = task({ name: 'cached', cache: inputs(), tags: ['db'] }, (n: number) => n)
    const holder = task({ name: 'holder', tags: ['db'] }, async () => {
      await gate.promise
      return cached(1)
    })
    const both = flow('both', async () => {
      const held = holder()
      await sleep(1)
      const leader = cached(1)
      await sleep(1)
      gate.resolve()
      return Promise.allSettled([held, leader])
    })
    const run = abandoned(engine.run(both))
    expect(await or(engine.clock, run)).toMatchObject([
      { status: 'rejected', reason: { code: 'LIMIT_DEADLOCK' } },
      { status: 'fulfilled', value: 1 },
    ])
  })

  it('is waited for behind a sibling that a rate holds up, though an ancestor has one', async () => {
    await using engine = testEngine({
      limits: [{ tag: 'db', concurrency: 10, rate: { count: 1, per: '1s' } }],
    })
    const child = task('child', (n: number) => n)
    const parent = task({ name: 'parent', tags: ['db'] }, () => Promise.all([child(1), child(2), child(3)]))
    const run = abandoned(engine.run(flow('family', () => parent())))
    expect(await or(engine.clock, run)).toEqual([1, 2, 3])
  })

  it('is waited for behind a sibling that needs another limit, too, though an ancestor has one', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'db', concurrency: 10 },
        { tag: 'cpu', concurrency: 1 },
      ],
    })
    const busy = task({ name: 'busy', tags: ['cpu'] }, () => sleep(100))
    const child = task('child', (n: number) => n)
    const parent = task({ name: 'parent', tags: ['db'] }, () =>
      Promise.all([child.with({ tags: ['cpu'] })(1), child(2)]),
    )
    const run = abandoned(
      engine.run(
        flow('family', async () => {
          const other = busy()
          const found = await parent()
          await other
          return found
        }),
      ),
    )
    expect(await or(engine.clock, run)).toEqual([1, 2])
  })

  it('comes as soon as a rate allows it that was raised meanwhile', async () => {
    await using engine = testEngine({ limits: [{ task: 'rated', rate: { count: 1, per: '1h' } }] })
    const rated = task('rated', () => engine.clock.now())
    const twice = flow('twice', () => Promise.all([rated(), rated()]))
    const run = abandoned(engine.run(twice))
    await quiet()
    engine.limits.set({ task: 'rated', rate: { count: 1, per: '1s' } })
    const [first = 0, second = 0] = (await or(engine.clock, run)) as number[]
    expect(second - first).toBe(1000)
  })

  it('is not used up by runs of a paused flow run, where it is one of a rate', async () => {
    await using engine = testEngine({ limits: [{ task: 'rated', rate: { count: 1, per: '1h' } }] })
    const rated = task('rated', () => engine.clock.now())
    const gate = deferred()
    const waits = flow('waits', async () => {
      await gate.promise
      return rated()
    })
    const paused = abandoned(engine.run(waits))
    await quiet()
    await paused.pause()
    gate.resolve()
    await quiet()
    const at = engine.clock.now()
    expect(await or(engine.clock, engine.run(flow('other', () => rated())))).toBe(at)
    await or(engine.clock, paused.cancel())
  })
})

describe('closing an engine', () => {
  it('leaves no timer behind for a run whose caller waits for its journal', async () => {
    const clock = virtualClock()
    let append = 0
    const journal = delayed(memoryJournal(), clock, { append: () => append })
    const engine = testEngine({ journal, clock })
    const patient = task({ name: 'patient', waitTimeout: '1h' }, () => 1)
    const drawing = flow('draws', async () => {
      await sleep(1)
      append = 1e9
      random()
      await patient()
    })
    abandoned(engine.run(drawing))
    await or(clock, forever(), 50)
    await engine.close()
    expect(clock.waiting).toBe(1)
  })
})
