import { currentFlowRun, flow, memoryJournal, task } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, delayed, forever, later, or, pass, rawHistory, recovered, silent } from './support.ts'

const waits = task('waits', forever)

/** A flow run that was paused when its engine was closed. */
async function pausedRun(lives: Lives, name: string): Promise<string> {
  const first = lives.start({ logger: silent })
  const run = first
    .run(
      flow(name, async () => {
        await waits()
      }),
    )
    .ignore()
  await rest()
  await run.pause()
  await first.close()
  return run.id
}

describe('a flow run that is parked', () => {
  it('and resumed while the end of a task run is being written keeps it, and runs it once', async () => {
    const lives = new Lives()
    const { clock } = lives
    let life = 1
    let bodies = 0
    let slow = 0
    const effect = task('effect', async () => {
      bodies++
      if (life === 1) await forever()
      await later(clock, 10)
    })
    const step = task('step', () => 'a')
    const other = task('other', () => 1)
    const path = flow('path', async () => {
      const future = effect()
      if (life === 2) {
        await later(clock, 25)
        await other()
      }
      await step()
      await future
    })
    const first = lives.start({ logger: silent })
    first.run(path).ignore()
    await rest()
    await first.close()
    life = 2
    bodies = 0
    const journal = delayed(lives.journal, clock, { append: () => slow })
    await using second = lives.start({ journal, logger: silent })
    const run = await recovered(second)
    while (bodies === 0) await rest()
    slow = 40
    await pass(clock, 32)
    life = 3
    for (let times = 0; times < 8; times++) {
      void run.resume()
      await pass(clock, 5)
    }
    await pass(clock, 500)
    const history = await rawHistory(lives.journal, run.id)
    const ends = history.filter((entry) => entry.startsWith('effect#5'))
    expect([bodies, ends, history.at(-1)]).toEqual([
      1,
      ['effect#5:Completed'],
      expect.stringMatching(/^path.*Completed/),
    ])
  })
})

describe('a recovered flow run that is paused', () => {
  it('numbers its transitions without gaps when it is resumed and cancelled at once', async () => {
    const lives = new Lives()
    const id = await pausedRun(lives, 'resumed-and-cancelled')
    const reads: number[] = []
    const journal = delayed(lives.journal, lives.clock, { read: () => reads.shift() ?? 0 })
    await using second = lives.start({ journal, logger: silent })
    const run = await recovered(second)
    await pass(lives.clock, 30)
    reads.push(1, 60)
    void run.resume()
    void run.cancel()
    await pass(lives.clock, 200)
    const history = (await rawHistory(lives.journal, id)).filter((entry) => entry.startsWith('waits#'))
    const numbers = history.map((entry) => Number(/#(\d+):/.exec(entry)?.[1]))
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  })

  it('is cancelled once when it is cancelled twice', async () => {
    const lives = new Lives()
    const id = await pausedRun(lives, 'cancelled-twice')
    const journal = delayed(lives.journal, lives.clock, { read: () => 5, append: () => 10 })
    await using second = lives.start({ journal, logger: silent })
    const run = await recovered(second)
    void run.cancel()
    await pass(lives.clock, 2)
    void run.cancel()
    await pass(lives.clock, 150)
    const history = await rawHistory(lives.journal, id)
    expect(history.filter((entry) => /^waits#\d+:Cancelled$/.test(entry))).toHaveLength(1)
  })

  it('is not poisoned, however often it is paused and resumed over restarts', async () => {
    const lives = new Lives()
    const first = lives.start()
    const started = abandoned(first.run(flow('restarted', forever)))
    await rest()
    await started.pause()
    await first.close()
    for (let restart = 0; restart < 5; restart++) {
      await using next = lives.start()
      const run = await recovered(next)
      void run.wait().catch(() => undefined)
      await run.resume()
      await rest()
      expect([restart, run.state.name]).toEqual([restart, 'Running'])
      await run.pause()
      await rest()
    }
  })
})

describe('a flow run that is paused while its retry is prepared', () => {
  it('goes on when it is resumed', async () => {
    const clock = virtualClock()
    const journal = delayed(memoryJournal(), clock, { read: () => 20, append: () => 5 })
    await using engine = testEngine({ clock, journal, strictValues: false })
    const one = task('one', () => 1)
    const retries = flow({ name: 'retries', retries: 1 }, async () => {
      await one()
      if (currentFlowRun().attempt === 1) throw new Error('first attempt')
      return 'done'
    })
    const run = engine.run(retries).ignore()
    while (run.state.name !== 'Retrying') await pass(clock, 1)
    await clock.run(run.pause())
    await pass(clock, 60)
    await clock.run(run.resume())
    const value = await or(clock, run, 500)
    expect([run.state.name, value]).toEqual(['Completed', 'done'])
  })
})
