/** What watchers see of runs whose engine is lost, and which another one goes on with. */
import { flow, receive, sleep, task, waitForInput, type Flow, type Transition } from '@troupe/core'
import { checkTransitions, crashingJournal, type TestEngine } from '@troupe/core/testing'
import type { Observable } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { pass } from '../hard/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { all, code, errorOf } from './support.ts'

const step = task('step', async (key: string) => {
  await sleep(10)
  return key
})
const below = flow('below', (key: string) => step(key))
const four = flow('four', async () => {
  const seen: string[] = []
  for (const key of ['a', 'b', 'c', 'd']) seen.push(await step(key))
  return seen
})
const asks = flow('asks', async () => {
  const first = await step('before')
  return [first, await waitForInput(), await step('after')]
})
const hears = flow('hears', async () => [await step('before'), await receive('go'), await step('after')])

/** Keeps what a watcher sees, and whether it is over. */
function watch(transitions: Observable<Transition>): { seen: Transition[]; over: () => boolean } {
  const seen: Transition[] = []
  let over = false
  transitions.subscribe({ next: (transition) => seen.push(transition), complete: () => (over = true) })
  return { seen, over: () => over }
}

/** All that the journal of a flow run has in the end. */
async function whole(engine: TestEngine, flowRunId: string): Promise<Transition[]> {
  const transitions = await engine.settle(all(engine.watch({ flowRunId })))
  checkTransitions(transitions)
  return transitions
}

const names = (transitions: readonly Transition[], runName: string): string =>
  transitions.flatMap((transition) => (transition.runName === runName ? [transition.to.name] : [])).join(' ')

describe('a watcher in the engine that goes on with a run', () => {
  it('sees what the lost engine wrote, then what comes, with no gap and no repeat', async () => {
    const lives = new Lives()
    const id = await lives.runUntilDeath(8, four)
    await using engine = lives.start()
    const { seen, over } = watch(engine.watch({ flowRunId: id }))
    await rest()
    expect(names(seen, 'four')).toBe('Pending Running')
    expect(over()).toBe(false)
    await lives.recoverToEnd(engine)
    await rest()
    expect(names(seen, 'four')).toBe('Pending Running Recovering Running Completed')
    expect(over()).toBe(true)
    checkTransitions(seen)
    expect(seen).toEqual(await whole(engine, id))
    expect(new Set(seen.map(({ node }) => node))).toEqual(new Set(['node-1', 'node-2']))
  })

  it('goes on from any position where the one before it stopped', async () => {
    const lives = new Lives()
    const id = await lives.runUntilDeath(9, four)
    await using engine = lives.start()
    await lives.recoverToEnd(engine)
    const transitions = await whole(engine, id)
    const last = transitions.at(-1)?.position ?? 0
    for (let from = 0; from <= last + 1; from++) {
      const later = await engine.settle(all(engine.watch({ flowRunId: id }, { from })))
      expect(later).toEqual(transitions.filter(({ position }) => position > from))
    }
  })

  it('goes on from a position while the run is recovered', async () => {
    for (const after of [5, 8, 11]) {
      const lives = new Lives()
      const id = await lives.runUntilDeath(after, four)
      const early = lives.start()
      const before = watch(early.watch({ flowRunId: id }))
      await rest()
      await early.close()
      const from = before.seen.at(-1)?.position ?? 0
      await using engine = lives.start()
      const behind = watch(engine.watch({ flowRunId: id }, { from }))
      await lives.recoverToEnd(engine)
      await rest()
      expect([...before.seen, ...behind.seen]).toEqual(await whole(engine, id))
      expect(behind.over()).toBe(true)
    }
  })

  it('pulls at its own pace across the recovery', async () => {
    const lives = new Lives()
    const id = await lives.runUntilDeath(8, four)
    await using engine = lives.start()
    const seen: Transition[] = []
    const pulling = (async () => {
      for await (const transition of engine.watch({ flowRunId: id })) {
        seen.push(transition)
        await rest()
      }
    })()
    await lives.recoverToEnd(engine)
    await engine.settle(pulling)
    expect(seen).toEqual(await whole(engine, id))
  })

  it('of one task run sees it recover and end, and no other', async () => {
    const lives = new Lives()
    const id = await lives.runUntilDeath(11, four)
    await using engine = lives.start()
    const known = watch(engine.watch({ flowRunId: id }))
    await rest()
    const taskRun = known.seen.find(({ runName }) => runName === 'step-2')
    const { seen, over } = watch(engine.watch({ runId: taskRun?.runId ?? '' }))
    await lives.recoverToEnd(engine)
    await rest()
    expect(names(seen, 'step-2')).toBe('Pending Running Recovering Running Completed')
    expect(seen).toHaveLength(5)
    expect(over()).toBe(true)
  })

  it('of a handle that was looked up before the run is recovered sees all of it', async () => {
    const lives = new Lives()
    const id = await lives.runUntilDeath(8, four)
    await using engine = lives.start()
    const found = await engine.get(id)
    const { seen, over } = watch(found?.transitions ?? engine.transitions)
    const states: string[] = []
    found?.states.subscribe(({ name }) => states.push(name))
    await lives.recoverToEnd(engine)
    await rest()
    expect(seen).toEqual(await whole(engine, id))
    expect(over()).toBe(true)
    expect(states.join(' ')).toBe('Pending Running Recovering Running Completed')
  })

  it('of all runs sees those of subflows and new ones, each in its order', async () => {
    const lives = new Lives()
    const two = flow('two', async () => Promise.all([below('x'), below('y')]))
    await lives.runUntilDeath(14, two)
    await using engine = lives.start()
    const { seen } = watch(engine.watch())
    const { run } = await lives.recoverToEnd(engine)
    const other = engine.run(four)
    await engine.settle(other)
    await rest()
    checkTransitions(seen)
    const ids = [...new Set(seen.map(({ flowRunId }) => flowRunId))]
    expect(ids).toHaveLength(4)
    expect(ids).toEqual(expect.arrayContaining([run.id, other.id]))
    for (const id of ids) {
      expect(seen.filter(({ flowRunId }) => flowRunId === id)).toEqual(await whole(engine, id))
    }
  })
})

