import {
  CodecError,
  flow,
  JournalError,
  receive,
  sleep,
  task,
  type Station,
  type TransportHost,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'
import { hostOf } from './support.ts'

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

describe('a flow run that a node can not go on with', () => {
  it('is not claimed by it, and goes on at one that can', async () => {
    await using cluster = new ClusterOfTest()
    const observer = cluster.transport.open(hostOf('observer', cluster.clock))
    const at = cluster.clock.now()
    const inputs = Uint8Array.of(1, 255, 255)
    const claimed = { kind: 'claimed', at, epoch: 1, node: '' } as const
    const submitted = {
      kind: 'submitted',
      at,
      runKind: 'flow',
      runId: 'bad',
      parent: -1,
      parentAttempt: 0,
      name: 'slow',
      version: '1',
      runName: undefined,
      identity: undefined,
      inputs,
      to: 'Pending',
      tags: undefined,
    } as const
    const append = { flowRunId: 'bad', expected: 0, epoch: 1, entries: [claimed, submitted] }
    await cluster.settle(Promise.resolve(observer.journal.append(append)))
    const server = cluster.start('server', { serve: { flows: [slow] } })
    const errors: unknown[] = []
    server.errors.subscribe(({ error }) => errors.push(error))
    await pass(cluster, 60_000)
    expect(server.health().liveRuns).toBe(0)
    expect(await cluster.settle(Promise.resolve(observer.journal.summary('bad')))).toMatchObject({ node: '' })
    expect(errors.length).toBeGreaterThan(0)
    await cluster.settle(observer.close())
  })
})

describe('an engine that closes while no server answers', () => {
  it('is closed within its grace, and what it was about to claim goes on elsewhere', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    const server = cluster.start('server', { serve: { flows: [slow] } })
    await pass(cluster, 1_000)
    const handle = await cluster.settle(client.run('slow', 1_000))
    cluster.transport.partition('server')
    const from = cluster.clock.now()
    await cluster.settle(server.close({ grace: '1s' }))
    expect(cluster.clock.now() - from).toBeLessThan(20_000)
    cluster.start('another', { serve: { flows: [slow] } })
    expect(await cluster.settle(handle.result())).toBe(7)
    expect(cluster.clock.now() - from).toBeLessThan(60_000)
  })
})

describe('a node that lives long', () => {
  it('hears the mail of nodes that were lost for as long as it has a run of theirs', async () => {
    await using cluster = new ClusterOfTest()
    const heard = new Map<string, number>()
    const open = cluster.transport.open.bind(cluster.transport)
    Object.assign(cluster.transport, {
      open(host: TransportHost): Station {
        const station = open(host)
        if (host.node !== 'server') return station
        const { mailbox } = station
        const count = (owner: string, by: number): unknown => heard.set(owner, (heard.get(owner) ?? 0) + by)
        const subscribe: typeof mailbox.subscribe = (listener, owner = '') => {
          const stop = mailbox.subscribe(listener, owner)
          count(owner, 1)
          return () => {
            stop()
            count(owner, -1)
          }
        }
        return { ...station, mailbox: { ...mailbox, subscribe } }
      },
    })
    const server = cluster.start('server', { serve: { flows: [slow] } })
    for (const name of ['a', 'b']) {
      const run = cluster.start(name).run(slow, 100_000)
      run.ignore()
      await pass(cluster, 1_000)
      cluster.kill(name)
      await pass(cluster, 50_000)
      expect(heard.get(name)).toBe(1)
      const handle = await cluster.settle(server.get(run.id))
      expect(await cluster.settle(handle!.result())).toBe(7)
      expect(heard.get(name)).toBe(0)
    }
    expect(Object.fromEntries(heard)).toEqual({ server: 1, a: 0, b: 0 })
  })
})

