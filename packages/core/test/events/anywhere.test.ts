import { flow, sleep } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, quiet } from '../behaviour/support.ts'
import { ClusterOfTest } from '../cluster/nodes.ts'
import { MemorySource } from './memory-source.ts'
import { waitOn } from './support.ts'

const served = flow('welcome', async (name: string) => {
  await sleep('1s')
  return `hello ${name}`
})

describe('events on a node that does not run their flow', () => {
  it.each([
    ['by the name of the flow', 'welcome'],
    ['by its name and options', { flow: 'welcome', tags: ['guest'] }],
    ['with its code', served.with({ on: 'any', tags: ['guest'] })],
  ])('start flow runs on the node that does, %s', async (_, started) => {
    await using cluster = new ClusterOfTest()
    const server = cluster.start('server', { serve: { flows: [served] } })
    const client = cluster.start('client')
    await cluster.settle(server.announced())
    const source = new MemorySource<string>({ clock: cluster.clock }).addAll(['Ada', 'Grace'], (name) => name)
    const intake = client.on(source, started as 'welcome', {
      name: 'guests',
      tags: ['event'],
      ackWhen: 'finished',
    })
    await quiet()
    source.add('Ada', 'Ada')
    source.end()
    await cluster.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 2, duplicates: 1, dead: 0 })
    const page = await cluster.settle(client.list({ tag: 'event' }))
    expect(page.map(({ name, state }) => [name, state.name])).toEqual([
      ['welcome', 'Completed'],
      ['welcome', 'Completed'],
    ])
    const tagged = await cluster.settle(client.list({ tag: 'guest' }))
    expect(tagged).toHaveLength(started === 'welcome' ? 0 : 2)
  })

  it('counts what has not ended, wherever that is', async () => {
    await using cluster = new ClusterOfTest()
    const server = cluster.start('server', { serve: { flows: [served] } })
    const client = cluster.start('client')
    await cluster.settle(server.announced())
    const source = new MemorySource<string>({ clock: cluster.clock })
    const intake = client.on(source, 'welcome', { concurrency: 2 })
    source.addAll(['a', 'b', 'c', 'd', 'e'], (name) => name)
    await quiet(50)
    expect(intake.status).toMatchObject({ started: 2, inFlight: 2, received: 2 })
    source.end()
    await cluster.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 5, inFlight: 0 })
  })

  it('are dead letters where their key is that of other parameters, or they can not be sent', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    await cluster.settle(client.announced())
    client.errors.subscribe()
    const source = new MemorySource<string>({ clock: cluster.clock })
    const intake = client.on(source, 'welcome', {
      parameters: (name) => [name === 'c' ? () => name : name],
    })
    source.add('a', 'one')
    await quiet(50)
    source.add('b', 'one')
    source.add('c', 'two')
    await quiet(50)
    expect(source.messages.map(({ event, state }) => [event, state])).toEqual([
      ['a', 'done'],
      ['b', 'dead'],
      ['c', 'dead'],
    ])
    expect(source.letters.map(({ letter }) => letter.error)).toEqual(
      expect.arrayContaining([code('IDEMPOTENCY_CONFLICT'), code('NOT_ENCODABLE')]),
    )
    expect(intake.status).toMatchObject({ started: 1, dead: 2 })
  })

  it('are started once when two nodes take from one source, and one of them is killed', async () => {
    await using cluster = new ClusterOfTest()
    const options = { serve: { flows: [served] } }
    const [one, two] = [cluster.start('one', options), cluster.start('two', options)]
    await cluster.settle(Promise.all([one.announced(), two.announced()]))
    const names = Array.from({ length: 40 }, (_, n) => `guest-${n}`)
    const mine = new MemorySource<string>({ clock: cluster.clock }).addAll(names, (name) => name)
    const yours = new MemorySource<string>({ clock: cluster.clock }).addAll(names, (name) => name)
    one.on(mine, served, { concurrency: 5 })
    const intake = two.on(yours, served, { concurrency: 5 })
    await cluster.settle(waitOn(cluster.clock, 2_500))
    cluster.kill('one')
    yours.end()
    await cluster.settle(intake.done)
    await cluster.settle(waitOn(cluster.clock, 120_000))
    const runs = await cluster.settle(two.list({ limit: 1_000 }))
    expect(runs).toHaveLength(40)
    expect(new Set(runs.map(({ state }) => state.name))).toEqual(new Set(['Completed']))
  })
})
