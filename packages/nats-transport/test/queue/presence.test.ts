import { connect, errors, type NatsConnection } from '@nats-io/transport-node'
import { afterEach, expect, it } from 'vitest'
import { Proxy } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { onEach, useServer } from '../servers/index.ts'
import { freshNamespace } from '../support.ts'
import { Holder } from './holder.ts'
import {
  outside,
  queueNodeAt,
  shortTimes,
  unacknowledged,
  type NodeOptions,
  type QueueNode,
} from './support.ts'
import { main, offer, Taker } from './taker.ts'

const times = { ...shortTimes, ackWaitMs: 4_000, keyLifeMs: 3_000, refreshMs: 1_000, answerMs: 200 }

onEach('on the %s server', 'presence', (version) => {
  const server = useServer({ version })
  const ends: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  function node(options: NodeOptions = {}): QueueNode {
    const made = queueNodeAt({ servers: server().url, times, ...options })
    ends.push(made.close)
    return made
  }

  async function proxied(): Promise<Proxy> {
    const proxy = await Proxy.open(server().url)
    ends.push(() => proxy.close())
    return proxy
  }

  it('is there, keeps its name and holds what it has, when its thread ends and is started again', async () => {
    const other = node()
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    const one = node({ namespace: other.namespace })
    await one.nodes.announce('one')
    await offer(other, ['a'])
    const taker = new Taker(one).want(1)
    await taker.atLeast(1)
    await one.presence.endThread()
    const heir = new Taker(other).want(1)
    const over = performance.now() + 2 * times.ackWaitMs
    await until('two leases are over', () => performance.now() > over)
    expect(heir.ids).toEqual([])
    expect(await other.nodes.gone(['one'])).toEqual([])
    await expect(other.nodes.announce('one')).rejects.toMatchObject({ code: 'NODE_IN_USE' })
    expect(one.reports.map(String).join()).toContain('thread')
    expect([lost, one.cutOffs]).toEqual([[], []])
    taker.got[0]?.done()
    await until('it is done', async () => (await other.queue.pending(main, 1)).count === 0)
  })

  it('is told that others count it as gone before it takes its name again, when its thread ends', async () => {
    const proxy = await proxied()
    // Nobody forgets a key.
    const long = { ...times, keyLifeMs: 600_000 }
    const other = node({ times: long })
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    const one = node({ servers: proxy.url, namespace: other.namespace, times: long })
    await one.nodes.announce('one')
    await until('it is known', async () => (await other.nodes.list()).length === 2)
    proxy.cut()
    await one.presence.endThread()
    await until('others count it as gone', () => lost.includes('one'))
    proxy.heal()
    await until('it is told', () => one.cutOffs.length > 0)
    expect(one.cutOffs).toMatchObject([{ details: { reason: 'cut-off' } }])
    await until('it is back', () => !one.presence.away)
    expect(await other.nodes.gone(['one'])).toEqual([])
    expect(one.cutOffs).toHaveLength(1)
  })

  it('is told when its thread ends and the next one is not heard in time, and comes back', async () => {
    const proxy = await proxied()
    const one = node({ servers: proxy.url })
    await one.nodes.announce('one')
    proxy.cut()
    await one.presence.endThread()
    await until('it is told', () => one.cutOffs.length > 0, 15_000)
    expect(one.cutOffs).toMatchObject([{ details: { reason: 'cut-off' } }])
    expect(one.presence.away).toBe(true)
    proxy.heal()
    await until('it is back', () => !one.presence.away)
    expect((await one.nodes.list()).map(({ node: name }) => name)).toEqual(['one'])
    expect(one.cutOffs).toHaveLength(1)
  })

  it('is told when another one has its name, when its thread ends', async () => {
    const proxy = await proxied()
    const long = { ...times, keyLifeMs: 600_000 }
    const other = node({ times: long })
    const one = node({ servers: proxy.url, namespace: other.namespace, times: long })
    await one.nodes.announce('one')
    proxy.cut()
    await one.presence.endThread()
    await other.nodes.announce('one')
    proxy.heal()
    await until('it is told', () => one.cutOffs.length > 0)
    expect(one.cutOffs).toMatchObject([{ details: { reason: 'replaced' } }])
    await other.nodes.withdraw('one')
    await until('it is back', () => !one.presence.away)
    expect((await one.nodes.list()).map(({ node: name }) => name)).toEqual(['one'])
  })

  it('is there when its thread ends, and the next one before it has begun', async () => {
    const from = await outside(server().url)
    ends.push(from.close)
    const one = node({ times: { ...times, keyLifeMs: 600_000 } })
    await one.nodes.announce('one')
    await one.presence.endThread()
    await one.presence.endThread()
    const writes = async (): Promise<number> =>
      (await from.jsm.streams.info(`KV_${one.namespace}_node`)).state.last_seq
    const before = await writes()
    await until('its key is written again and again', async () => (await writes()) >= before + 3)
    expect(one.cutOffs).toEqual([])
    expect(one.reports.filter((error) => String(error).includes('has ended'))).toHaveLength(2)
  })

  it('comes back under its name when its bucket is deleted, and nobody takes it for gone', async () => {
    const from = await outside(server().url)
    ends.push(from.close)
    const one = node()
    const other = node({ namespace: one.namespace })
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await one.nodes.announce('one')
    await other.nodes.announce('other')
    await from.jsm.streams.delete(`KV_${one.namespace}_node`)
    expect(await other.nodes.gone(['one'])).toEqual([])
    await until('both are listed', async () => (await other.nodes.list()).length === 2)
    expect([lost, one.cutOffs, other.cutOffs]).toEqual([[], [], []])
  })

  it('runs beside the node where the user makes the connections', async () => {
    const namespace = freshNamespace()
    let made = 0
    const connection = (): ReturnType<typeof connect> => {
      made++
      return connect({ servers: server().url, reconnectTimeWait: 100, maxReconnectAttempts: -1 })
    }
    const one = queueNodeAt({ connection, namespace, times })
    ends.push(one.close)
    const other = node({ namespace })
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    await one.nodes.announce('one', { node: 'one', flows: ['f@1'], queues: { main: 2 } })
    expect(made).toBe(2)
    expect((await other.nodes.list()).find(({ node: name }) => name === 'one')?.queues).toEqual({ main: 2 })
    await offer(other, ['a'])
    const taker = new Taker(one).want(1)
    await taker.atLeast(1)
    taker.got[0]?.done()
    await one.close()
    await until('others hear that it is gone', () => lost.includes('one'))
    const from = await outside(server().url)
    ends.push(from.close)
    expect(await unacknowledged(from, `${namespace}_TQ`)).toBe(0)
  })

  it('lists the nodes though reads fail for longer than its own keys can wait', async () => {
    const namespace = freshNamespace()
    let toFail = 0
    let failed = 0
    const connection = async (): Promise<NatsConnection> => {
      const nc = await connect({ servers: server().url })
      const request = nc.request.bind(nc)
      nc.request = (subject, ...rest) => {
        if (!subject.startsWith('$JS.API.STREAM.MSG.GET.KV_') || failed >= toFail)
          return request(subject, ...rest)
        failed++
        return Promise.reject(new errors.TimeoutError())
      }
      return nc
    }
    const one = queueNodeAt({ connection, namespace, times: { ...times, refreshMs: 50 } })
    ends.push(one.close)
    await node({ namespace }).nodes.announce('one')
    toFail = 5
    expect((await one.nodes.list()).map(({ node: name }) => name)).toEqual(['one'])
    expect(failed).toBe(5)
  })

  it('finds one that dies while the one that pings it hears nothing and says nothing', async () => {
    const namespace = freshNamespace()
    // An unanswered ping says nothing for longer than this test takes.
    const patient = { ...times, keyLifeMs: 180_000, answerMs: 120_000 }
    const one = node({ namespace, times: patient })
    const lost: string[] = []
    one.nodes.lost((name) => lost.push(name))
    await one.nodes.announce('a')
    const order = { servers: server().url, namespace, maxBlocked: 60_000, times: patient }
    const holders = await Promise.all(['b', 'c', 'd'].map((name) => Holder.start({ ...order, node: name })))
    ends.push(async () => void (await Promise.all(holders.map((holder) => holder.kill()))))
    const [stopped, killed, alsoStopped] = holders
    await until('all are known', async () => (await one.nodes.list()).length === 4)
    await stopped?.kill('SIGSTOP')
    await alsoStopped?.kill('SIGSTOP')
    await killed?.kill()
    await until('the dead one is found', () => lost.includes('c'))
    expect(new Set(lost)).toEqual(new Set(['c']))
  })

  it('finds several that die together, each by one of those that are left', async () => {
    const namespace = freshNamespace()
    const names = ['a', 'b', 'c', 'd', 'e']
    const nodes = names.map(() => node({ namespace }))
    const lost = new Map(names.map((name) => [name, new Set<string>()]))
    for (const [index, one] of nodes.entries()) {
      const name = names[index] ?? ''
      one.nodes.lost((other) => lost.get(name)?.add(other))
      await one.nodes.announce(name)
    }
    await Promise.all([nodes[1]?.crash(), nodes[2]?.crash(), nodes[3]?.crash()])
    await until('both that are left know', () =>
      ['a', 'e'].every((name) => ['b', 'c', 'd'].every((dead) => lost.get(name)?.has(dead))),
    )
    expect((await nodes[0]?.nodes.list())?.map(({ node: name }) => name).toSorted()).toEqual(['a', 'e'])
    expect([...(lost.get('a') ?? [])].toSorted()).toEqual(['b', 'c', 'd'])
  })
})