describe('a flow run for any node', () => {
  /** Lets one call of the client's journal fail. */
  function failing(cluster: ClusterOfTest, call: 'append' | 'summary', error: Error, after = 0): void {
    const open = cluster.transport.open.bind(cluster.transport)
    Object.assign(cluster.transport, {
      open(host: TransportHost): Station {
        const station = open(host)
        if (host.node !== 'client') return station
        const does = station.journal[call].bind(station.journal) as () => unknown
        let calls = 0
        Object.assign(station.journal, {
          [call]: (...args: []) =>
            calls++ === 0 ? pass(cluster, after).then(() => Promise.reject(error)) : does(...args),
        })
        return station
      },
    })
  }

  it('is started once its journal is there, though the connection is lost before it is offered', async () => {
    await using cluster = new ClusterOfTest()
    failing(cluster, 'summary', new JournalError('JOURNAL_UNAVAILABLE', 'no answer'))
    const client = cluster.start('client')
    const handle = await cluster.settle(client.run('slow', 1_000))
    cluster.start('server', { serve: { flows: [slow] } })
    expect(await cluster.settle(handle.result())).toBe(7)
  })

  it('is refused where its journal can never be written', async () => {
    await using cluster = new ClusterOfTest()
    failing(cluster, 'append', new CodecError('PAYLOAD_TOO_LARGE', 'its tags are too long'))
    const client = cluster.start('client')
    await expect(cluster.settle(client.run('slow', 1_000))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    })
  })

  it('is watched by nobody any more where its journal can never be written', async () => {
    await using cluster = new ClusterOfTest()
    failing(cluster, 'append', new CodecError('PAYLOAD_TOO_LARGE', 'its tags are too long'), 1_000)
    const client = cluster.start('client')
    const run = client.run(slow.with({ on: 'any', id: 'never' }), 1_000)
    const first = client.watch({ flowRunId: 'never' })[Symbol.asyncIterator]().next()
    await Promise.all([
      expect(cluster.settle(Promise.resolve(run))).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      expect(first).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' }),
    ])
  })
})

describe('a body that kills its process at once', () => {
  it('is set aside after some nodes, though none of them had written that it ran', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    let started = 0
    const kills = flow('kills', () => cluster.kill(`server-${++started}`))
    const handle = await cluster.settle(client.run('kills'))
    const nodes = 8
    for (let number = 1; number <= nodes; number++) {
      cluster.start(`server-${number}`, { serve: { flows: [kills] } })
      await pass(cluster, 60_000)
    }
    expect(started).toBeLessThan(nodes)
    expect(await cluster.settle(handle.wait())).toMatchObject({ name: 'Crashed' })
  })
})

describe('a letter that cancels a flow run without a body', () => {
  it('is not forgotten before the run is cancelled, and is obeyed by the next node', async () => {
    await using cluster = new ClusterOfTest()
    const client = cluster.start('client')
    const open = cluster.transport.open.bind(cluster.transport)
    let isSilent = false
    Object.assign(cluster.transport, {
      open(host: TransportHost): Station {
        const station = open(host)
        if (host.node !== 'first') return station
        const read = station.journal.read.bind(station.journal)
        Object.assign(station.journal, {
          read: (...args: Parameters<typeof read>) =>
            isSilent ? new Promise(() => undefined) : read(...args),
        })
        return station
      },
    })
    const waits = flow('waits', () => receive('word'))
    cluster.start('first', { serve: { flows: [waits] }, suspendAfter: '1s' })
    const handle = await cluster.settle(client.run('waits'))
    await pass(cluster, 5_000)
    const seen = await cluster.settle(client.get(handle.id))
    expect(seen!.state).toMatchObject({ name: 'Suspended' })
    isSilent = true
    const cancelled = handle.cancel('enough')
    await pass(cluster, 1_000)
    cluster.kill('first')
    cluster.start('second', { serve: { flows: [waits] } })
    expect(await cluster.settle(cancelled)).toMatchObject({ name: 'Cancelled' })
  })
})
