import { currentTaskRun, flow, sleep, task, waitAll } from '@troupe/core'
import { crashingJournal } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { abandoned, or, silent } from '../hard/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { counts, fails, Gauge } from './limit-support.ts'
import { all, statesOf } from './support.ts'

describe('limits in a process that takes over', () => {
  it('a run that held a slot goes on with one, and one that waited waits again: never more than the limit', async () => {
    const lives = new Lives()
    let gauge = new Gauge()
    const limits = [
      { task: 'slot-of-lives', concurrency: 1 },
      { flow: 'flow-of-lives', concurrency: 2 },
    ] as const
    const slot = task('slot-of-lives', (name: string) => gauge.body(name, '1m'))
    const livesOn = flow('flow-of-lives', (name: string) => [slot(`${name}1`), slot(`${name}2`)])
    const first = lives.start({ limits, logger: silent })
    for (const name of ['a', 'b', 'c']) abandoned(first.run(livesOn, name))
    await rest()
    expect(counts(first)).toBe('1/3 2/1')
    await first.close()
    gauge = new Gauge()
    await using second = lives.start({ limits })
    const runs = await second.recover()
    await rest()
    expect(counts(second)).toBe('1/3 2/1')
    expect(await lives.clock.run(Promise.all(runs.map((run) => run.result())))).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
      ['c1', 'c2'],
    ])
    expect([gauge.most, counts(second)]).toEqual([1, '0/0 0/0'])
    const own = (await all(second.watch({ flowRunId: runs[0]?.id ?? '' }))).filter(
      ({ kind }) => kind === 'task',
    )
    expect(own.filter(({ runName }) => runName === 'slot-of-lives-2').map(({ to }) => to.name)).toEqual([
      'Pending',
      'AwaitingConcurrencySlot',
      'Running',
      'Completed',
    ])
  })

  it('a run goes on where the limit is gone, or is new', async () => {
    const lives = new Lives()
    const limits = [{ task: 'slot-gone', concurrency: 1 }]
    let gauge = new Gauge()
    const slot = task('slot-gone', (name: string) => gauge.body(name, '1m'))
    const goes = flow('goes', () => [slot('a'), slot('b'), slot('c')])
    const first = lives.start({ limits, logger: silent })
    abandoned(first.run(goes))
    await rest()
    await first.close()
    gauge = new Gauge()
    const second = lives.start({ logger: silent })
    void lives.recover(second).then((run) => run.wait().catch(() => undefined))
    await rest()
    expect(gauge.now).toBe(3)
    await second.close()
    gauge = new Gauge()
    await using third = lives.start({ limits })
    const { run } = await lives.recoverToEnd(third)
    expect(await run.result()).toEqual(['a', 'b', 'c'])
    expect([gauge.most, counts(third)]).toEqual([1, '0/0'])
  })

  it('a run that waited for its retry waits for the rest of the time, and then for a slot', async () => {
    const lives = new Lives()
    const limits = [{ task: 'slot-retried', concurrency: 1 }]
    const begun: number[] = []
    const start = lives.clock.now()
    const slot = task({ name: 'slot-retried', retries: 1, retryDelay: '10m' }, () => {
      begun.push(lives.clock.now() - start)
      if (begun.length === 1) throw new Error('later')
      return 'done'
    })
    const holds = task('slot-retried', () => sleep('1h'))
    const tries = flow('tries-lives', () => slot())
    const first = lives.start({ limits, logger: silent })
    abandoned(first.run(tries))
    await rest()
    await first.close()
    await using second = lives.start({ limits })
    const run = await lives.recover(second)
    const other = second.run(flow('holds-lives', () => holds()))
    await rest()
    expect(counts(second)).toBe('1/0')
    expect(await lives.clock.run(run.result())).toBe('done')
    await other
    expect(begun).toEqual([0, 3_600_000])
    expect(await statesOf(second, run)).toEqual(['Pending', 'Running', 'Recovering', 'Running', 'Completed'])
    expect(counts(second)).toBe('0/0')
  })

  it('all goes on after a death at any entry, and no slot is lost', async () => {
    let gauge = new Gauge()
    const limits = [
      { tag: 'dies', concurrency: 1 },
      { flow: 'dies', concurrency: 1 },
    ] as const
    const step = task({ name: 'dies-step', tags: ['dies'], retries: 1 }, async (name: string) => {
      await gauge.body(name, '1m')
      if (name === 'b' && currentTaskRun().attempt === 1) throw new Error('again')
      return name
    })
    const below = flow('dies', (name: string) => step(name))
    const dies = flow('dies-above', async () => [
      await step('a'),
      ...(await Promise.all([below('b'), below('c'), step('d')])),
    ])
    /** What becomes of the run when its process dies then; undefined where it ends before. */
    const afterDeath = async (afterEntries: number): Promise<unknown> => {
      const lives = new Lives()
      const journal = crashingJournal(lives.journal, { afterEntries })
      await using dying = lives.start({ journal, limits, logger: silent })
      const run = abandoned(dying.run(dies))
      await lives.clock.run(Promise.race([journal.death, run.wait()]))
      if (!journal.crashed) return undefined
      await rest()
      gauge = new Gauge()
      await using next = lives.start({ limits, logger: silent })
      // With its last entry in the journal there is nothing to go on with.
      const [unfinished] = await next.recover()
      const ended = unfinished ?? (await next.get(run.id))
      const result = await or(lives.clock, ended?.result() ?? fails())
      return { result, tooMany: gauge.most > 1, counts: counts(next) }
    }
    const good = { result: ['a', 'b', 'c', 'd'], tooMany: false, counts: '0/0 0/0' }
    let deaths = 0
    for (let found = await afterDeath(2); found !== undefined; found = await afterDeath(2 + deaths)) {
      expect([deaths, found]).toEqual([deaths, good])
      deaths++
    }
    expect(deaths).toBeGreaterThan(20)
  })

  it('a run may be cancelled while it is Recovering and waits for its slot', async () => {
    const lives = new Lives()
    const limits = [{ flow: 'recovers', concurrency: 1 }]
    const recovers = flow('recovers', () => sleep('1h'))
    const first = lives.start({ logger: silent })
    for (let n = 0; n < 3; n++) abandoned(first.run(recovers))
    await rest()
    await first.close()
    await using second = lives.start({ limits })
    const runs = await second.recover()
    await rest()
    expect(counts(second)).toBe('1/2')
    void runs[1]?.cancel()
    expect(counts(second)).toBe('1/1')
    await lives.clock.run(Promise.all(runs.map((run) => run.wait())))
    expect(runs.map(({ state }) => state.name)).toEqual(['Completed', 'Cancelled', 'Completed'])
    expect(counts(second)).toBe('0/0')
  })

  it('a run that waited for a slot has all of its waitTimeout again; one that was running has no such limit', async () => {
    const lives = new Lives()
    const limits = [{ task: 'slot-timed', concurrency: 1 }]
    const slot = task({ name: 'slot-timed', waitTimeout: '1m' }, () => sleep('40s'))
    const timed = flow('timed-lives', async () => {
      const futures = [slot(), slot(), slot()]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })
    const first = lives.start({ limits, logger: silent })
    abandoned(first.run(timed))
    await rest()
    lives.clock.advance(30_000)
    await rest()
    await first.close()
    await using second = lives.start({ limits })
    const { run } = await lives.recoverToEnd(second)
    // The second waits until the first, whose sleep goes on where it was, has ended; the third for both.
    expect(await run.result()).toEqual(['Completed', 'Completed', 'Completed'])
    expect([counts(second), lives.clock.waiting]).toEqual(['0/0', 0])
  })
})
