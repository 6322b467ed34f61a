import { currentTaskRun, flow, task } from '@troupe/core'
import { NatsTaskRunner, type QueueOf } from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import { VirtualCluster } from './support.ts'
import { held, open, traceOf } from './tasks.ts'

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

  it('lets go of what it has for queues that are not used any more, and of no other', async () => {
    await using cluster = new VirtualCluster()
    cluster.worker('all', { 'queue 0': 1, 'queue 1': 1, 'queue 2': 1, 'queue 3': 1 })
    let listening = 0
    const owner = cluster.node('owner', {
      transport: {
        name: 'counted',
        open(host) {
          const station = cluster.transport.open(host)
          const { nodes } = station
          const lost: typeof nodes.lost = (listener) => {
            listening++
            const stop = nodes.lost(listener)
            return () => {
              listening--
              stop()
            }
          }
          return Object.assign(station, {
            nodes: Object.assign(Object.create(nodes) as typeof nodes, { lost }),
          })
        },
      },
    })
    let queue = 0
    const runner = new NatsTaskRunner({ queue: () => `queue ${queue}` })
    const one = flow({ name: 'routed-one', taskRunner: runner }, (key: string) => plain.with({ key })())
    const long = flow({ name: 'routed-long', taskRunner: runner }, () => held('routed long'))
    await cluster.settle(owner.run(one, 'first'))
    const ofOne = listening
    queue = 1
    const running = owner.run(long)
    while (traceOf('routed long').length === 0) await cluster.pass(10)
    await cluster.pass(20 * 60_000)
    // That of the first is let go of, and those of the second and the third are there.
    queue = 2
    await cluster.settle(owner.run(one, 'second'))
    expect(listening).toBe(ofOne + 1)
    open('routed long')
    expect(await cluster.settle(running)).toBe(1)
    queue = 0
    expect(await cluster.settle(owner.run(one, 'third'))).toBe('routed-plain')
    await cluster.pass(20 * 60_000)
    queue = 3
    await cluster.settle(owner.run(one, 'fourth'))
    expect(listening).toBe(ofOne)
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
