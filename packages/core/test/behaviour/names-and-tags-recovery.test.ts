import {
  currentFlowRun,
  currentTaskRun,
  flow,
  sleep,
  task,
  withTags,
  type RunHandle,
  type Transition,
} from '@troupe/core'
import type { TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { histories, Lives, rest } from '../replay/lives.ts'
import { all, quiet } from './support.ts'

/** The names in a stream of transitions. */
const named = (transitions: readonly Transition[]): string[] =>
  transitions.map(({ seq, task: of, flow: above, runName }) => `${of ?? above}#${seq} ${runName}`)

/** What is in the journal of a flow run by now. */
async function collected(engine: TestEngine, flowRunId: string): Promise<Transition[]> {
  const found: Transition[] = []
  const subscription = engine.watch({ flowRunId }).subscribe((transition) => found.push(transition))
  await quiet(60)
  subscription.unsubscribe()
  return found
}

describe('the names of runs', () => {
  const one = task('one', async (n: number) => {
    await sleep(1)
    return n
  })
  const step = task({ name: 'step', runName: 'step {0}' }, (n: number) => n)
  const below = flow({ name: 'below', runName: 'below {0}' }, async (n: number) => await step(n))
  const above = flow({ name: 'names-above', runName: (n: number) => `above ${n}` }, async (n: number) => {
    await step(n)
    await step(one(n))
    await below(one(n))
    await sleep('1m')
    return await step(n + 1)
  })

  /** Everything that shows names of a flow run. */
  async function shown(engine: TestEngine, run: RunHandle<unknown>) {
    const watched = await engine.settle(all(engine.watch({ flowRunId: run.id })))
    const [again, listed] = [await engine.get(run.id), (await engine.list()).find(({ id }) => id === run.id)]
    const own = await engine.settle(all(run.transitions))
    return {
      watched: named(watched),
      own: named(own),
      handles: [run.runName, again?.runName, listed?.runName],
    }
  }

  it('after recovery, where those that were made are not made again', async () => {
    const lives = new Lives()
    let made = 0
    const counted = task(
      { name: 'counted', runName: (n: number) => `${n}, ${++made}` },
      async (n: number) => {
        await sleep(n)
        return n
      },
    )
    const dies = flow({ name: 'names-and-dies', runName: () => `flow, ${++made}` }, async () => {
      await counted(1)
      await counted(one(1))
      return await counted(100_000)
    })
    await using first = lives.start()
    const cut = first.run(dies)
    void cut.wait().catch(() => undefined)
    await rest()
    lives.clock.advance(10)
    await rest()
    lives.clock.advance(10)
    await rest()
    lives.clock.advance(10)
    await rest()
    const before = named(await collected(first, cut.id))
    expect(made).toBe(4)
    await first.close()
    await using second = lives.start()
    const live: Transition[] = []
    second.transitions.subscribe((transition) => live.push(transition))
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toBe(100_000)
    expect(made).toBe(4)
    const { watched, own, handles } = await shown(second, run)
    expect(watched.slice(0, before.length)).toEqual(before)
    expect(own).toEqual(watched)
    expect(named(live)).toEqual(watched.slice(-live.length))
    expect(handles).toEqual(['flow, 1', 'flow, 1', 'flow, 1'])
    expect(Object.keys(await histories(second, run.id))).toContain('1, 3')
  })

  it('wherever the process dies', async () => {
    for (let at = 2; at < 24; at++) {
      const lives = new Lives()
      const dead = lives.runUntilDeath(at, above, 1)
      const id = await dead.catch(() => undefined)
      if (id === undefined) break
      await using engine = lives.start()
      const live: Transition[] = []
      engine.transitions.subscribe((transition) => live.push(transition))
      const { run } = await lives.recoverToEnd(engine)
      expect(await run.result()).toBe(2)
      const { watched, own } = await shown(engine, run)
      expect(own).toEqual(watched)
      const mine = named(live.filter(({ flowRunId }) => flowRunId === id))
      expect(mine).toEqual(watched.slice(-mine.length))
      expect(watched.filter((name) => /#[3-9] step-\d/.test(name))).toEqual([])
    }
  })
})

const tagsOf = task('tags-of', () => currentTaskRun().tags)

describe('tags', () => {
  it('are the same after recovery, for runs that are submitted then, too', async () => {
    const lives = new Lives()
    const tagged = flow({ name: 'tagged-and-dies', tags: ['own'] }, async () => {
      const before = await tagsOf()
      await sleep('1h')
      return [before, await tagsOf(), currentFlowRun().tags]
    })
    await using first = lives.start()
    const cut = first.run(tagged)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    await using second = lives.start()
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toEqual([['own'], ['own'], ['own']])
  })

  it('that a call gave are the same after recovery, too', async () => {
    const lives = new Lives()
    const called = flow({ name: 'called-and-dies', tags: ['own'] }, async () => {
      await sleep('1h')
      return [await tagsOf(), currentFlowRun().tags]
    })
    await using first = lives.start()
    const cut = withTags(['scope'], () => called.with({ engine: first, tags: ['call'] })())
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    await using second = lives.start()
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toEqual([
      ['call', 'scope'],
      ['call', 'scope'],
    ])
  })
})
