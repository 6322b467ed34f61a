import { flow, sleep, task, type Engine, type Flow } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

const step = task('versioned-step', (n: number) => n)

/** The same flow, as it was and as it is. */
function versions(
  name: string,
  onVersionChange: 'run' | 'park' | 'pin',
): Record<'old' | 'new', Flow<readonly [], string>> {
  return {
    old: flow({ name, version: '1', onVersionChange }, async () => {
      await step(1)
      await sleep('1m')
      return 'by the old code'
    }),
    new: flow({ name, version: '2', onVersionChange }, async () => {
      await step(1)
      await sleep('1m')
      return 'by the new code'
    }),
  }
}

async function untilRunning(cluster: ClusterOfTest, engine: Engine, id: string): Promise<void> {
  await cluster.settle(
    (async () => {
      for await (const { task: name, to } of engine.watch({ flowRunId: id }))
        if (name === 'versioned-step' && to.name === 'Completed') return
    })(),
  )
}

describe('a flow run whose node is killed while old and new code are side by side', () => {
  it('goes on at a node that has its version, though others are there', async () => {
    await using cluster = new ClusterOfTest()
    const flows = versions('side-by-side', 'run')
    const client = cluster.start('client')
    cluster.start('old-1', { serve: { flows: [flows.old] } })
    const handle = await cluster.settle(client.run({ flow: 'side-by-side', version: '1' }))
    await untilRunning(cluster, client, handle.id)
    cluster.start('new-1', { serve: { flows: [flows.new] } })
    cluster.start('new-2', { serve: { flows: [flows.new] } })
    cluster.start('old-2', { serve: { flows: [flows.old] } })
    cluster.kill('old-1')
    expect(await cluster.settle(handle.result())).toBe('by the old code')
  })

  it('goes on with the new code where nobody has the old one and the policy allows it', async () => {
    await using cluster = new ClusterOfTest()
    const flows = versions('only-new', 'run')
    const client = cluster.start('client')
    cluster.start('old', { serve: { flows: [flows.old] } })
    const handle = await cluster.settle(client.run('only-new'))
    await untilRunning(cluster, client, handle.id)
    cluster.start('new', { serve: { flows: [flows.new] } })
    cluster.kill('old')
    expect(await cluster.settle(handle.result())).toBe('by the new code')
  })

  it('waits for a node with its version where it is pinned', async () => {
    await using cluster = new ClusterOfTest()
    const flows = versions('pinned', 'pin')
    const client = cluster.start('client')
    cluster.start('old', { serve: { flows: [flows.old] } })
    const handle = await cluster.settle(client.run('pinned'))
    await untilRunning(cluster, client, handle.id)
    cluster.start('new', { serve: { flows: [flows.new] } })
    cluster.kill('old')
    const rest = new Promise<string>((resolve) => {
      cluster.clock.at(cluster.clock.now() + 600_000, () => resolve('ten minutes later'))
    })
    const ended = handle.result().then(String)
    expect(await cluster.settle(Promise.race([ended, rest]))).toBe('ten minutes later')
    cluster.start('old-again', { serve: { flows: [flows.old] } })
    expect(await cluster.settle(ended)).toBe('by the old code')
  })
})
