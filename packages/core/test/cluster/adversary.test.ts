import { flow, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

const add = task('add', (a: number, b: number) => a + b)
const slow = flow('slow', async (ms: number) => {
  await add(1, 2)
  await sleep(ms)
  return add(3, 4)
})

/** Lets time pass. */
function pass({ clock }: ClusterOfTest, ms: number): Promise<void> {
  return clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
}

describe('a flow run whose node is killed and comes back under its name', () => {
  it.each([
    ['at once', 0],
    ['after others have noticed', 60_000],
  ])('goes on at another node that serves its flow: %s', async (_, ms) => {
    await using cluster = new ClusterOfTest()
    const server = cluster.start('server', { serve: { flows: [slow] } })
    const starter = cluster.start('starter')
    const run = starter.run(slow, 300_000)
    run.ignore()
    await pass(cluster, 1_000)
    cluster.kill('starter')
    if (ms > 0) await pass(cluster, ms)
    cluster.start('starter')
    await pass(cluster, 600_000)
    const handle = await cluster.settle(server.get(run.id))
    expect(handle!.state).toMatchObject({ name: 'Completed' })
  })

  it('goes on at another node, though all others were gone meanwhile', async () => {
    await using cluster = new ClusterOfTest()
    cluster.start('server', { serve: { flows: [slow] } })
    const starter = cluster.start('starter')
    const run = starter.run(slow, 300_000)
    run.ignore()
    await pass(cluster, 1_000)
    cluster.kill('starter')
    cluster.kill('server')
    cluster.start('starter')
    await pass(cluster, 60_000)
    const server = cluster.start('server', { serve: { flows: [slow] } })
    await pass(cluster, 600_000)
    const handle = await cluster.settle(server.get(run.id))
    expect(handle!.state).toMatchObject({ name: 'Completed' })
  })
})

describe('a flow run whose node was cut off for long', () => {
  it('goes on there where nobody else serves its flow', async () => {
    await using cluster = new ClusterOfTest()
    const starter = cluster.start('starter')
    cluster.start('other')
    const run = starter.run(slow, 300_000)
    run.ignore()
    await pass(cluster, 1_000)
    cluster.transport.partition('starter')
    await pass(cluster, 120_000)
    cluster.transport.heal('starter')
    await pass(cluster, 600_000)
    const handle = await cluster.settle(starter.get(run.id))
    expect(handle!.state).toMatchObject({ name: 'Completed' })
    expect(await cluster.settle(run)).toBe(7)
  })
})
