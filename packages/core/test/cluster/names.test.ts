import { flow, sleep, task, type Transition } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

const add = task('names-add', (a: number, b: number) => a + b)
const slow = flow('names-slow', async (ms: number) => {
  await add(1, 2)
  await sleep(ms)
  return add(3, 4)
})

async function pass({ clock }: ClusterOfTest, ms: number): Promise<void> {
  await clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
}

describe('the flow runs of a node that is there and has not got them', () => {
  it('go on elsewhere where a process has the name of one that was killed, and serves nothing', async () => {
    await using cluster = new ClusterOfTest()
    const first = cluster.start('one')
    cluster.start('server', { serve: { flows: [slow] } })
    const run = first.run(slow.with({ id: 'run' }), 30_000)
    run.ignore()
    await pass(cluster, 100)
    cluster.kill('one')
    // Before anybody has noticed.
    const again = cluster.start('one')
    const handle = await cluster.settle(again.get('run'))
    expect(await cluster.settle(handle!.result())).toBe(7)
    const seen: Transition[] = []
    await cluster.settle(
      (async () => {
        for await (const transition of again.watch({ flowRunId: 'run' })) seen.push(transition)
      })(),
    )
    expect(seen.filter((t) => t.task === 'names-add' && t.to.name === 'Running')).toHaveLength(2)
    expect(seen.at(-1)).toMatchObject({ node: 'server', to: { name: 'Completed' } })
  })

  it('go on where it was cut off, and is there again before another has claimed them', async () => {
    await using cluster = new ClusterOfTest()
    const first = cluster.start('one')
    const run = first.run(slow.with({ id: 'run' }), 30_000)
    await pass(cluster, 100)
    cluster.transport.partition('one')
    await pass(cluster, 2_000)
    cluster.transport.heal('one')
    cluster.start('server', { serve: { flows: [slow] } })
    expect(await cluster.settle(run)).toBe(7)
  })
})

describe('an engine whose node is cut off', () => {
  it('closes', async () => {
    await using cluster = new ClusterOfTest()
    const engine = cluster.start('one', { serve: { flows: [slow] } })
    await pass(cluster, 100)
    cluster.transport.partition('one')
    await pass(cluster, 2_000)
    await cluster.settle(engine.close())
    expect(engine.health()).toMatchObject({ open: false, liveRuns: 0 })
  })
})

describe('an append whose answer is lost', () => {
  it('leaves nothing stalled, be it refused or stored when it is repeated', async () => {
    await using cluster = new ClusterOfTest({ faults: { unanswered: 0.4 } })
    const engines = ['a', 'b', 'c'].map((name) => cluster.start(name))
    const stalled = new Set<string>()
    for (const engine of engines)
      engine.errors.subscribe(() => {
        for (const id of engine.health().stalled) stalled.add(id)
      })
    const ids = Array.from({ length: 10 }, (_, index) => `run-${index}`)
    const values = await cluster.settle(
      Promise.all(ids.flatMap((id) => engines.map((engine) => engine.run(slow.with({ id }), 10)))),
    )
    expect(new Set(values)).toEqual(new Set([7]))
    expect(stalled.size).toBeGreaterThan(0)
    expect(engines.map((engine) => engine.health().stalled)).toEqual([[], [], []])
  })
})
