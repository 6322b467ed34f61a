import { flow, memoryJournal, sleep, task } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, cutOff, delayed, hang, or, recovered } from './support.ts'

describe('a subflow that has a key', () => {
  it('gives its value again when it is called after it has ended', async () => {
    await using engine = testEngine({ strictValues: false })
    const ship = flow('ship', (x: string) => x).with({ idempotencyKey: 'k' })
    const twice = flow('ship-twice', async () => [await ship('a'), await ship('a')])
    expect(await or(engine.clock, engine.run(twice), 400)).toEqual(['a', 'a'])
  })

  it('and failed does not keep the flow that calls it, which has retries, from its end', async () => {
    await using engine = testEngine({ strictValues: false })
    const ship = flow('ship-fails', () => {
      throw new Error('no')
    })
    const retries = flow({ name: 'ship-again', retries: 1 }, async () => ship.with({ idempotencyKey: 'k' })())
    expect(await or(engine.clock, engine.run(retries), 400)).not.toBe(hang)
  })

  it('is replayed where it is called twice at once', async () => {
    const lives = new Lives()
    const step = task('step', (x: string) => x)
    const once = flow('both', async (x: string) => {
      await sleep(5)
      return x
    }).with({ idempotencyKey: 'k' })
    const twice = flow('both-twice', async () => {
      const values = await Promise.all([once('x'), once('x')])
      await step('1')
      await sleep(10)
      return values
    })
    const first = lives.start()
    abandoned(first.run(twice))
    await rest()
    lives.clock.advance(6)
    await rest()
    await first.close()
    await using second = lives.start()
    const run = await recovered(second)
    await or(lives.clock, run.result())
    expect(run.state.name).toBe('Completed')
  })
})

describe('a flow run that is found by its key', () => {
  it('stands for its value as an argument, also when it has ended', async () => {
    await using engine = testEngine({ strictValues: false })
    const once = flow('found', (x: string) => x).with({ idempotencyKey: 'k' })
    const shout = flow('shout', (x: string) => `${x}!`)
    await engine.settle(engine.run(once, 'a'))
    expect(await or(engine.clock, engine.run(shout, engine.run(once, 'a')), 400)).toBe('a!')
  })

  it('runs its tasks once, also where the journal answers late', async () => {
    const clock = virtualClock()
    const journal = delayed(memoryJournal(), clock, { read: () => 5, append: () => 5 })
    await using engine = testEngine({ clock, journal, strictValues: false })
    let bodies = 0
    const counts = task('counts', () => {
      bodies++
    })
    const once = flow('late-answers', async () => {
      await counts()
      return 1
    }).with({ idempotencyKey: 'k' })
    await engine.settle(engine.run(once))
    await engine.settle(engine.run(once))
    expect(bodies).toBe(1)
  })
})

describe('starting by the key of a run whose engine was closed', () => {
  const once = flow('slow-once', async (x: string) => {
    await sleep(10)
    return x
  }).with({ idempotencyKey: 'k' })

  it('gives its value where it is recovered afterwards', async () => {
    const lives = new Lives()
    await cutOff(lives, (engine) => engine.run(once, 'a'))
    await using second = lives.start()
    const again = second.run(once, 'a')
    await second.recover()
    expect(await or(lives.clock, again)).toBe('a')
  })

  it('gives its value while it is being recovered', async () => {
    const lives = new Lives()
    await cutOff(lives, (engine) => engine.run(once, 'a'))
    await using second = lives.start()
    const recovering = second.recover()
    await Promise.resolve()
    const again = second.run(once, 'a')
    await recovering
    expect(await or(lives.clock, again)).toBe('a')
  })

  it('gives its value where it was recovered and is running', async () => {
    const lives = new Lives()
    await cutOff(lives, (engine) => engine.run(once, 'a'))
    await using second = lives.start()
    await second.recover()
    await rest()
    expect(await or(lives.clock, second.run(once, 'a'))).toBe('a')
  })
})
