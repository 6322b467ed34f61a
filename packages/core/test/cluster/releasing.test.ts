import { flow, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

const step = task('step', (n: number) => n)

describe('a flow run that loses its node again and again', () => {
  const fragile = flow({ name: 'fragile', maxRecoveries: 1 }, async () => {
    await step(1)
    await sleep(60_000)
    return step(2)
  })

  it('is set aside, and goes on as another run when it is released by a node that has not its code', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    cluster.start('one', { serve: { flows: [fragile] } })
    const handle = await cluster.settle(client.run('fragile'))
    for (const [now, next] of [
      ['one', 'two'],
      ['two', 'three'],
    ] as const) {
      await cluster.settle(untilRunningOn(cluster, handle.id, now))
      cluster.start(next, { serve: { flows: [fragile] } })
      cluster.kill(now)
    }
    expect(await cluster.settle(handle.wait())).toMatchObject({ name: 'Crashed' })
    await expect(cluster.settle(handle.result())).rejects.toThrow(/Poisoned|lost/)
    const again = await cluster.settle(client.release(handle.id, { on: 'any' }))
    expect(again.id).not.toBe(handle.id)
    expect(await cluster.settle(again.result())).toBe(2)
    const seen = await cluster.settle(all(client.watch({ flowRunId: again.id })))
    expect(
      seen.filter(({ task: name, to }) => name === 'step' && to.name === 'Running').map(({ node }) => node),
    ).toContain('three')
    await expect(cluster.settle(client.release(again.id, { on: 'any' }))).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
  })
})

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const value of values) found.push(value)
  return found
}

async function untilRunningOn(cluster: ClusterOfTest, id: string, node: string): Promise<void> {
  const watcher = cluster.start(`watcher-of-${node}`)
  for await (const transition of watcher.watch({ flowRunId: id }))
    if (transition.node === node && transition.task === undefined && transition.to.name === 'Running') return
}
