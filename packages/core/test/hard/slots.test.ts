import { ConcurrentTaskRunner, flow, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, later, or } from './support.ts'

describe('the slots of a task runner', () => {
  it('are free again where the flow run of a sleeping task went to another engine', async () => {
    const lives = new Lives()
    const taskRunner = new ConcurrentTaskRunner({ limit: 1 })
    const nap = task('nap', async () => {
      await sleep(1000)
    })
    const quick = task('quick', () => 'quick')
    const naps = flow({ name: 'naps', taskRunner }, async () => nap())
    const hurries = flow({ name: 'hurries', taskRunner }, async () => quick())
    await using first = lives.start()
    const lost = abandoned(first.run(naps))
    await rest()
    await using second = lives.start()
    await second.recover()
    await rest()
    // The first engine notices.
    void lost.pause()
    await rest()
    expect(await or(lives.clock, first.run(hurries))).toBe('quick')
  })

  it('are no more than the limit after bodies that have returned waited for runs', async () => {
    await using engine = testEngine({ strictValues: false })
    const { clock } = engine
    let now = 0
    let most = 0
    const busy = task('busy', async () => {
      most = Math.max(most, ++now)
      await later(clock, 5)
      now--
    })
    const child = task('child', () => later(clock, 20))
    const outer = task('outer', () => {
      const future = child()
      void later(clock, 8).then(() => void future.then(() => undefined))
    })
    const crowd = flow({ name: 'crowd', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => {
      for (let times = 0; times < 3; times++) await outer()
      await Promise.all(Array.from({ length: 8 }, () => busy()))
    })
    await engine.settle(engine.run(crowd))
    expect(most).toBe(1)
  })
})
