import { flow, JournalError, type Station, type TransportHost } from '@troupe/core'
import { expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

const one = flow('one', async () => 1)

it('a fork for any node is there once its journals are, though the connection is lost before it is offered', async () => {
  await using cluster = new ClusterOfTest()
  let isDown = false
  const open = cluster.transport.open.bind(cluster.transport)
  Object.assign(cluster.transport, {
    open(host: TransportHost): Station {
      const station = open(host)
      if (host.node !== 'client') return station
      const { queue } = station
      const offer: typeof queue.offer = (given) =>
        isDown ? Promise.reject(new JournalError('JOURNAL_UNAVAILABLE', 'no answer')) : queue.offer(given)
      return { ...station, queue: { ...queue, offer } }
    },
  })
  const client = cluster.start('client')
  cluster.start('server', { serve: { flows: [one] } })
  const handle = await cluster.settle(client.run('one'))
  expect(await cluster.settle(handle.result())).toBe(1)
  isDown = true
  const again = await cluster.settle(client.fork(handle.id, { on: 'any' }))
  expect(await cluster.settle(again.result())).toBe(1)
})
