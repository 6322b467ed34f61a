import { ConcurrentTaskRunner, currentFlowRun, flow, sleep, task, withTags } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { counts } from '../behaviour/limit-support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { abandoned, cutOff, or, pass, recovered } from './support.ts'

describe('a recovered run that waits for its turn', () => {
  const step = task('step', (n: number) => n)

  it('is not taken for one that diverged: a flow run that waits for a slot of its flow', async () => {
    const lives = new Lives()
    const long = flow('long-0', async (n: number) => {
      await step(n)
      await sleep('1m')
      return n
    })
    const first = lives.start()
    abandoned(first.run(long, 1))
    abandoned(first.run(long, 2))
    await rest()
    await first.close()
    await using second = lives.start({ limits: [{ flow: 'long-0', concurrency: 1 }] })
    const runs = await second.recover()
    const ended = Promise.all(runs.map((run) => run.result()))
    expect(await or(lives.clock, ended)).toEqual([1, 2])
    expect(counts(second)).toBe('0/0')
  })

  it('is not taken for one that diverged: a task run that waits for a slot of its tag', async () => {
    const lives = new Lives()
    const outer = task({ name: 'outer-1', tags: ['outer'] }, async (n: number) => {
      await step.with({ tags: [] })(n)
      await sleep('1m')
      return n
    })
    const both = flow('both-1', () => Promise.all([outer(1), outer(2)]))
    await cutOff(lives, (engine) => engine.run(both))
    await using second = lives.start({ limits: [{ task: 'outer-1', concurrency: 1 }] })
    const run = await recovered(second)
    expect(await or(lives.clock, run.result())).toEqual([1, 2])
  })

  it('is not taken for one that diverged: a task run that waits for a slot of its runner', async () => {
    const lives = new Lives()
    const taskRunner = new ConcurrentTaskRunner({ limit: 1 })
    const busy = task('busy-2', async () => {
      await new Promise<void>((resolve) => void lives.clock.at(lives.clock.now() + 60_000, resolve))
    })
    const outer = task('outer-2', async () => {
      await step(1)
      await sleep('1s')
      return 'outer'
    })
    const both = flow({ name: 'both-2', taskRunner }, async () => {
      const first = outer()
      await sleep(10)
      const second = busy()
      return [await first, await second]
    })
    await cutOff(lives, (engine) => engine.run(both))
    await using second = lives.start()
    const other = abandoned(second.run(flow({ name: 'other-2', taskRunner }, () => busy())))
    await rest()
    const run = await recovered(second)
    expect(await or(lives.clock, run.result())).toEqual(['outer', undefined])
    await or(lives.clock, other)
  })

  it('is not taken for one that diverged: a task run of a flow run that is paused', async () => {
    const lives = new Lives()
    const outer = task('outer-3', async () => {
      await step(1)
      await sleep('1m')
      return 'outer'
    })
    const slow = flow('slow-3', async () => outer())
    await cutOff(lives, (engine) => engine.run(slow))
    await using second = lives.start({ limits: [{ task: 'outer-3', concurrency: 1 }] })
    const run = await recovered(second)
    await run.pause()
    await pass(lives.clock, 30_000)
    await run.resume()
    expect(await or(lives.clock, run.result())).toEqual('outer')
  })
})

describe('the time limit of a recovered flow run', () => {
  it('stands still while the flow run is paused, also where it was recovered in that state', async () => {
    const lives = new Lives()
    const slow = flow({ name: 'slow-4', timeout: '1m' }, async () => {
      await sleep('20s')
      return 'done'
    })
    const first = lives.start()
    const started = abandoned(first.run(slow))
    await rest()
    await started.pause()
    await first.close()
    await using second = lives.start()
    const run = await recovered(second)
    await pass(lives.clock, 3_000_000)
    await run.resume()
    expect(await or(lives.clock, run.result())).toBe('done')
  })

  it('goes on while its host is lost', async () => {
    const lives = new Lives()
    const slow = flow({ name: 'slow-5', timeout: '1m' }, async () => {
      await sleep('10m')
    })
    await cutOff(lives, (engine) => engine.run(slow))
    await pass(lives.clock, 50_000)
    await using second = lives.start()
    const run = await recovered(second)
    const before = lives.clock.now()
    expect(await or(lives.clock, run.result())).toBe('rejected RUN_TIMED_OUT')
    expect(lives.clock.now() - before).toBe(10_000)
  })
})

describe('the tags of a recovered flow run', () => {
  it('are those that it was started with', async () => {
    const lives = new Lives()
    const tagged = flow('tagged-6', async () => {
      await sleep(10)
      return currentFlowRun().tags
    })
    await cutOff(lives, (engine) => withTags(['night'], () => engine.run(tagged)))
    await using second = lives.start()
    expect(await or(lives.clock, (await recovered(second)).result())).toEqual(['night'])
  })

  it('count for limits as before', async () => {
    const lives = new Lives()
    let most = 0
    let now = 0
    const work = task('work-7', async (wait: number) => {
      most = Math.max(most, ++now)
      await sleep(wait)
      now--
    })
    const tagged = flow('tagged-7', async () => {
      await sleep(10)
      await Promise.all([work(5), work(6)])
    })
    await cutOff(lives, (engine) => engine.run(tagged.with({ tags: ['db'] })))
    await using second = lives.start({ limits: [{ tag: 'db', concurrency: 1 }] })
    await or(lives.clock, (await recovered(second)).result())
    expect(most).toBe(1)
  })
})
