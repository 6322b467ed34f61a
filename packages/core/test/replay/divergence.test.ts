import { flow, random, sleep, task } from '@troupe/core'
import { forgetDefinitions } from './forget.ts'
import { describe, expect, it } from 'vitest'
import { histories, Lives, rest } from './lives.ts'

/** What a process that never loaded the module does not know. */
const done: string[] = []
const step = task('step', (key: string) => {
  done.push(key)
  return key
})
const waits = task('waits', () => new Promise(() => undefined))

/** What the code is at the moment: a deploy between two lives changes it. */
let code: 'old' | 'new' = 'old'

const path = flow('path', async () => {
  const first = await step(code === 'old' ? 'a' : 'b')
  return [first, await step('c')]
})
/** Claim, root, Running, `step` submitted, running and completed, `step` submitted. */
const afterFirstStep = 7

describe('a body that takes another path than its journal', () => {
  it('is parked, and nothing that it called is executed', async () => {
    const lives = new Lives()
    code = 'old'
    await lives.runUntilDeath(afterFirstStep, path)
    code = 'new'
    done.length = 0
    await using engine = lives.start()
    const run = await lives.recover(engine)
    await rest()
    expect(run.state).toMatchObject({ type: 'PAUSED', name: 'Paused' })
    expect(run.state.message).toContain('made call 1, task step, which its journal does not have')
    expect(done).toEqual([])
  })

  it('goes on when the old code is back and it is resumed', async () => {
    const lives = new Lives()
    code = 'old'
    const id = await lives.runUntilDeath(afterFirstStep, path)
    code = 'new'
    await using engine = lives.start()
    const [run] = await engine.recover()
    await rest()
    expect(run?.state.name).toBe('Paused')
    code = 'old'
    await run?.resume()
    expect(await lives.clock.run(run?.result() ?? Promise.reject(new RangeError('no run')))).toEqual([
      'a',
      'c',
    ])
    expect(await histories(engine, id)).toMatchObject({
      path: 'Pending Running Recovering Running Paused Recovering Running Completed',
      'step-1': 'Pending Running Completed',
    })
  })

  it('can be cancelled while it is parked, with all that it had submitted', async () => {
    const lives = new Lives()
    code = 'old'
    const beside = flow('beside', async () => {
      waits().ignore()
      return step(await step(code === 'old' ? 'a' : 'b'))
    })
    const id = await lives.runUntilDeath(10, beside)
    code = 'new'
    await using engine = lives.start()
    const [run] = await engine.recover()
    await rest()
    expect(run?.state.name).toBe('Paused')
    expect(await lives.clock.run(run?.cancel('gone') ?? Promise.resolve(undefined))).toMatchObject({
      type: 'CANCELLED',
    })
    const steps = await histories(engine, id)
    expect(steps['waits-1']).toMatch(/Cancelled$/)
    expect(steps['beside']).toMatch(/Paused Cancelling Cancelled$/)
  })

  it('goes on with new runs where the flow says so', async () => {
    const lives = new Lives()
    code = 'old'
    const anew = flow({ name: 'anew', onDivergence: 'run' }, async () => [
      await step(code === 'old' ? 'a' : 'b'),
      await step('c'),
    ])
    await lives.runUntilDeath(afterFirstStep, anew)
    code = 'new'
    await using engine = lives.start()
    const { run } = await lives.recoverToEnd(engine)
    expect(await run.result()).toEqual(['b', 'c'])
  })

  it('goes on with new runs where it has another version', async () => {
    const lives = new Lives()
    const versions = {
      '1': flow({ name: 'versioned', version: '1' }, async () => [await step('a'), await step('c')]),
    }
    await lives.runUntilDeath(afterFirstStep, versions['1'])
    // The deploy: the process that recovers knows version 2 only.
    forgetDefinitions('flow:versioned')
    flow({ name: 'versioned', version: '2' }, async () => [await step('z'), await step('c')])
    await using engine = lives.start()
    const { run } = await lives.recoverToEnd(engine)
    expect(await run.result()).toEqual(['z', 'c'])
  })

  it('is parked when it ends before it has made the calls whose ends are recorded', async () => {
    const lives = new Lives()
    code = 'old'
    const short = flow('short', async () => (code === 'old' ? [await step('a'), await step('b')] : []))
    await lives.runUntilDeath(9, short)
    code = 'new'
    await using engine = lives.start()
    const run = await lives.recover(engine)
    await rest()
    expect(run.state).toMatchObject({ name: 'Paused' })
    expect(run.state.message).toContain('ended, and has not made 2 of the calls')
  })

  it('is parked when it waits for something else and does not call again, instead of hanging for ever', async () => {
    const lives = new Lives()
    code = 'old'
    const stuck = flow('stuck', async () => {
      if (code === 'new') await new Promise(() => undefined)
      return step(await step('a'))
    })
    await lives.runUntilDeath(afterFirstStep, stuck)
    code = 'new'
    await using engine = lives.start()
    const run = await lives.recover(engine)
    await rest()
    expect(run.state.name).toBe('Running')
    lives.clock.advance(60_000)
    await rest()
    expect(run.state).toMatchObject({ name: 'Paused' })
    expect(run.state.message).toContain('has not made the call that led to the end of task step')
  })

  it('is noticed by what it draws, too', async () => {
    const lives = new Lives()
    code = 'old'
    const draws = flow('draws-other', async () => {
      const x = code === 'old' ? random() : (await sleep(1), 1)
      return step(`${x > 2}`)
    })
    await lives.runUntilDeath(7, draws)
    code = 'new'
    await using engine = lives.start()
    const run = await lives.recover(engine)
    await rest()
    lives.clock.advance(60_000)
    await rest()
    expect(run.state).toMatchObject({ name: 'Paused' })
  })
})

describe('a recorded run that is not called again', () => {
  it('is cancelled when the body has ended, and a note says so', async () => {
    const lives = new Lives()
    code = 'old'
    const drops = flow('drops', async () => {
      if (code === 'old') await waits()
      return 'ended'
    })
    const id = await lives.runUntilDeath(5, drops)
    code = 'new'
    await using engine = lives.start()
    const { run } = await lives.recoverToEnd(engine)
    expect(await run.result()).toBe('ended')
    const steps = await histories(engine, id)
    expect(steps['waits-1']).toMatch(/Cancelled$/)
    expect(steps['drops']).toMatch(/Completed$/)
    const notes = (await lives.journal.read(id, 1, 1000)).filter(({ kind }) => kind === 'note')
    expect(notes).toMatchObject([{ note: 'not called again' }])
  })
})