describe('a watcher in another engine than the one that owns a run', () => {
  it('follows it through the loss of its owner', async () => {
    const lives = new Lives()
    await using watching = lives.start()
    const journal = crashingJournal(lives.journal, { afterEntries: 8 })
    await using dying = lives.start({ journal })
    const run = dying.run(four).handle
    const missing = await errorOf(watching.settle(all(watching.watch({ flowRunId: run.id }))))
    expect(missing).toEqual(code('RUN_NOT_FOUND'))
    await rest()
    const { seen, over } = watch(watching.watch({ flowRunId: run.id }))
    await lives.clock.run(journal.death)
    await rest()
    const before = seen.length
    await using engine = lives.start()
    await lives.recoverToEnd(engine)
    await rest()
    expect(seen.length).toBeGreaterThan(before)
    expect(seen).toEqual(await whole(engine, run.id))
    expect(over()).toBe(true)
  })
})

describe('a watcher of a run that waits', () => {
  const waiting: Record<
    string,
    { readonly flow: Flow<[], unknown>; readonly suspendAfter: '1m' | false; readonly rests: string }
  > = {
    'for an input': { flow: asks, suspendAfter: false, rests: 'Pending Running Paused' },
    'for an input, suspended': { flow: asks, suspendAfter: '1m', rests: 'Pending Running Paused Suspended' },
    'for a signal, suspended': { flow: hears, suspendAfter: '1m', rests: 'Pending Running Paused Suspended' },
  }
  it.each(Object.entries(waiting))(
    '%s is not over, and sees it go on in the next engine',
    async (_, { flow: started, suspendAfter, rests }) => {
      const lives = new Lives()
      const first = lives.start({ suspendAfter })
      const { handle } = first.run(started)
      const before = watch(first.watch({ flowRunId: handle.id }))
      await rest()
      await pass(lives.clock, 300_000)
      expect(names(before.seen, started.name)).toBe(rests)
      expect(before.over()).toBe(false)
      await first.close()
      await rest()

      await using engine = lives.start({ suspendAfter })
      const from = before.seen.at(-1)?.position ?? 0
      const { seen, over } = watch(engine.watch({ flowRunId: handle.id }, { from }))
      const run = (await engine.recover())[0]
      await rest()
      expect(seen).toEqual([])
      expect(over()).toBe(false)
      if (started === asks)
        await engine.settle(run?.resume('yes') ?? Promise.reject(new RangeError('no run')))
      else await run?.signal('go', 'yes')
      expect(await engine.settle(run?.result() ?? Promise.resolve())).toEqual(['before', 'yes', 'after'])
      await rest()
      expect([...before.seen, ...seen]).toEqual(await whole(engine, handle.id))
      expect(over()).toBe(true)
    },
  )

  it('until somebody resumes it, whose engine is lost, sees each of it once', async () => {
    const lives = new Lives()
    const first = lives.start()
    const { handle } = first.run(four)
    const before = watch(first.watch({ flowRunId: handle.id }))
    await rest()
    await first.settle(handle.pause())
    await first.close()
    await using engine = lives.start()
    const { seen, over } = watch(engine.watch({ flowRunId: handle.id }))
    const run = (await engine.recover())[0]
    await rest()
    expect(seen.slice(0, before.seen.length)).toEqual(before.seen)
    expect(run?.state.name).toBe('Paused')
    expect(over()).toBe(false)
    await run?.resume()
    await engine.settle(Promise.resolve(run?.wait()))
    await rest()
    expect(seen).toEqual(await whole(engine, handle.id))
    expect(over()).toBe(true)
  })
})
