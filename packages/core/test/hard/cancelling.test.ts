import { flow, task, type FlowRun } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { deferred, quiet, testEngine } from '../behaviour/support.ts'
import { histories, Lives, rest } from '../replay/lives.ts'
import { abandoned, cutOff, forever, or, recovered } from './support.ts'

const waits = task('waits', forever)

describe('cancelling a recovered flow run', () => {
  it('right after it was recovered ends all that it had submitted', async () => {
    const lives = new Lives()
    const sub = flow('sub', async () => {
      await waits()
    })
    const beside = flow('beside', async () => {
      const future = sub()
      await waits()
      await future
    })
    const id = await cutOff(lives, (engine) => engine.run(beside))
    await using second = lives.start()
    const run = await recovered(second)
    await or(lives.clock, run.cancel())
    await rest()
    expect(await lives.journal.list({ ended: false, limit: 10 })).toEqual([])
    expect((await histories(second, id))['waits-1']).toMatch(/Cancelled$/)
  })

  it('reaches its subflow, though that is paused', async () => {
    const lives = new Lives()
    const children: FlowRun<void>[] = []
    const sub = flow('paused-sub', async () => {
      await waits()
    })
    const caller = flow('caller', async () => {
      const child = sub()
      children.push(child)
      await child
    })
    const first = lives.start()
    abandoned(first.run(caller))
    await rest()
    await children[0]?.pause()
    await first.close()
    const id = children[0]?.id ?? 'none'
    await using second = lives.start()
    const run = await recovered(second)
    await rest()
    await or(lives.clock, run.cancel())
    await rest()
    expect((await histories(second, id))['waits-1']).toMatch(/Cancelled$/)
  })
})

describe('cancelling a flow run with clean-up', () => {
  it('starts the clean-up that was submitted while it was paused', async () => {
    await using engine = testEngine()
    const gate = deferred()
    const ran: string[] = []
    const clean = task('clean', () => void ran.push('clean')).with({ cleanup: true })
    const pausing = flow('cleans-while-paused', async () => {
      await gate.promise
      clean().ignore()
    })
    const run = engine.run(pausing).ignore()
    await quiet()
    await run.pause()
    gate.resolve()
    await quiet()
    await or(engine.clock, run.cancel())
    expect([run.state.name, ran]).toEqual(['Cancelled', ['clean']])
  })

  it('ends it after the grace, though its body has returned and the clean-up never settles', async () => {
    await using engine = testEngine()
    const stubborn = task({ name: 'stubborn', grace: 10 }, forever).with({ cleanup: true })
    const returned = flow({ name: 'returned', grace: 10 }, async () => {
      stubborn().ignore()
    })
    const run = engine.run(returned).ignore()
    await quiet()
    await or(engine.clock, run.cancel())
    expect(run.state.name).toBe('Cancelled')
  })
})
