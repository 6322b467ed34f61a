import { currentTaskRun, flow, task } from '@troupe/core'
import { NatsTaskRunner, type QueueOf } from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import { VirtualCluster } from './support.ts'

const plain = task('routed-plain', (): string => currentTaskRun().name)
const tagged = task({ name: 'routed-tagged', tags: ['gpu'] }, (): string => currentTaskRun().name)

function routed(queue: QueueOf) {
  return flow({ name: 'routed', taskRunner: new NatsTaskRunner({ queue }) }, async () => {
    const futures = [plain(), tagged(), plain.with({ key: 'second' })()]
    return Promise.all(futures)
  })
}

describe('a NatsTaskRunner whose queue is chosen by a function', () => {
  it('hands each task run to the workers of its queue', async () => {
    await using cluster = new VirtualCluster()
    cluster.worker('small', { cpu: 1 })
    cluster.worker('large', { gpu: 1 })
    const owner = cluster.node('owner')
    const hosts = new Map<string, string | undefined>()
    owner.transitions.subscribe(({ task: name, to, host }) => {
      if (name !== undefined && to.name === 'Running') hosts.set(name, host)
    })
    const run = owner.run(routed(({ tags }) => (tags.includes('gpu') ? 'gpu' : 'cpu')))
    expect(await cluster.settle(run)).toEqual(['routed-plain', 'routed-tagged', 'routed-plain'])
    expect(Object.fromEntries(hosts)).toEqual({ 'routed-plain': 'small', 'routed-tagged': 'large' })
  })

  const bad: readonly (readonly [string, () => string, RegExp])[] = [
    [
      'throws',
      () => {
        throw new RangeError('no')
      },
      /can't be had/,
    ],
    ['gives no name', () => '', /to give the name of a queue/],
  ]
  it.each(bad)('fails a task run for which it %s, and no other', async (_, give, message) => {
    await using cluster = new VirtualCluster()
    cluster.worker('small', { cpu: 1 })
    const owner = cluster.node('owner')
    const run = owner.run(routed(({ name }) => (name === 'routed-tagged' ? give() : 'cpu')))
    await expect(cluster.settle(run)).rejects.toThrow(message)
  })
})
