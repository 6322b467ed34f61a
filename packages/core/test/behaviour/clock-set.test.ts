import { flow, memoryJournal, sleep, task } from '@troupe/core'
import { checkTransitions, virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { all, quiet, testEngine } from './support.ts'

const hour = 3_600_000
const noon = Date.UTC(2026, 0, 1, 12)

/** Starts a run that sleeps for an hour at noon, and loses its engine. */
async function lost(name: string) {
  const journal = memoryJournal()
  const work = task(`works ${name}`, (text: string) => text)
  const sleeps = flow(name, async () => {
    const before = await work('before')
    await sleep('1h')
    return [before, await work('after')]
  })
  const first = testEngine({ journal, clock: virtualClock(noon), node: 'first' })
  const { id } = first.run(sleeps)
  await quiet()
  await first.close()
  return { journal, id }
}

describe('a flow run that is recovered where the clock was set', () => {
  it('back, goes on at the wall time that was recorded', async () => {
    const { journal, id } = await lost('clock set back')
    const clock = virtualClock(noon - 24 * hour)
    await using engine = testEngine({ journal, clock, node: 'second' })
    const [run] = await engine.recover()
    expect(await engine.settle(Promise.resolve(run?.result()))).toEqual(['before', 'after'])
    expect(clock.now()).toBe(noon + hour)
    const transitions = await engine.settle(all(engine.watch({ flowRunId: id })))
    expect(() => checkTransitions(transitions)).not.toThrow()
  })

  it('forward, goes on at once', async () => {
    const { journal } = await lost('clock set forward')
    const clock = virtualClock(noon + 24 * hour)
    await using engine = testEngine({ journal, clock, node: 'second' })
    const [run] = await engine.recover()
    expect(await engine.settle(Promise.resolve(run?.result()))).toEqual(['before', 'after'])
    expect(clock.now()).toBe(noon + 24 * hour)
  })
})
