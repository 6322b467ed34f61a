import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { describe, expect, it } from 'vitest'
import { clusterVersions, useCluster } from './index.ts'

describe.each(clusterVersions)('a cluster of the %s server', (version) => {
  const cluster = useCluster({ version })

  it('tells who leads a stream and its consumer, and lets others lead', async () => {
    const nc = await connect({ servers: cluster().urls })
    try {
      const jsm = await jetstreamManager(nc)
      await jsm.streams.add({ name: 'S', subjects: ['s.>'], num_replicas: 3 })
      await jsm.consumers.add('S', { durable_name: 'c' })

      const stream = await cluster().leader('S')
      expect(await cluster().stepDown(nc, 'S')).not.toBe(stream)
      const consumer = await cluster().leader('S', 'c')
      expect(await cluster().stepDown(nc, 'S', 'c')).not.toBe(consumer)
    } finally {
      await nc.close()
    }
  })

  it('has another leader of a stream after the one it had is killed', async () => {
    const before = await cluster().leader('S')
    await before.kill()
    expect(await cluster().leader('S')).not.toBe(before)
    await before.restart()
    await cluster().healthy()
  })
})
