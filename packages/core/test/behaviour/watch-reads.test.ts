/** A watch reads the journal to its end once; what comes then it is told. */
import { createEngine, flow, memoryJournal, receive, task, type Journal, type Transition } from '@troupe/core'
import { expect, it } from 'vitest'

const step = task('step', (n: number) => n)
const long = flow('long', async (n: number) => {
  await receive('go')
  for (let i = 0; i < n; i++) await step(i)
  return n
})

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A journal that counts how often it is read, and asked for a summary. */
function counted(): { journal: Journal; asked: () => number } {
  const journal = memoryJournal()
  let asked = 0
  const [read, summary] = [journal.read.bind(journal), journal.summary.bind(journal)]
  journal.read = (...args) => {
    asked++
    return read(...args)
  }
  journal.summary = (flowRunId) => {
    asked++
    return summary(flowRunId)
  }
  return { journal, asked: () => asked }
}

it.each([['a watch'], ['a handle in another engine']])(
  '%s that has come to the end of a journal reads it no more, however much is committed',
  async (who) => {
    const { journal, asked } = counted()
    await using owner = createEngine({ journal, suspendAfter: false })
    await using other = createEngine({ journal })
    const run = owner.run(long, 50)
    while ((await journal.summary(run.id)) === undefined) await turn()
    const told: Transition[] = []
    let waits = (): void => undefined
    const waiting = new Promise<void>((resolve) => (waits = resolve))
    const watching = other.watch({ flowRunId: run.id }).forEach((transition) => {
      told.push(transition)
      if (transition.to.name === 'Running') waits()
    })
    await waiting
    const handle = await other.get(run.id)
    const ended = who === 'a watch' ? watching : handle?.result()
    for (let turns = 0; turns < 50; turns++) await turn()
    const before = asked()
    await run.signal('go')
    expect(await run).toBe(50)
    await ended
    await watching
    expect(told.at(-1)?.to.name).toBe('Completed')
    expect(asked() - before).toBeLessThan(10)
  },
)
